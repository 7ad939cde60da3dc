"""Each kind of job as a command, as the rules call it, on one chunk: what memory.py measures."""

import json
import sys
from pathlib import Path
from typing import Any

from measure import ROOT
from synthetic import CLASSES, FEATURES, MAX_FRAMES, SEGMENT_FRAMES

SCORING = {"max_frames": MAX_FRAMES, "segment_frames": SEGMENT_FRAMES, "precision": "float32"}
TRAINING = SCORING | {
    "architecture": "logistic",
    "options": {"fusion": "early", "context": 0},
    "features": list(FEATURES.items()),
    "learning_rate": 1e-3,
    "batch": 1920,  # segments: 32 videos
    "epochs": 1,
    "average_epochs": 0,
    "decay": "constant",
    "least_steps": 0,
    "clip_norm": 1.0,
    "seed": 0,
}
MEASURE = {"top_segments": 1000, "replicates": 20, "seed": 0}
RULE = {"rule": "class_quantile", "share": 0.35, "other_share": 0.05}
RECORDS = {
    "features": list(FEATURES.items()),
    "segment_frames": SEGMENT_FRAMES,
    "on_damage": "stop",
}
MACHINE = ["--threads", 1, "--workers", 0, "--gpus", 1]  # the CPU, where there is no GPU
BATCH = [*MACHINE, "--videos", 32]
STATE = [*MACHINE, "--state-minutes", 5]


Commands = dict[str, list[Any]]


def commands(folder: Path) -> Commands:
    """Kind of job -> command, in an order in which each has its inputs.

    folder: holds videos.tfrecord and classes.csv, and takes what the jobs write.
    """
    return {
        "index": _job(
            "index_records",
            RECORDS,
            *("--records", folder / "videos.tfrecord", "--out", folder / "index.h5"),
        ),
        **_training_on_human_labels(folder),
        **_em(folder),
        **_results(folder),
    }


def _training_on_human_labels(folder: Path) -> Commands:
    weights = folder / "pretrained.safetensors"
    return {
        "pretrain": _job(
            "pretrain",
            TRAINING | {"video_loss": "mean"},
            *(*STATE, *_index(folder), "--classes", folder / "classes.csv", "--out", weights),
        ),
        "finetune": _job(
            "finetune",
            TRAINING | {"validation_fraction": 0.2, "unrated_negatives": 0.0},
            *(*STATE, *_index(folder), "--weights", weights, "--out", _tuned(folder)),
        ),
    }


def _em(folder: Path) -> Commands:
    estimated = folder / "pseudo_labels.h5"
    label_set = folder / "label_set.csv"
    threshold = {"threshold": RULE, "estimation": "video_prior", "floor": 0.05}
    return {
        "estimate": _job(
            "estimate",
            SCORING | {"floor": 0.05, "top": 20},
            *(*BATCH, "--teacher", _tuned(folder), *_index(folder), "--out", estimated),
        ),
        "threshold": _job("label_set", threshold, "--pseudo-labels", estimated, "--out", label_set),
        "maximise": _job(
            "maximise",
            TRAINING | {"estimation": "video_prior", "labels": "hard", "agreement": False},
            *(*STATE, *_index(folder), "--pseudo-labels", estimated, "--label-set", label_set),
            *("--out", folder / "maximised.safetensors"),
        ),
    }


def _results(folder: Path) -> Commands:
    predictions = folder / "predictions.h5"
    read = [*_index(folder), "--predictions", predictions]
    return {
        "evaluate": _job(
            "evaluate",
            SCORING | {"measure": MEASURE},
            *(*BATCH, *_index(folder), "--scorer", "finetuned", _tuned(folder)),
            *("--ratings", folder / "ratings.csv", "--out", folder / "test.json"),
        ),
        "predict": _job(
            "predict",
            SCORING,
            *(*BATCH, "--ensemble", _tuned(folder), *_index(folder), "--out", predictions),
        ),
        "submission": _job(
            "submit", {"top_segments": 1000}, *read, "--out", folder / "submission.csv"
        ),
        "localisations": _job(
            "merge_segments",
            {"threshold": 0.015},  # a model of one epoch is sure of nothing
            *(*read, "--out", folder / "localisations.csv"),
        ),
    }


def _job(script: str, config: dict[str, Any], *arguments: Any) -> list[Any]:
    path = ROOT / "workflow_scripts" / f"{script}.py"
    return [sys.executable, path, "--config", json.dumps(config), *arguments]


def _index(folder: Path) -> list[Any]:
    return ["--index", folder / "index.h5"]


def _tuned(folder: Path) -> Path:
    return folder / "finetuned.safetensors"


def write_classes(folder: Path) -> None:
    lines = ["Index", *map(str, range(CLASSES))]
    (folder / "classes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
