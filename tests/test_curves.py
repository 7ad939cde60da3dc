"""Training curves: every point once, whatever stopped the job, and nothing of an earlier one."""

import errno
import math
import signal
import struct
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import PLAN, small_model
from tensorboardX.proto.event_pb2 import Event

from segment_em import poolings, training
from segment_em.curves import FILE, POINTS, Curves
from segment_em.dataset import Clips, Dequantise
from segment_em.errors import InputError, StoppedError
from segment_em.frames import FrameReader
from segment_em.targets import VideoLabels
from segment_em.training_state import StateFile

ROWS, STEPS_AN_EPOCH, EPOCHS = np.array([0, 1, 3, 4]), 2, PLAN.epochs


def curves_in(folder):
    """{name: [(number, value), ...]}, from the frames of the event files (TFRecords) in order."""
    found = defaultdict(list)
    for path in sorted(Path(folder).rglob("events.out.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (size,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + size])
            for value in event.summary.value:
                found[value.tag].append((event.step, value.simple_value))
            place += 16 + size
    return dict(found)


def run(index, folder, minutes=math.inf, spoil=lambda step: 1.0, keep=None, events="events"):
    """Train the logistic model; returns losses of the steps and of the epochs.

    spoil: what the loss of each step of this attempt is multiplied by; it may raise instead.
    keep: the state file, if not a new one.
    """
    model = small_model("logistic")
    clips = Clips(FrameReader(index, 25), 5, VideoLabels(index, np.array([3, 8, 20])), False)
    objective, losses = training.video_objective(5, 3, poolings.load("mean")), []

    def noted(logits_BSC, batch):
        loss = objective(logits_BSC, batch) * spoil(len(losses))
        losses.append(loss.item())
        return loss

    state = keep or StateFile(folder / "weights", "key", minutes)
    cpu, events = torch.device("cpu"), folder / events if events else None
    means = training.train(
        model, clips, ROWS, noted, Dequantise.of(index), PLAN, cpu, state, events
    )
    return losses, means


def test_each_step_and_epoch_has_its_point(small_index, tmp_path):
    losses, means = run(small_index, tmp_path)
    found = curves_in(tmp_path / "events")
    steps = range(EPOCHS * STEPS_AN_EPOCH)
    assert [number for number, _ in found["step/loss"]] == list(steps)
    assert [loss for _, loss in found["step/loss"]] == pytest.approx(losses)
    rates = [0.05 * (1 - step / len(steps)) for step in steps]
    assert [rate for _, rate in found["step/learning_rate"]] == pytest.approx(rates)
    assert all(norm > 0 for _, norm in found["step/gradient_norm"])
    assert [number for number, _ in found["epoch/loss"]] == [1, 2, 3]
    assert [loss for _, loss in found["epoch/loss"]] == pytest.approx(means)


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_job_that_was_stopped_and_went_on_has_the_points_of_one_that_was_not(
    small_index, tmp_path, at
):
    run(small_index, tmp_path / "whole")

    def stop(step):
        if step == at:
            signal.raise_signal(signal.SIGTERM)
        return 1.0

    with pytest.raises(StoppedError):
        run(small_index, tmp_path / "stopped", spoil=stop)
    run(small_index, tmp_path / "stopped")
    whole, stopped = (curves_in(tmp_path / name / "events") for name in ("whole", "stopped"))
    assert stopped == whole


def test_a_job_that_was_killed_after_its_last_state_has_no_step_twice(small_index, tmp_path):
    class KilledError(Exception):
        pass

    def kill(step):
        if step == 4:
            raise KilledError
        return 1.0

    state = StateFile(tmp_path / "weights", "key", minutes=0)  # a state after each step
    with pytest.raises(KilledError):
        run(small_index, tmp_path, keep=state, spoil=kill)
    state.seconds = math.inf
    run(small_index, tmp_path, keep=state)
    numbers = Counter(number for number, _ in curves_in(tmp_path / "events")["step/loss"])
    assert numbers == Counter(range(EPOCHS * STEPS_AN_EPOCH))


def test_a_job_that_starts_afresh_leaves_nothing_of_an_earlier_one(small_index, tmp_path):
    for _ in range(2):
        run(small_index, tmp_path)
    assert len(list((tmp_path / "events").iterdir())) == 1


def test_a_training_that_goes_wrong_leaves_its_curve(small_index, tmp_path):
    with pytest.raises(InputError, match="loss nan"):
        run(small_index, tmp_path, spoil=lambda step: math.nan if step == 3 else 1.0)
    found = curves_in(tmp_path / "events")["step/loss"]
    assert [number for number, _ in found] == [0, 1, 2]


def test_curves_change_no_loss(small_index, tmp_path):
    with_curves = run(small_index, tmp_path)
    without = run(small_index, tmp_path, events=None)
    assert with_curves == without


def test_a_long_job_has_a_thousand_points_at_most(tmp_path):
    curves = Curves(tmp_path / "events", steps=25_432)
    for number in range(25_432):
        curves.step(number, 1.0, 0.1, 2.0)
    curves.flush()
    found = curves_in(tmp_path / "events")["step/loss"]
    assert POINTS / 2 < len(found) <= POINTS
    assert {b - a for (a, _), (b, _) in pairwise(found)} == {26}


def test_a_disk_that_is_full_ends_the_job_in_one_line(tmp_path):
    curves = Curves(tmp_path / "events", steps=1)
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / FILE).symlink_to("/dev/full")
    curves.step(0, loss=1.0, learning_rate=0.1, norm=1.0)
    with pytest.raises(InputError, match=f"events/{FILE}: cannot be written: No space left"):
        curves.flush()
    curves.flush()  # as the job ends: it is said once


def test_a_curve_that_cannot_be_replaced_is_not_added_to(tmp_path, monkeypatch):
    def refuse(path, missing_ok):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    (tmp_path / "events").mkdir()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(InputError, match=f"events/{FILE}: cannot be written: Read-only"):
        Curves(tmp_path / "events", steps=1)
