"""The training loop: it learns, repeats itself to the bit, and stops at what is not finite."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from segment_em import training
from segment_em.dataset import Clips
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.models import build
from segment_em.stages import dequantiser
from segment_em.targets import Ratings, VideoLabels

CLASS_IDS = np.array([3, 8, 20])
FEATURES = {"rgb": 8, "audio": 4}
PLAN = training.Plan(
    epochs=3,
    videos=2,
    learning_rate=0.05,
    decay="linear",
    clip_norm=1.0,
    precision="float32",
    seed=5,
    workers=0,
)


def fresh_model(architecture="logistic", **options):
    torch.manual_seed(1)
    return build(architecture, FEATURES, 3, 5, {"fusion": "early", **options})


def run(index, plan=PLAN, model=None, rows=(0, 1, 3, 4)):
    model = model or fresh_model()
    clips = Clips(FrameReader(index, 25), 5, VideoLabels(index, CLASS_IDS), False)
    objective = training.video_objective(5, 3, "mean")
    losses = training.train(
        model, clips, np.array(rows), objective, dequantiser(index), plan, torch.device("cpu")
    )
    return model, losses


def with_(plan, **changes):
    return training.Plan(**{**plan.__dict__, **changes})


def test_the_loss_falls_and_there_is_one_an_epoch(small_index):
    losses = run(small_index, with_(PLAN, epochs=30))[1]
    assert len(losses) == 30
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_weights_are_the_same_to_the_bit_for_any_number_of_loader_workers(small_index, workers):
    dropout = {"layers": 1, "hidden": 4, "dropout": 0.5}
    one, _ = run(small_index, PLAN, fresh_model("bigru", **dropout))
    torch.manual_seed(99)  # what was drawn before must not matter
    model = fresh_model("bigru", **dropout)
    torch.randn(7)
    other, _ = run(small_index, with_(PLAN, workers=workers), model)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_another_seed_gives_another_order(small_index):
    one, other = (run(small_index, with_(PLAN, seed=seed))[0] for seed in (1, 2))
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


def test_one_step_is_adams_with_the_clipped_gradient(small_index):
    """Reference: the first step of Adam moves each weight by the rate times the gradient's sign."""
    model = fresh_model()
    before = model.classifier.bias.detach().clone()
    run(small_index, with_(PLAN, epochs=1, videos=4, decay="constant"), model)
    moved = model.classifier.bias.detach() - before
    torch.testing.assert_close(moved.abs(), torch.full((3,), 0.05), atol=1e-4, rtol=0)


def test_linear_decay_reaches_zero_after_the_last_step(small_index):
    rates = []
    optimiser = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 0.1)
    schedule = training._schedule(optimiser, with_(PLAN, decay="linear"), 4)
    for _ in range(4):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert optimiser.param_groups[0]["lr"] == 0.0


def test_a_loss_that_is_not_finite_stops_with_epoch_rate_and_videos(small_index):
    model = fresh_model()
    with torch.no_grad():
        model.classifier.bias[0] = math.nan
    with pytest.raises(
        InputError, match=r"loss nan.*epoch 1 at learning rate 0\.05.*videos [abde]"
    ):
        run(small_index, model=model)


def test_the_rated_objective_is_the_mean_over_what_is_rated(small_index):
    """Reference: eq. 17 as a loop over the ratings of video a, from small_records."""
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([0])]
    logits = torch.linspace(-2, 2, 9).reshape(1, 3, 3)
    rated = [(0, 0, 1.0), (1, 1, 0.0), (2, 2, 1.0)]
    expected = sum(
        functional.binary_cross_entropy_with_logits(logits[0, s, c], torch.tensor(y))
        for s, c, y in rated
    )
    assert float(training.rated_objective()(logits, batch)) == pytest.approx(float(expected / 3))


def test_the_estimated_objective_counts_every_real_segment_and_class(small_index):
    """Reference: section 5.4: no label is missing, so unlisted ones are negative."""
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([0, 1])]
    logits = torch.linspace(-2, 2, 18).reshape(2, 3, 3)
    positive = {(0, 0, 0), (0, 2, 2), (1, 0, 2)}
    total, count = 0.0, 0
    for b, segments in ((0, 3), (1, 2)):
        for s in range(segments):
            for c in range(3):
                p = 1 / (1 + math.exp(-float(logits[b, s, c])))
                total -= math.log(p if (b, s, c) in positive else 1 - p)
                count += 1
    found = float(training.estimated_objective(5)(logits, batch))
    assert found == pytest.approx(total / count, rel=1e-5)


def test_videos_without_rated_segments_leave_the_loss_at_zero(small_index):
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([3])]
    assert float(training.rated_objective()(torch.ones(1, 1, 3), batch)) == 0.0
