"""A training job that goes wrong stops, says where, and keeps its last good state: the real job."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load

from segment_em import pseudo_label_files
from segment_em.checkpoint import Specification, save_weights
from segment_em.index_files import write_index
from segment_em.indexing import build_index
from segment_em.label_sets import label_set
from segment_em.training_state import DIGEST_BYTES

ROOT = Path(__file__).parent.parent
VIDEOS, FRAMES, WIDTH, CLASS_IDS, SEGMENTS = 12, 25, 4, [3, 8], 5
BAD = 2  # not in the first batch; a video in which no class occurs
FEATURE = 1  # the weights of both classes for it are below 0 at the start
SETTINGS = {
    "architecture": "logistic",
    "options": {"fusion": "early", "context": 0},
    "features": [["clip", WIDTH]],
    "max_frames": FRAMES,
    "segment_frames": FRAMES // SEGMENTS,
    "learning_rate": 0.01,
    "batch": 10,  # two videos
    "epochs": 4,
    "average_epochs": 0,
    "decay": "constant",
    "least_steps": 0,
    "clip_norm": 1.0,
    "precision": "float32",
    "seed": 3,
}


def features_file(path):
    """Twelve videos of noise: a label each but the bad one, a rating of each segment and class."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(VIDEOS, FRAMES, WIDTH)).astype(np.float32)
    starts = np.repeat(np.arange(0, FRAMES, FRAMES // SEGMENTS), len(CLASS_IDS))
    scores = rng.integers(0, 2, (VIDEOS, len(starts)))
    scores[BAD] = 0
    with h5py.File(path, "w") as file:
        file["video_ids"] = [f"video{number}" for number in range(VIDEOS)]
        file["features/clip/frames"] = frames.reshape(-1, WIDTH)
        file["features/clip/indptr"] = np.arange(VIDEOS + 1) * FRAMES
        file["labels/indptr"] = np.cumsum([0, *(n != BAD for n in range(VIDEOS))])
        file["labels/indices"] = rng.choice(CLASS_IDS, VIDEOS - 1)
        file["ratings/indptr"] = np.arange(VIDEOS + 1) * len(starts)
        file["ratings/start_second"] = np.tile(starts, VIDEOS)
        file["ratings/class_id"] = np.tile(CLASS_IDS, VIDEOS * SEGMENTS)
        file["ratings/score"] = scores.ravel()


def for_pretraining(folder):
    (folder / "classes.csv").write_text("Index\n3\n8\n")
    return {"video_loss": "mean"}, {"--classes": folder / "classes.csv"}


def for_m_step(folder):
    """Scores of a teacher that are noise, but for the bad video's."""
    rng = np.random.default_rng(1)
    scores = rng.random((VIDEOS * SEGMENTS, len(CLASS_IDS)), np.float32)
    scores[BAD * SEGMENTS : (BAD + 1) * SEGMENTS] = 0
    carried = np.ones(scores.shape, bool)
    sparse = pseudo_label_files.sparse_scores(scores, carried, 0.0, 0, np.zeros_like(scores))
    ids, indptr = [f"video{number}" for number in range(VIDEOS)], np.arange(VIDEOS + 1) * SEGMENTS
    pseudo_label_files.write_pseudo_labels(
        folder / "labels.h5", sparse, ids, indptr, np.array(CLASS_IDS), {}
    )
    table = label_set([folder / "labels.h5"], "video_prior", "fixed", {"delta": 0.5}, None, 0.0)
    table.to_csv(folder / "labels.csv", index=False)
    config = {"estimation": "video_prior", "labels": "hard", "agreement": False}
    return config, {"--pseudo-labels": folder / "labels.h5", "--label-set": folder / "labels.csv"}


def for_fine_tuning(folder):
    torch.manual_seed(SETTINGS["seed"])
    keys = ("architecture", "options", "features", "segment_frames")
    architecture, options, features, segment_frames = (SETTINGS[key] for key in keys)
    fresh = Specification(architecture, options, features, CLASS_IDS, segment_frames)
    save_weights(folder / "pretrained.safetensors", fresh.build(), fresh, {}, "cpu")
    config = {"validation_fraction": 0.0, "unrated_negatives": 0.0}
    return config, {"--weights": folder / "pretrained.safetensors"}


STAGES = {
    "pretrain": for_pretraining,
    "maximise": for_m_step,
    "finetune": for_fine_tuning,
}


def train(stage, folder, spoil=lambda frames: None, **changes):
    """The job of a stage, each step of which writes a state; returns how it ended.

    spoil: changes the frames [V, T, F] in place, behind the index, which refuses such values.
    """
    features_file(folder / "own.h5")
    index = build_index([folder / "own.h5"], {"clip": WIDTH}, 5)
    write_index(folder / "index.h5", index, {})
    with h5py.File(folder / "own.h5", "r+") as file:
        frames = file["features/clip/frames"][:].reshape(VIDEOS, FRAMES, WIDTH)
        spoil(frames)
        file["features/clip/frames"][:] = frames.reshape(-1, WIDTH)
    config, files = STAGES[stage](folder)
    arguments = {
        "--config": json.dumps(SETTINGS | config | changes),
        **{"--threads": "1", "--workers": "0", "--gpus": "0"},
        "--state-minutes": "1e-9",
        "--index": str(folder / "index.h5"),
        "--out": str(folder / "weights.safetensors"),
    } | {option: str(file) for option, file in files.items()}
    words = [word for pair in arguments.items() for word in pair]
    script = ROOT / f"workflow_scripts/{stage}.py"
    return subprocess.run([sys.executable, script, *words], capture_output=True, text=True)


def spoil_with(value):
    def spoil(frames):
        frames[BAD, :, FEATURE] = value

    return spoil


def still(frames):
    frames[:] = 0.5


CASES = {
    "a loss that is NaN": ({"spoil": spoil_with(math.nan)}, "loss nan, gradient norm nan", BAD),
    # Both classes surely occur, by their scores, where neither does.
    "an infinite loss": ({"spoil": spoil_with(-math.inf)}, r"loss inf, gradient norm \S+", BAD),
    # The loss is about as large as the feature; the square in the norm is no number any more.
    "a gradient that is not finite": (
        {"spoil": spoil_with(-6e37)},
        r"loss \d\S+, gradient norm inf",
        BAD,
    ),
    "a run that diverges": (
        {"learning_rate": 10000.0, "clip_norm": 1e9},
        r"diverged: mean loss \S+, at the start \S+",
        "",
    ),
    "constant scores": ({"spoil": still}, "the same scores for all segments", ""),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", CASES)
def test_training_that_goes_wrong_stops_with_its_place_and_keeps_the_last_good_state(
    name, stage, tmp_path
):
    changes, problem, video = CASES[name]
    done = train(stage, tmp_path, **changes)
    assert done.returncode == 1
    *_, said = done.stderr.splitlines()
    rate = re.escape(format((SETTINGS | changes)["learning_rate"], "g"))
    place = re.fullmatch(
        rf"error: training: {problem}.* in step (?P<step>\d+) of epoch (?P<epoch>\d+) at learning "
        rf"rate {rate}, batch of videos .*video{video}.*; .+; the last good state is (?P<state>.+)",
        said,
    )
    assert place, said
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "weights.safetensors").exists()
    # What the file holds is checked by hand: its digest, then the tensors.
    tensors = load(Path(place["state"]).read_bytes()[DIGEST_BYTES:])
    epoch, step = int(place["epoch"]) - 1, int(place["step"]) - 1
    assert tensors["position"].tolist() == [epoch, step]
    for key, tensor in tensors.items():
        assert torch.isfinite(tensor.double()).all(), key


def test_an_update_beyond_all_numbers_is_not_kept_as_a_state(tmp_path):
    done = train("pretrain", tmp_path, learning_rate=1e38)
    assert done.returncode == 1
    assert re.search(r"training: model\.\S+ is not finite after the update in step 1 ", done.stderr)
    assert "stopped before the first state was written" in done.stderr
    assert not list(tmp_path.rglob("*.state"))


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_job_on_sound_videos_ends_well(stage, tmp_path):
    done = train(stage, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob(".*"))
