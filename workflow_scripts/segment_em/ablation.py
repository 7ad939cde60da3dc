"""What variations of an experiment are worth, over several data sets and seeds, and how sure it is.

One experiment is boiled down to a few measures, each with its bootstrap draws; since experiments on
one test set draw the same videos, the difference of two draws is a paired one.
"""

# S seeds, B bootstrap draws

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segment_em import label_set_files, ratings_table
from segment_em.files import read_json, write_json
from segment_em.provenance import inside, write_how
from segment_em.tables import read_table

# A class that occurs in fewer videos may be without positives.
VIDEOS_OF_A_CLASS = 10
SEED = 0  # of the draws of test videos, whatever an experiment's own seed
RUN = ("data", "variation", "seed")


def summarise(
    table_path: str | Path,
    ratings: Iterable[str | Path],
    selections: Iterable[str | Path],
    label_sets: Sequence[str],
    replicates: int,
    out: str | Path,
    stamp: Mapping[str, Any],
) -> None:
    """Write summary.json: {"measures": {name: {"map", "draws"}}, "starved": {label set: classes}}.

    table_path: the experiment's table.csv. ratings: results/<any experiment>/<run>/test.ratings.csv
    of all that have a row there. selections: selected.json of each iteration, in order. label_sets:
    CSV files of the E-steps. replicates: draws of the test videos, the same for all experiments on
    one test set. Measures: test mAP of the `ensemble`, of the `controls`, as `iteration <i>` of the
    model of that iteration that validation prefers, as `F<i>` of the selected one and, as `T<i>`,
    of the mean that teaches, where one does; `T0` is F0. A draw is None where it holds no positive
    rating.
    """
    found = {inside(Path(path).parent): path for path in ratings}
    measures = {
        name: {
            "map": row["test_map"],
            "draws": _draws(found[_run(row)], row["stage"] or "ensemble", replicates),
        }
        for name, row in _measured(read_table(table_path), map(read_json, selections))
    }
    report = {"measures": measures, "starved": {path: _starved(path) for path in label_sets}}
    write_json(out, report | {"stamp": dict(stamp)})
    write_how(out, stamp)


def _draws(ratings_path: str | Path, scorer: str, replicates: int) -> list[float | None]:
    table = ratings_table.read(ratings_path)
    drawn = table.bootstrap_map(scorer, replicates, SEED, "map").tolist()
    return [None if math.isnan(value) else value for value in drawn]


def _measured(
    table: pd.DataFrame, selections: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(measure, its row of table.csv)."""
    table = table.fillna({"estimation": "", "stage": ""})
    members, means = (table[table["kind"] == kind] for kind in ("member", "teacher"))
    rows = {(_run(row), row["stage"]): row for _, row in members.iterrows()}
    for iteration, selection in enumerate(selections):
        candidates = {_of_experiment(one): one[selection["by"]] for one in selection["among"]}
        own = [key for key in candidates if key[0].startswith(f"em/iteration-{iteration}/")]
        yield f"iteration {iteration}", rows[max(own, key=candidates.__getitem__)]
        selected = rows[_of_experiment(selection["selected"])]
        yield f"F{iteration}", selected
        if len(means):
            of_now = means[means["iteration"] == iteration]
            yield f"T{iteration}", of_now.iloc[0] if iteration else selected
    for name, kind in (("ensemble", "ensemble"), ("controls", "control_ensemble")):
        for _, row in table[table["kind"] == kind].iterrows():
            yield name, row


def _of_experiment(candidate: Mapping[str, Any]) -> tuple[str, str]:
    """(run, stage) of a candidate, whose weights may be another experiment's too."""
    return inside(Path(candidate["weights"]).parent), candidate["stage"]


def _run(row: Mapping[str, Any]) -> str:
    """The folder of a row's results, below its experiment's."""
    if row["kind"] == "teacher":
        return f"em/iteration-{row['iteration']:.0f}/ensemble"
    if row["kind"] != "member":
        return {"ensemble": "ensemble", "control_ensemble": "controls/ensemble"}[row["kind"]]
    estimation = "" if row["iteration"] == 0 else f"@{row['estimation']}"
    return f"em/iteration-{row['iteration']:.0f}/{row['model']}{estimation}"


def _starved(path: str) -> list[int]:
    """Classes of at least VIDEOS_OF_A_CLASS videos without a positive segment."""
    table = label_set_files.read(path)
    starved = (table["videos"] >= VIDEOS_OF_A_CLASS) & (table["positives"] == 0)
    return table["class"][starved].tolist()


def runs_table(runs: Sequence[Mapping[str, Any]], summaries: Sequence[str | Path]) -> pd.DataFrame:
    """A row an experiment: data, variation, seed, test mAP of each measure, starved classes."""
    rows = []
    for run, path in zip(runs, summaries, strict=True):
        summary = read_json(path)
        scores = {name: measure["map"] for name, measure in summary["measures"].items()}
        starved = len(set().union(*summary["starved"].values()))
        rows.append({key: run[key] for key in RUN} | scores | {"starved": starved})
    return pd.DataFrame(rows)


class Draws:
    """Bootstrap draws of every measure, by data, variation and seed."""

    def __init__(self, runs: Sequence[Mapping[str, Any]], summaries: Sequence[str | Path]) -> None:
        """runs: {"data", "variation", "seed"} of each; summaries: their summary.json."""
        self.found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for run, path in zip(runs, summaries, strict=True):
            measures = read_json(path)["measures"]
            self.found.setdefault((run["data"], run["variation"]), []).append(measures)
        self.data = list(dict.fromkeys(run["data"] for run in runs))
        self.variations = list(dict.fromkeys(run["variation"] for run in runs))

    def maps(self, data: str, variation: str, measure: str) -> np.ndarray:
        """float64 [S]: test mAP of each seed."""
        return np.array([m[measure]["map"] for m in self.found[data, variation]])

    def hold(self, variation: str, measure: str) -> bool:
        """Whether all experiments of a variation have a measure."""
        found = (run for data in self.data for run in self.found[data, variation])
        return all(measure in measures for measures in found)

    def draws(self, data: str, variation: str, measure: str) -> np.ndarray:
        """float64 [S, B]."""
        return np.array([m[measure]["draws"] for m in self.found[data, variation]], float)


def differences(draws: Draws) -> pd.DataFrame:
    """Paired differences of test mAP, by data and on the mean of all data.

    Columns: data, variation, difference, mean, sd (over seeds; empty for all data), se (of the
    mean, for other test videos and other seeds; see Error). Each variation's ensemble is compared
    with its controls, if it has any, and with the ensemble of the first variation; each mean that
    teaches, with the teacher before and with F of its iteration.
    """
    rows = []
    for variation in draws.variations:
        for name, pair in _pairs(draws, variation):
            rows += _difference_rows(draws, variation, name, pair)
    return pd.DataFrame(rows)


Side = tuple[str, str]  # variation, measure


def _pairs(draws: Draws, variation: str) -> Iterator[tuple[str, tuple[Side, Side]]]:
    """(name, what is compared with what) of each difference of a variation."""
    first, ensemble = draws.variations[0], (variation, "ensemble")
    if draws.hold(variation, "controls"):
        yield "ensemble - controls", (ensemble, (variation, "controls"))
    if variation != first:
        yield f"ensemble - {first}", (ensemble, (first, "ensemble"))
    for i in count(1):
        if not draws.hold(variation, f"T{i}"):
            return
        for other in (f"T{i - 1}", f"F{i}"):
            yield f"T{i} - {other}", ((variation, f"T{i}"), (variation, other))


def _difference_rows(
    draws: Draws, variation: str, name: str, pair: tuple[Side, Side]
) -> list[dict[str, Any]]:
    rows, errors = [], []
    for data in draws.data:
        maps_S = np.subtract(*(draws.maps(data, *side) for side in pair))
        draws_SB = [draws.draws(data, *side) for side in pair]
        # A variation may draw more often than another; the first draws are the same.
        common = min(side.shape[1] for side in draws_SB)
        errors.append(Error.of(maps_S, np.subtract(*(side[:, :common] for side in draws_SB))))
        sd = maps_S.std(ddof=1) if len(maps_S) > 1 else None
        se = standard_error(errors[-1:])
        rows.append({"data": data, "mean": maps_S.mean(), "sd": sd, "se": se})
    mean = float(np.mean([row["mean"] for row in rows]))
    rows.append({"data": "all", "mean": mean, "sd": None, "se": standard_error(errors)})
    head = {"variation": variation, "difference": name}
    return [{"data": row.pop("data")} | head | row for row in rows]


@dataclass(frozen=True)
class Error:
    """Variance of a mean over the seeds of one data set, by where it comes from.

    videos: from which test videos there are. seeds: from all else that a seed changes; an estimate,
    so that it may come out below 0.
    """

    videos: float
    seeds: float

    @classmethod
    def of(cls, values_S: np.ndarray, draws_SB: np.ndarray) -> "Error":
        """values_S: one difference a seed. draws_SB: the same on videos drawn again.

        Column b draws the same places in the list of test videos for each seed: the same videos
        where seeds share a test set, so that its chance does not average out over them; others
        where each seed simulates its own, so that it does.
        """
        videos = float(np.nanvar(draws_SB.mean(axis=0), ddof=1))
        seeds = len(values_S)
        if seeds == 1:
            return cls(videos, 0.0)
        # Seeds also differ by having other videos, which must not count twice.
        noise_SB = draws_SB - np.nanmean(draws_SB, axis=1, keepdims=True)
        by_videos = float(np.nanmean(noise_SB.var(axis=0, ddof=1)))
        # At least what other videos for each seed alone would make of it, as an estimate may miss.
        videos = max(videos, by_videos / seeds)
        return cls(videos, (float(values_S.var(ddof=1)) - by_videos) / seeds)


def standard_error(errors: Sequence[Error]) -> float:
    """Of the mean over data sets, each with the mean over its seeds; of one data set alike."""
    variance = sum(e.videos for e in errors) + max(0.0, sum(e.seeds for e in errors))
    return math.sqrt(variance) / len(errors)


def checks(draws: Draws, runs: pd.DataFrame) -> pd.DataFrame:
    """What the process promises, for the first variation: by data, met or not, and by how much.

    Columns: data, promise, value (difference of test mAP, or a count), limit, met.
    """
    first, rows = draws.variations[0], []
    own = runs[runs["variation"] == first]
    for data in draws.data:
        here = own[own["data"] == data]
        if draws.hold(first, "controls"):
            gain = (here["ensemble"] - here["controls"]).mean()
            rows.append((data, "ensemble above its controls", gain, 0.0, gain > 0))
        gain = (here["ensemble"] - here["iteration 0"]).mean()
        rows.append((data, "ensemble not below iteration 0", gain, 0.0, gain >= 0))
        for before, after in _neighbours(here):
            rise_SB = draws.draws(data, first, after) - draws.draws(data, first, before)
            rise_S = draws.maps(data, first, after) - draws.maps(data, first, before)
            rise, se = rise_S.mean(), standard_error([Error.of(rise_S, rise_SB)])
            rows.append((data, f"{after} not a standard error below", rise, -se, rise >= -se))
        starved = int(here["starved"].max())
        rows.append((data, "starved classes", starved, 0, starved == 0))
    return pd.DataFrame(rows, columns=["data", "promise", "value", "limit", "met"])


def _neighbours(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Measures of an iteration and of the next one, as far as all runs have them."""
    there = [name for name in runs if runs[name].notna().all()]
    kinds = (r"iteration \d+", r"F\d+", r"T\d+")
    families = ([name for name in there if re.fullmatch(kind, name)] for kind in kinds)
    return [pair for family in families for pair in pairwise(family)]
