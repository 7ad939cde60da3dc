"""table.csv: every model, stage and ensemble of an experiment with its scores."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from segment_em.files import read_json, replacing
from segment_em.provenance import inside
from segment_em.terms import STAGES

COLUMNS = [
    "kind",
    "iteration",
    "model",
    "estimation",
    "stage",
    "validation_map",
    "validation_map_sd",
    "test_map",
    "selected",
]


def read_table(path: str | Path) -> pd.DataFrame:
    """A CSV file in which only what is empty is missing: a class may be called NA, or 7."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"name": str})


def results_table(
    results: Iterable[str | Path], members: Sequence[Sequence[str]], controls: Sequence[str]
) -> pd.DataFrame:
    """One row for each stage of each model and for each mean, in the order of the process.

    results: results/<any experiment>/<run>/{validation,test}.json of all of them, and
    .../em/iteration-<i>/selected.json. members: names of each iteration's members, 0 included.
    controls: names of the models trained without EM. A mean that teaches has a row too.
    """
    found = {inside(path): read_json(path) for path in results}
    rows = []
    for iteration, names in enumerate(members):
        folder = f"em/iteration-{iteration}"
        selected = found[f"{folder}/selected.json"]["selected"]["weights"]
        for member in names:
            rows += _model_rows("member", iteration, f"{folder}/{member}", found, selected)
        if f"{folder}/ensemble/test.json" in found:
            rows += _mean_row("teacher", iteration, f"{folder}/ensemble", found)
    rows += _mean_row("ensemble", len(members) - 1, "ensemble", found)
    for model in controls:
        rows += _model_rows("control", "", f"controls/{model}", found, None)
    if controls:
        rows += _mean_row("control_ensemble", "", "controls/ensemble", found)
    return pd.DataFrame(rows, columns=COLUMNS)


def _model_rows(
    kind: str, iteration: int | str, run: str, found: Mapping[str, dict], selected: str | None
) -> list[dict]:
    validation, test = _results(run, found)
    model, _, estimation = run.rpartition("/")[2].partition("@")
    return [
        {
            "kind": kind,
            "iteration": iteration,
            "model": model,
            "estimation": estimation or "video_labels",
            "stage": stage,
            "validation_map": validation[stage]["map"],
            "validation_map_sd": validation[stage]["map_sd"],
            "test_map": test[stage]["map"],
            "selected": int(validation[stage]["scorer"] == selected),
        }
        for stage in STAGES
    ]


def _mean_row(kind: str, iteration: int | str, run: str, found: Mapping[str, dict]) -> list[dict]:
    validation, test = (results["ensemble"] for results in _results(run, found))
    return [
        {
            "kind": kind,
            "iteration": iteration,
            "model": "mean",
            "validation_map": validation["map"],
            "validation_map_sd": validation["map_sd"],
            "test_map": test["map"],
            "selected": 0,
        }
    ]


def _results(run: str, found: Mapping[str, dict]) -> list[dict]:
    """The results of both parts: {scorer's name: result}."""
    return [found[f"{run}/{part}.json"]["results"] for part in ("validation", "test")]


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table as CSV; what does not apply to a row is empty."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def printable(table: pd.DataFrame) -> str:
    """The table for people: mAP to three places, spread behind it, an asterisk where selected."""
    shown = table.drop(columns=["selected", "validation_map_sd"]).astype(object)
    pairs = zip(table["validation_map"], table["validation_map_sd"], strict=True)
    shown["validation_map"] = [_with_spread(mean, sd) for mean, sd in pairs]
    shown["test_map"] = ["" if pd.isna(value) else f"{value:.3f}" for value in table["test_map"]]
    shown["selected"] = ["*" if chosen else "" for chosen in table["selected"]]
    return shown.fillna("").to_string(index=False)


def _with_spread(mean: float, sd: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{mean:.3f}" if pd.isna(sd) else f"{mean:.3f} ± {sd:.3f}"
