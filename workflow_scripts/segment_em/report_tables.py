"""What the report tells, as tables: read from the result files of an experiment, computed here.

A result file is known by its path inside its experiment's folder, such as em/iteration-1/x.json.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from segment_em.errors import InputError
from segment_em.files import read_json
from segment_em.provenance import inside
from segment_em.tables import read_table
from segment_em.terms import PARTS, STAGES


@dataclass(frozen=True)
class Process:
    """Who took part.

    members: names of each iteration's members, 0 included. controls: models. teachers: what
    estimates after each iteration, 0 included: F<i>, or as T<i> a mean of models.
    """

    members: Sequence[Sequence[str]]
    controls: Sequence[str]
    teachers: Sequence[str]

    @property
    def last(self) -> int:
        return len(self.members) - 1


class Results:
    """The result files of an experiment, some of which may lie in another experiment's folder."""

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = {inside(path): Path(path) for path in paths}

    def path(self, name: str) -> Path:
        """Raises InputError where the experiment has no such file."""
        if name not in self.paths:
            raise InputError(f"report: no result {name}; run the workflow to the end")
        return self.paths[name]

    def json(self, name: str) -> Any:
        return read_json(self.path(name))

    def table(self, name: str) -> pd.DataFrame:
        return read_table(self.path(name))

    def inspections(self) -> list[tuple[int, str]]:
        """(iteration, name of its inspection.csv) of each E-step, in order."""
        names = [name for name in self.paths if name.endswith("/inspection.csv")]
        return sorted((int(name.split("/")[1].removeprefix("iteration-")), name) for name in names)


def selected_runs(results: Results, process: Process) -> list[tuple[str, str]]:
    """(run, stage) of F of each iteration, such as ("em/iteration-0/logistic", "finetuned")."""
    chosen = []
    for i in range(process.last + 1):
        weights = inside(results.json(f"em/iteration-{i}/selected.json")["selected"]["weights"])
        run, _, file = weights.rpartition("/")
        chosen.append((run, file.removesuffix(".safetensors")))
    return chosen


def compared_scorers(results: Results, process: Process) -> dict[str, tuple[str, str]]:
    """(run, its entry in the run's scores) of what the page compares, by the name of its column.

    The teacher after each iteration, the ensemble, and that of the controls where there are any.
    """
    selected = selected_runs(results, process)
    found = {
        name: (f"em/iteration-{i}/ensemble", "ensemble") if name.startswith("T") else selected[i]
        for i, name in enumerate(process.teachers)
    }
    found["ensemble"] = ("ensemble", "ensemble")
    if process.controls:
        found["controls"] = ("controls/ensemble", "ensemble")
    return found


def rated_part(results: Results) -> str:
    """The part on which classes are compared: test where it is rated, else validation."""
    rated = results.json("ensemble/test.json")["results"]["ensemble"]["map"] is not None
    return "test" if rated else "validation"


def map_by_iteration(results: Results, process: Process) -> pd.DataFrame:
    """mAP on both parts: kind, iteration, model, estimation, validation_map(_sd), test_map.

    Rows: fine-tuned models and ensembles as in table.csv (controls have no iteration), and, as
    kind F, the model that was selected in each iteration.
    """
    table = results.table("table.csv")
    table = table[table["stage"].isna() | (table["stage"] == "finetuned")]
    rows = []
    for i, (run, stage) in enumerate(selected_runs(results, process)):
        parts = {part: results.json(f"{run}/{part}.json")["results"][stage] for part in PARTS}
        model, _, estimation = run.rpartition("/")[2].partition("@")
        maps = (parts["validation"]["map"], parts["validation"]["map_sd"], parts["test"]["map"])
        rows.append(("F", i, model, estimation or "video_labels", *maps))
    kept = [
        "kind", "iteration", "model", "estimation",
        "validation_map", "validation_map_sd", "test_map",
    ]  # fmt: skip
    return pd.concat([table[kept], pd.DataFrame(rows, columns=kept)], ignore_index=True)


def estimated_labels(results: Results) -> pd.DataFrame:
    """What each E-step's estimations labelled: iteration before inspection.inspect's columns,
    with videos and videos_with_positive of the label sets behind them."""
    parts = []
    for i, name in results.inspections():
        found = results.table(name)
        folder = name.rpartition("/")[0] + "/label_sets"
        sets = pd.concat(
            results.table(f"{folder}/{estimation}.csv").assign(estimation=estimation)
            for estimation in found["estimation"].unique()
        )
        kept = sets[["class", "estimation", "videos", "videos_with_positive"]]
        found = found.merge(kept, on=["class", "estimation"], validate="1:1")
        found.insert(0, "iteration", i)
        parts.append(found)
    columns = ["iteration", "class", "estimation", "positives", "agreed", "any", "correct", "true"]
    empty = pd.DataFrame(columns=[*columns, "videos", "videos_with_positive"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def label_totals(labels: pd.DataFrame) -> pd.DataFrame:
    """Sums over the classes: a row for each iteration and estimation.

    Beside the sums: agreement, agreed / any; precision and recall against the truth, empty where
    it is not known; videos_with_positive_share, of the pairs of a video and a class it carries.
    """
    sums = labels.groupby(["iteration", "estimation"], sort=False)
    totals = sums.agg(
        positives=("positives", "sum"),
        agreed=("agreed", "sum"),
        any=("any", "sum"),
        correct=("correct", lambda column: column.sum(min_count=1)),
        true=("true", lambda column: column.sum(min_count=1)),
        videos=("videos", "sum"),
        videos_with_positive=("videos_with_positive", "sum"),
    ).reset_index()
    totals["agreement"] = totals["agreed"] / totals["any"]
    totals["precision"] = totals["correct"] / totals["positives"]
    totals["recall"] = totals["correct"] / totals["true"]
    totals["videos_with_positive_share"] = totals["videos_with_positive"] / totals["videos"]
    return totals


def training_curves(results: Results, process: Process) -> pd.DataFrame:
    """Mean loss of each epoch: run, kind (member or control), model, iteration, labels (video,
    pseudo, ratings), epoch from 1, loss."""
    rows = []
    for kind, i, run in _runs(process):
        model, _, estimation = run.rpartition("/")[2].partition("@")
        for stage in STAGES:
            losses = results.json(f"{run}/{stage}.json")["stamp"]["epoch_losses"]
            seen = "ratings" if stage == "finetuned" else "pseudo" if estimation else "video"
            rows += [
                (run, kind, model, i, seen, epoch, loss) for epoch, loss in enumerate(losses, 1)
            ]
    columns = ["run", "kind", "model", "iteration", "labels", "epoch", "loss"]
    return pd.DataFrame(rows, columns=columns)


def _runs(process: Process) -> list[tuple[str, int | None, str]]:
    members = [
        ("member", i, f"em/iteration-{i}/{member}")
        for i, names in enumerate(process.members)
        for member in names
    ]
    return members + [("control", None, f"controls/{model}") for model in process.controls]


def ap_by_class(results: Results, process: Process, names: Mapping[int, str]) -> pd.DataFrame:
    """Average precision of each class on rated_part: class, name, columns of compared_scorers."""
    part = rated_part(results)
    columns = {
        name: results.json(f"{run}/{part}.json")["results"][entry]["ap"]
        for name, (run, entry) in compared_scorers(results, process).items()
    }
    table = pd.DataFrame(columns, dtype=float).rename_axis("class").reset_index()
    table["class"] = table["class"].astype(int)
    table.insert(1, "name", [names.get(number, "") for number in table["class"]])
    return table.sort_values("class", ignore_index=True)


def localisation_quality(results: Results) -> pd.DataFrame:
    """The table of localisation_quality.judge; without rows where the truth is not known."""
    name, columns = "localisation_quality.csv", ["threshold", "precision", "recall"]
    return results.table(name) if name in results.paths else pd.DataFrame(columns=columns)


def every_table(
    results: Results, process: Process, names: Mapping[int, str]
) -> tuple[pd.DataFrame, ...]:
    """maps, labels, totals, curves, classes and quality, each as its function above says."""
    labels = estimated_labels(results)
    return (
        map_by_iteration(results, process),
        labels,
        label_totals(labels),
        training_curves(results, process),
        ap_by_class(results, process, names),
        localisation_quality(results),
    )
