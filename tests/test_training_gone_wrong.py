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

from segment_em.index import write_index
from segment_em.indexing import build_index
from segment_em.training_state import DIGEST_BYTES

ROOT = Path(__file__).parent.parent
VIDEOS, FRAMES, WIDTH = 12, 25, 4
BAD = "video2"  # not in the first batch
SETTINGS = {
    "architecture": "logistic",
    "options": {"fusion": "early", "context": 0},
    "features": [["clip", WIDTH]],
    "max_frames": FRAMES,
    "segment_frames": 5,
    "learning_rate": 0.01,
    "batch": 10,  # two videos
    "epochs": 4,
    "average_epochs": 0,
    "decay": "constant",
    "clip_norm": 1.0,
    "precision": "float32",
    "seed": 3,
    "video_loss": "mean",
}


def features_file(path):
    """Twelve videos of noise with a label each."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(VIDEOS, FRAMES, WIDTH)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["video_ids"] = [f"video{number}" for number in range(VIDEOS)]
        file["features/clip/frames"] = frames.reshape(-1, WIDTH)
        file["features/clip/indptr"] = np.arange(VIDEOS + 1) * FRAMES
        file["labels/indptr"] = np.arange(VIDEOS + 1)
        file["labels/indices"] = rng.choice([3, 8], VIDEOS)


def pretrain(folder, spoil=lambda frames: None, **changes):
    """The job, each step of which writes a state; returns how it ended.

    spoil: changes the frames [V, T, F] in place, behind the index, which refuses such values.
    """
    features_file(folder / "own.h5")
    index = build_index([folder / "own.h5"], {"clip": WIDTH}, 5)
    write_index(folder / "index.h5", index, {})
    with h5py.File(folder / "own.h5", "r+") as file:
        frames = file["features/clip/frames"][:].reshape(VIDEOS, FRAMES, WIDTH)
        spoil(frames)
        file["features/clip/frames"][:] = frames.reshape(-1, WIDTH)
    (folder / "classes.csv").write_text("Index\n3\n8\n")
    arguments = {
        "--config": json.dumps(SETTINGS | changes),
        "--gpus": "0",
        "--state-minutes": "1e-9",
        "--index": str(folder / "index.h5"),
        "--classes": str(folder / "classes.csv"),
        "--out": str(folder / "weights.safetensors"),
    }
    words = [word for pair in arguments.items() for word in pair]
    script = ROOT / "workflow_scripts/pretrain.py"
    return subprocess.run([sys.executable, script, *words], capture_output=True, text=True)


def spoil_with(value):
    def spoil(frames):
        frames[int(BAD.removeprefix("video")), 3, 1] = value

    return spoil


def still(frames):
    frames[:] = 0.5


CASES = {
    "a loss that is NaN": ({"spoil": spoil_with(math.nan)}, "loss nan, gradient norm nan", BAD),
    # An infinite score is the probability 0 or 1, and the loss of the video's mean is a number.
    "a gradient that is not finite": (
        {"spoil": spoil_with(math.inf)},
        r"loss \d\S+, gradient norm nan",
        BAD,
    ),
    "a run that diverges": (
        {"learning_rate": 10000.0, "clip_norm": 1e9},
        r"diverged: mean loss \S+, at the start \S+",
        "",
    ),
    "constant scores": ({"spoil": still}, "the same scores for all segments", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_training_that_goes_wrong_stops_with_its_place_and_keeps_the_last_good_state(
    name, tmp_path
):
    changes, problem, video = CASES[name]
    done = pretrain(tmp_path, **changes)
    assert done.returncode == 1
    *_, said = done.stderr.splitlines()
    rate = re.escape(format((SETTINGS | changes)["learning_rate"], "g"))
    place = re.fullmatch(
        rf"error: training: {problem}.* in step (?P<step>\d+) of epoch (?P<epoch>\d+) at learning "
        rf"rate {rate}, batch of videos .*{video}.*; .+; the last good state is (?P<state>.+)",
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
    done = pretrain(tmp_path, learning_rate=1e38)
    assert done.returncode == 1
    assert re.search(r"training: model\.\S+ is not finite after the update in step 1 ", done.stderr)
    assert "stopped before the first state was written" in done.stderr
    assert not list(tmp_path.rglob("*.state"))


def test_the_same_job_on_sound_videos_ends_well(tmp_path):
    done = pretrain(tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob(".*"))
