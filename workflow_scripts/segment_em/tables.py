"""table.csv: every model, stage and ensemble of an experiment with its scores."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from segment_em.files import replacing

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
# A pretrained member of iteration 0 or control has seen video labels, later ones pseudo-labels.
STAGES = ("pretrained", "finetuned")


def results_table(
    experiment: str | Path,
    iterations: int,
    members: Sequence[Sequence[str]],
    controls: Sequence[str],
) -> pd.DataFrame:
    """One row for each stage of each model and for each ensemble, in the order of the process.

    experiment: folder of the results. members: names of each iteration's members, 0 included.
    controls: names of the models trained without EM.
    """
    folder = Path(experiment)
    rows = []
    for iteration in range(iterations + 1):
        run = folder / f"em/iteration-{iteration}"
        selected = _read(run / "selected.json")["selected"]["weights"]
        for member in members[iteration]:
            rows += _model_rows("member", iteration, run / member, selected)
    rows += _ensemble_row("ensemble", iterations, folder / "ensemble")
    for model in controls:
        rows += _model_rows("control", "", folder / "controls" / model, None)
    if controls:
        rows += _ensemble_row("control_ensemble", "", folder / "controls" / "ensemble")
    return pd.DataFrame(rows, columns=COLUMNS)


def _model_rows(kind: str, iteration: int | str, run: Path, selected: str | None) -> list[dict]:
    validation, test = (_read(run / name)["results"] for name in ("validation.json", "test.json"))
    model, _, estimation = run.name.partition("@")
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
            "selected": int(str(run / f"{stage}.safetensors") == selected),
        }
        for stage in STAGES
    ]


def _ensemble_row(kind: str, iteration: int | str, run: Path) -> list[dict]:
    validation, test = (
        _read(run / name)["results"]["ensemble"] for name in ("validation.json", "test.json")
    )
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


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table as CSV; what does not apply to a row is empty."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def printable(table: pd.DataFrame) -> str:
    """The table for people: mAP to three places, spread behind it, an asterisk where selected."""
    shown = table.drop(columns=["selected", "validation_map_sd"]).astype(object)
    spread = [
        "" if pd.isna(mean) else f"{mean:.3f} ± {sd:.3f}"
        for mean, sd in zip(table["validation_map"], table["validation_map_sd"], strict=True)
    ]
    shown["validation_map"] = spread
    shown["test_map"] = ["" if pd.isna(value) else f"{value:.3f}" for value in table["test_map"]]
    shown["selected"] = ["*" if chosen else "" for chosen in table["selected"]]
    return shown.fillna("").to_string(index=False)


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
