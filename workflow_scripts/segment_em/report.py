"""report.html: one page that tells what a run found, from its result files."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from segment_em import figures, movers, page, ratings_table, viewer
from segment_em.files import read_json, replacing
from segment_em.index import Index
from segment_em.index_files import read_index
from segment_em.provenance import beside
from segment_em.report_tables import Process, Results, compared_scorers, rated_part
from segment_em.skipped import skipped_records
from segment_em.tables import read_table

SEGMENTS_BEHIND_A_CHANGE = 10
LONGEST_JOBS = 8
SKIPPED_SHOWN = 50
# What selected.json says that it selected by.
CRITERIA = {
    "validation_map": "mAP",
    "validation_weighted_map": "average precision with each class counted by its rated positives",
}


class Sources(NamedTuple):
    """The files that the page is made from.

    results: table.csv, selected.json, validation.json, test.json and their .ratings.csv. figures:
    SVG and CSV of figures.write_all. test, segments, train: index chunks. scores: of the shown
    videos, <scorer>/<part>.h5. truth: test.npz and segments.npz, or nothing.
    """

    results: Sequence[str]
    figures: Sequence[str]
    test: Sequence[str]
    segments: Sequence[str]
    train: Sequence[str]
    scores: Sequence[str]
    truth: Sequence[str]


@dataclass(frozen=True)
class Page:
    """What people set of the page.

    link, thumbnail: with {id} for the video's id, or None. classes_a_video: shown at most.
    threshold: of localisation, drawn into the strips. validation_fraction: of the rated videos.
    """

    title: str
    link: str | None
    thumbnail: str | None
    classes_a_video: int
    threshold: float
    validation_fraction: float


def write_report(sources: Sources, process: Process, settings: Page, out: str | Path) -> None:
    """Write the page: one file with everything in it."""
    results = Results(sources.results)
    of_figure = {Path(path).name: Path(path) for path in sources.figures}
    tables = {
        name.removesuffix(".csv"): read_table(path)
        for name, path in of_figure.items()
        if name.endswith(".csv")
    }
    test, segments = read_index(sources.test), read_index(sources.segments)
    validation = segments.for_validation(settings.validation_fraction)
    indexes = {"test": test, "validation": validation}
    part = rated_part(results)
    text = page.render(
        "report.html",
        title=settings.title,
        experiment=Path(out).parent.name,
        sentence=sentence(tables["map_by_iteration"], process),
        rows=table_rows(results.table("table.csv")),
        means_teach=any(name.startswith("T") for name in process.teachers),
        criterion=CRITERIA[results.json("em/iteration-0/selected.json")["by"]],
        made=read_json(beside(results.path("table.csv")))["circumstances"],
        figures={p.stem: svg_of(p) for p in of_figure.values() if p.suffix == ".svg"},
        tables={name: _records(table) for name, table in tables.items()},
        truth=bool(tables["against_truth"]["precision"].notna().any()),
        losses=_losses(tables["training_curves"]),
        longest=_longest(tables["timeline"]),
        skipped=[d for path in _indexed(sources) for d in skipped_records(path)],
        skipped_shown=SKIPPED_SHOWN,
        class_count=len(tables["ap_by_class"]),
        shown_classes=figures.SHOWN_CLASSES,
        page_threshold=settings.threshold,
        part=part,
        named=figures.named,
        data=json_in_html(
            {
                **_compared_classes(results, process, tables["ap_by_class"], indexes[part]),
                "part": part,
                "link": settings.link,
                "thumbnail": settings.thumbnail,
                "threshold": settings.threshold,
                "totals": {name: len(index) for name, index in indexes.items()},
                "viewer": viewer.viewer_data(
                    _parts(sources, indexes), settings.classes_a_video, settings.threshold
                ),
            }
        ),
    )
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _indexed(sources: Sources) -> list[str]:
    return [*sources.train, *sources.segments, *sources.test]


def _parts(sources: Sources, indexes: Mapping[str, Index]) -> list[viewer.Part]:
    """The shown videos, part by part."""
    truth = {Path(path).stem: path for path in sources.truth}
    splits = {"test": "test", "validation": "segments"}
    return [
        viewer.read_part(
            part,
            index,
            {Path(p).parent.name: p for p in sources.scores if Path(p).stem == part},
            truth.get(splits[part]),
        )
        for part, index in indexes.items()
    ]


def json_in_html(value: Any) -> Markup:
    """JSON that can stand in a <script>: nothing in it ends the element or opens a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def svg_of(path: str | Path) -> Markup:
    """The <svg> element of a figure's file, without what only a file needs."""
    text = Path(path).read_text(encoding="utf-8")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return Markup(text)


def sentence(maps: pd.DataFrame, process: Process) -> str:
    """The result in one sentence. maps: report_tables.map_by_iteration."""
    part = "test" if maps["test_map"].notna().any() else "validation"

    def value(kind: str) -> float | None:
        found = maps.loc[maps["kind"] == kind, f"{part}_map"]
        return float(found.iloc[0]) if len(found) else None

    ensemble, controls, first = value("ensemble"), value("control_ensemble"), value("F")
    count = f"{process.last} iteration{'' if process.last == 1 else 's'}"
    after = f"After {count} of EM" if process.last else "Without EM"
    text = f"{after} the ensemble reaches a {part} mAP of {ensemble:.3f}"
    if controls is not None:
        text += f", {compared(ensemble - controls)} that of models trained without EM"
    model = maps.loc[maps["kind"] == "F", "model"].iloc[0]
    text += "," if controls is None else " and"
    text = f"{text} {compared(ensemble - first)} the model it began with ({model})."
    if part == "validation":
        text += " The test set is not rated; these ratings selected the models too."
    return text


def compared(difference: float) -> str:
    """0.0151 -> "0.015 above"."""
    if round(abs(difference), 3) == 0:
        return "level with"
    return f"{abs(difference):.3f} {'above' if difference > 0 else 'below'}"


def table_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The results table: a row for each fine-tuned model and each ensemble, as in table.csv.

    A pretrained model has one if it is F (em.initial_stage). table: table.csv. Beside its columns:
    gain, mAP above the control without EM (on test, or on validation where test is not rated), None
    without one; what does not apply is None.
    """
    measure = "test_map" if table["test_map"].notna().any() else "validation_map"
    rows = _records(table[(table["stage"] != "pretrained") | (table["selected"] == 1)])
    controls = {(row["kind"], row["model"]): row[measure] for row in rows}
    for row in rows:
        kind = {"member": "control", "ensemble": "control_ensemble"}.get(row["kind"])
        control = controls.get((kind, row["model"]))
        row["gain"] = None if control is None else row[measure] - control
    return rows


def _losses(curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Each training with its first and last loss."""
    key = ["kind", "iteration", "model", "run", "labels"]
    of_run = curves.groupby(key, sort=False, dropna=False)["loss"]
    rows = of_run.agg(epochs="size", first="first", last="last").reset_index()
    estimation = rows["run"].str.rpartition("@")[2]
    return rows.assign(
        iteration=[f"{i:.0f}" if kind == "member" else "none" for kind, i in rows[key[:2]].values],
        seen=rows["labels"].map(figures.CURVES).where(rows["labels"] != "pseudo", estimation),
    ).to_dict("records")


def _longest(jobs: pd.DataFrame) -> list[dict[str, Any]]:
    seconds = (jobs["end"] - jobs["start"]).nlargest(LONGEST_JOBS)
    return [{"job": jobs["job"][row], "seconds": value} for row, value in seconds.items()]


def _compared_classes(
    results: Results, process: Process, table: pd.DataFrame, rated: Index
) -> dict[str, Any]:
    """What the page's table of classes needs. table: report_tables.ap_by_class."""
    return {
        "classes": _classes(table, rated),
        "columns": [name for name in table.columns if name not in ("class", "name")],
        "steps": _steps(results, process, table),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table; what is missing is None."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _classes(table: pd.DataFrame, index: Index) -> list[dict[str, Any]]:
    """The classes for the page's table: id, name, ap (by column), rated and positive segments.

    Ids are texts: JavaScript would round a number above 2^53.
    """
    rated = pd.DataFrame({"class": index.ratings.class_id, "positive": index.ratings.positive})
    counts = rated.groupby("class")["positive"].agg(["size", "sum"])
    columns = [name for name in table.columns if name not in ("class", "name")]
    rows = []
    for row in table.fillna({"name": ""}).to_dict("records"):
        size, positives = counts.loc[row["class"]] if row["class"] in counts.index else (0, 0)
        rows.append(
            {
                "id": str(row["class"]),
                "name": row["name"],
                "ap": [None if np.isnan(row[name]) else round(row[name], 4) for name in columns],
                "rated": int(size),
                "positives": int(positives),
            }
        )
    return rows


def _steps(results: Results, process: Process, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The changes that the page explains: from one column of the table to a later one.

    Each is {"before", "after": columns, "segments": {class id: rows as movers.COLUMNS without the
    class}}. A step between two iterations with the same teacher is left out, since nothing changed.
    """
    scorers = compared_scorers(results, process)
    pairs = [(process.teachers[0], "ensemble")]
    pairs += [("controls", "ensemble")] if process.controls else []
    pairs += pairwise(process.teachers)
    return [
        {
            "before": a,
            "after": b,
            "segments": _movers(results, scorers[a], scorers[b], table, (a, b)),
        }
        for a, b in pairs
        if scorers[a] != scorers[b]
    ]


def _movers(
    results: Results,
    before: tuple[str, str],
    after: tuple[str, str],
    table: pd.DataFrame,
    columns: tuple[str, str],
) -> dict[str, list[list[Any]]]:
    """before, after: see report_tables.compared_scorers. columns: theirs in the table."""
    change = dict(zip(table["class"], table[columns[1]] - table[columns[0]], strict=True))
    part = rated_part(results)
    rows = movers.movers(
        *(
            ratings_table.read(results.path(f"{run}/{part}.ratings.csv"))
            for run, _ in (before, after)
        ),
        (before[1], after[1]),
        change,
        SEGMENTS_BEHIND_A_CHANGE,
    )
    found: dict[str, list[list[Any]]] = {}
    for class_id, *cells in rows.itertuples(index=False):
        scores = [None if np.isnan(score) else round(float(score), 3) for score in cells[-2:]]
        found.setdefault(str(class_id), []).append([*cells[:-2], *scores])
    return found
