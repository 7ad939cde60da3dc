"""A training job that is stopped or killed and started again ends with the same weights."""

import json
import logging
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_models
import torch
import waiting
from small_models import SMALL, small_model
from small_records import FEATURES

from segment_em import poolings, training
from segment_em.dataset import Clips, Dequantise
from segment_em.errors import StoppedError
from segment_em.frames import FrameReader
from segment_em.index_files import write_index
from segment_em.targets import VideoLabels
from segment_em.training_state import StateFile

ROOT = Path(__file__).parent.parent
CLASS_IDS = np.array([3, 8, 20])
ROWS = np.array([0, 1, 3, 4])
PLAN = replace(small_models.PLAN, average_epochs=2, videos=1)
STEPS_AN_EPOCH, EPOCHS = 4, PLAN.epochs


@pytest.fixture(autouse=True)
def one_thread():
    """As a job has it by default; small models only lose by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class KilledError(Exception):
    pass


def killed():
    raise KilledError


def stopped():
    signal.raise_signal(signal.SIGTERM)


def run(index, state, architecture, plan=PLAN, interrupt=None, at=None):
    """Train a small model; call `interrupt` in step `at` of this attempt."""
    model = small_model(architecture)
    clips = Clips(FrameReader(index, 25), 5, VideoLabels(index, CLASS_IDS), False)
    objective = training.video_objective(5, 3, poolings.load("mean"))
    steps = []

    def counted(logits_BSC, batch):
        steps.append(batch.rows)
        if len(steps) == at:
            interrupt()
        return objective(logits_BSC, batch)

    cpu = torch.device("cpu")
    losses = training.train(model, clips, ROWS, counted, Dequantise.of(index), plan, cpu, state)
    return model.state_dict(), losses, steps


def assert_same(one, other):
    assert one[1] == other[1]
    assert list(one[0]) == list(other[0])
    for name, tensor in one[0].items():
        assert torch.equal(tensor, other[0][name]), name


def new_state(folder, key="key", minutes=math.inf):
    return StateFile(folder / "weights.safetensors", key, minutes)


@pytest.mark.parametrize(("rank", "writes"), [(0, True), (1, False)])
def test_the_process_that_writes_says_when_it_is_time(
    small_index, tmp_path, monkeypatch, rank, writes
):
    monkeypatch.setattr(training.processes, "rank", lambda: rank)
    asked, highest = [], training.processes.highest
    monkeypatch.setattr(
        training.processes, "highest", lambda *values: asked.append(values) or highest(*values)
    )
    run(small_index, new_state(tmp_path, minutes=0), "logistic")
    assert {bool(due) for _, due in (values for values in asked if len(values) == 2)} == {writes}


# The first step, within an epoch, the last of an epoch, the first of the next, the last of all
@pytest.mark.parametrize("at", [1, 3, STEPS_AN_EPOCH, STEPS_AN_EPOCH + 1, EPOCHS * STEPS_AN_EPOCH])
@pytest.mark.parametrize("architecture", SMALL)
def test_a_run_stopped_by_a_signal_goes_on_to_the_same_bits(
    small_index, tmp_path, architecture, at
):
    whole = run(small_index, new_state(tmp_path / "other"), architecture)
    with pytest.raises(StoppedError, match="SIGTERM") as caught:
        run(small_index, new_state(tmp_path), architecture, interrupt=stopped, at=at)
    assert caught.value.signal_number == signal.SIGTERM
    torch.manual_seed(99)  # another process
    rest = run(small_index, new_state(tmp_path), architecture)
    assert len(rest[2]) == EPOCHS * STEPS_AN_EPOCH - at, "what was seen is not read again"
    assert_same(whole, rest)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("architecture", SMALL)
def test_a_run_killed_again_and_again_goes_on_from_its_last_state(
    small_index, tmp_path, architecture, workers
):
    plan = replace(PLAN, workers=workers)
    whole = run(small_index, new_state(tmp_path / "other"), architecture)
    for at in np.random.default_rng(7).integers(2, 5, 3):
        with pytest.raises(KilledError):
            run(small_index, new_state(tmp_path, minutes=0), architecture, plan, killed, at)
    assert_same(whole, run(small_index, new_state(tmp_path), architecture, plan))


def test_signals_have_their_old_handlers_after_training(small_index, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    run(small_index, new_state(tmp_path), "logistic")
    with pytest.raises(StoppedError):
        run(small_index, new_state(tmp_path), "logistic", interrupt=stopped, at=2)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_state_of_other_work_is_told_not_picked_up_and_makes_way_for_a_new_one(
    small_index, tmp_path, caplog
):
    whole = run(small_index, new_state(tmp_path / "other"), "bigru")
    with pytest.raises(StoppedError):
        run(small_index, new_state(tmp_path, "old"), "bigru", interrupt=stopped, at=3)
    assert_same(whole, run(small_index, new_state(tmp_path, "new", minutes=0), "bigru"))
    assert caplog.text.count("the state there is of other settings") == 1
    assert [path.name for path in new_state(tmp_path).folder.iterdir()] == ["new.state"]


def test_a_state_that_was_renamed_is_not_taken_for_another(small_index, tmp_path, caplog):
    with pytest.raises(StoppedError):
        run(small_index, new_state(tmp_path, "old"), "logistic", interrupt=stopped, at=3)
    new_state(tmp_path, "old").path.rename(new_state(tmp_path, "new").path)
    assert new_state(tmp_path, "new").load() is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "folder"])
def test_a_damaged_state_is_one_log_line_and_a_start_from_the_beginning(
    small_index, tmp_path, caplog, damage
):
    whole = run(small_index, new_state(tmp_path / "other"), "bigru")
    with pytest.raises(StoppedError):
        run(small_index, new_state(tmp_path), "bigru", interrupt=stopped, at=3)
    path = new_state(tmp_path).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes({"cut": content[:-9], "flipped": content, "empty": b""}[damage])
    caplog.clear()
    caplog.set_level(logging.WARNING)
    again = run(small_index, new_state(tmp_path), "bigru")
    assert len(again[2]) == EPOCHS * STEPS_AN_EPOCH
    assert [record.message for record in caplog.records] == [caplog.messages[0]]
    assert caplog.messages[0].endswith("starting from the beginning")
    assert_same(whole, again)


# The adapters, as a scheduler treats them --------------------------------------------------------

SETTINGS = {
    "architecture": "bigru",
    "options": SMALL["bigru"],
    "features": [list(pair) for pair in FEATURES.items()],
    "max_frames": 25,
    "segment_frames": 5,
    "learning_rate": 0.01,
    "batch": 2,
    "epochs": 60,
    "average_epochs": 0,
    "decay": "linear",
    "least_steps": 0,
    "clip_norm": 1.0,
    "precision": "float32",
    "seed": 3,
    "video_loss": "mean",
}


@pytest.fixture
def job(tmp_path, small_index):
    """A function that starts pretrain.py; every step writes a state."""
    write_index(tmp_path / "index.h5", small_index, {})
    (tmp_path / "classes.csv").write_text("Index\n3\n8\n20\n")

    def start(out, threads=1, **changes):
        arguments = {
            "--threads": str(threads),
            "--workers": "0",
            "--gpus": "0",
            "--config": json.dumps(SETTINGS | changes),
            "--state-minutes": "1e-9",
            "--index": str(tmp_path / "index.h5"),
            "--classes": str(tmp_path / "classes.csv"),
            "--out": str(tmp_path / out / "weights.safetensors"),
        }
        return subprocess.Popen(
            [
                *(sys.executable, str(ROOT / "workflow_scripts/pretrain.py")),
                *(word for pair in arguments.items() for word in pair),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def wait_for_state(folder):
    waiting.until(lambda: list(folder.glob(".weights.state/*.state")), pause=0.01)


def test_a_job_that_gets_sigterm_and_sigkill_ends_with_the_bytes_of_one_that_does_not(
    job, tmp_path
):
    whole = job("whole")
    assert whole.wait() == 0, whole.stderr.read()
    for number, status in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9)):
        stopped_job = job("stopped")
        wait_for_state(tmp_path / "stopped")
        os.kill(stopped_job.pid, number)
        said = stopped_job.communicate()[1]
        assert stopped_job.returncode == status, said
        assert not (tmp_path / "stopped/weights.safetensors").exists()
        if number == signal.SIGTERM:
            assert "stopped by SIGTERM after step" in said
            assert "Traceback" not in said
    last = job("stopped")
    said = last.communicate()[1]
    assert last.returncode == 0, said
    assert "going on after step" in said
    weights = [tmp_path / out / "weights.safetensors" for out in ("whole", "stopped")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (tmp_path / "stopped/.weights.state").exists(), "no state is left of a finished job"


@pytest.mark.parametrize("other", [{"epochs": 1}, {"threads": 2}])
def test_a_job_under_other_conditions_does_not_go_on_from_the_state(job, tmp_path, other):
    first = job("out")
    wait_for_state(tmp_path / "out")
    first.terminate()
    assert first.wait() == 128 + signal.SIGTERM
    other = job("out", **other)
    said = other.communicate()[1]
    assert other.returncode == 0, said
    assert "going on" not in said
