"""The losses against their definitions in float64, at extreme logits, and under masks."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from segment_em import losses, poolings
from segment_em.errors import InputError
from segment_em.losses import segment_loss

# Those of a logit for each class; what learns more beside it is tested further down.
every_pooling = pytest.mark.parametrize("pooling", ["mean", "log_sum_exp", "linear_softmax"])

LENGTHS = (3, 1, 5)  # segments a clip


def video_loss(logits, mask, targets, pooling):
    return losses.video_loss(logits, mask, targets, poolings.load(pooling))


def example(seed=0, scale=2.0, outputs=1):
    """Return logits [3, 5, 2 * outputs] in float64, the segment mask and video labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, 5, 2 * outputs, generator=generator, dtype=torch.float64)
    mask = torch.arange(5) < torch.tensor(LENGTHS).unsqueeze(1)
    return logits, mask, torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])


def pooled(scores, not_scores, pooling):
    """Return p and 1 - p of one clip and class, from q and 1 - q of its segments."""
    if pooling == "mean":
        return sum(scores) / len(scores), sum(not_scores) / len(scores)
    if pooling == "log_sum_exp":
        odds = sum(q / r for q, r in zip(scores, not_scores, strict=True)) / len(scores)
        return odds / (1 + odds), 1 / (1 + odds)
    products = [q * r for q, r in zip(scores, not_scores, strict=True)]
    return sum(q * q for q in scores) / sum(scores), sum(products) / sum(scores)


def video_loss_by_definition(logits, lengths, targets, pooling):
    losses = []
    for clip, length in enumerate(lengths):
        for column in range(logits.shape[2]):
            x = logits[clip, :length, column].tolist()
            scores = [1 / (1 + math.exp(-value)) for value in x]
            not_scores = [1 / (1 + math.exp(value)) for value in x]
            p, not_p = pooled(scores, not_scores, pooling)
            y = targets[clip, column].item()
            losses.append(-(y * math.log(p) + (1 - y) * math.log(not_p)))
    return sum(losses) / len(losses)


@every_pooling
@pytest.mark.parametrize("scale", [0.1, 2.0, 30.0])
def test_video_loss_equals_its_definition(pooling, scale):
    logits, mask, targets = example(scale=scale)
    expected = video_loss_by_definition(logits, LENGTHS, targets, pooling)
    assert video_loss(logits, mask, targets, pooling).item() == pytest.approx(expected, rel=1e-9)
    single = video_loss(logits.float(), mask, targets, pooling)
    assert single.item() == pytest.approx(expected, rel=1e-5)


def test_mean_pooling_of_scores_one_quarter_and_three_quarters_is_one_half():
    logits = torch.tensor([[[-math.log(3)], [math.log(3)]]])
    loss = video_loss(logits, torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 1), "mean")
    assert loss.item() == pytest.approx(math.log(2))


def test_linear_softmax_pooling_of_scores_one_quarter_and_three_quarters_is_five_eighths():
    logits = torch.tensor([[[-math.log(3)], [math.log(3)]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    loss = video_loss(logits, mask, torch.ones(1, 1), "linear_softmax")
    assert loss.item() == pytest.approx(-math.log(5 / 8))


def test_log_sum_exp_pooling_of_odds_one_third_and_three_has_odds_five_thirds():
    logits = torch.tensor([[[-math.log(3)], [math.log(3)]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    loss = video_loss(logits, mask, torch.ones(1, 1), "log_sum_exp")
    assert loss.item() == pytest.approx(-math.log(5 / 8))


@every_pooling
def test_one_segment_is_pooled_to_itself(pooling):
    logits = torch.tensor([[[0.7, -2.0]]])
    mask = torch.ones(1, 1, dtype=torch.bool)
    targets = torch.tensor([[1.0, 0.0]])
    expected = (math.log1p(math.exp(-0.7)) + math.log1p(math.exp(-2.0))) / 2
    assert video_loss(logits, mask, targets, pooling).item() == pytest.approx(expected)


@every_pooling
def test_padded_segments_change_neither_video_loss_nor_gradient(pooling):
    results = []
    for padding in (0.0, 50.0):
        logits, mask, targets = example()
        logits[~mask] = padding
        logits.requires_grad_()
        loss = video_loss(logits, mask, targets, pooling)
        loss.backward()
        assert (logits.grad[~mask] == 0).all()
        results.append((loss.item(), logits.grad))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


@every_pooling
def test_clips_without_segments_do_not_count(pooling):
    logits, mask, targets = example()
    mask[1] = False
    logits.requires_grad_()
    loss = video_loss(logits, mask, targets, pooling)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[1] == 0).all()
    kept = [0, 2]
    expected = video_loss(logits[kept], mask[kept], targets[kept], pooling)
    assert loss.item() == pytest.approx(expected.item())


@every_pooling
def test_a_batch_without_any_segment_has_video_loss_zero_and_a_zero_gradient(pooling):
    logits, mask, targets = example()
    logits.requires_grad_()
    loss = video_loss(logits, torch.zeros_like(mask), targets, pooling)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@every_pooling
def test_video_loss_has_the_gradient_of_finite_differences(pooling):
    logits, mask, targets = example()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: video_loss(x, mask, targets, pooling), logits)


@every_pooling
@pytest.mark.parametrize(("logit", "target"), [(100.0, 0.0), (-100.0, 1.0)])
def test_video_loss_of_a_sure_mistake_is_100_with_gradient_1(pooling, logit, target):
    logits = torch.full((1, 4, 1), logit, requires_grad=True)
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss = video_loss(logits, mask, torch.tensor([[target]]), pooling)
    loss.backward()
    assert loss.item() == pytest.approx(100, rel=1e-5)
    # Moving all logits by a little moves the loss by as much.
    assert logits.grad.sum().item() == pytest.approx(1 if logit > 0 else -1, rel=1e-5)


@every_pooling
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_video_loss_at_mixed_extreme_logits_equals_its_definition(pooling, target):
    logits = torch.tensor([100.0, -100.0, 0.5, -60.0, 30.0]).reshape(1, 5, 1)
    logits.requires_grad_()
    mask, targets = torch.ones(1, 5, dtype=torch.bool), torch.tensor([[target]])
    loss = video_loss(logits, mask, targets, pooling)
    loss.backward()
    expected = video_loss_by_definition(logits.double(), (5,), targets, pooling)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        logits.grad.flatten(), numerical_gradient(logits, targets, pooling), atol=1e-5
    )


def numerical_gradient(logits, targets, pooling):
    gradient, step = [], 1e-4
    for segment in range(logits.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = logits.detach().double()
            moved[0, segment, 0] += sign * step
            ends.append(video_loss_by_definition(moved, (logits.shape[1],), targets, pooling))
        gradient.append((ends[0] - ends[1]) / (2 * step))
    return gradient


def test_segment_loss_equals_its_definition_over_the_rated_classes():
    logits, _, _ = example()
    generator = torch.Generator().manual_seed(1)
    targets = (torch.rand(3, 5, 2, generator=generator) < 0.5).double()
    rated = torch.rand(3, 5, 2, generator=generator) < 0.3
    losses = []
    for place in rated.nonzero().tolist():
        p = 1 / (1 + math.exp(-logits[tuple(place)].item()))
        losses.append(-math.log(p if targets[tuple(place)] else 1 - p))
    expected = sum(losses) / len(losses)
    assert segment_loss(logits, targets, rated).item() == pytest.approx(expected)


def test_segment_loss_takes_weights_and_a_mask_for_all_classes():
    logits, mask, _ = example()
    targets = torch.zeros_like(logits)
    over_rows = torch.nn.functional.softplus(logits[mask]).mean()
    assert torch.allclose(segment_loss(logits, targets, mask.unsqueeze(2)), over_rows)
    weights = torch.tensor([0.25, 0.75])
    weighted = (torch.nn.functional.softplus(logits) * weights).sum() / 15
    assert torch.allclose(segment_loss(logits, targets, weights), weighted)


def test_an_empty_mask_has_segment_loss_zero_and_a_zero_gradient():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = segment_loss(logits, torch.zeros(2, 3, 4), torch.zeros(2, 3, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_segment_loss_has_the_gradient_of_finite_differences():
    logits, mask, _ = example()
    targets = torch.full_like(logits, 0.3)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: segment_loss(x, targets, mask.unsqueeze(2)), logits)


def test_segment_loss_at_logits_of_100_has_values_and_gradients_by_hand():
    logits = torch.tensor([[[100.0, 100.0, -100.0, -100.0]]], requires_grad=True)
    targets = torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])
    loss = segment_loss(logits, targets, torch.ones(1, 1, 4))
    loss.backward()
    assert loss.item() == pytest.approx((0 + 100 + 100 + 0) / 4)
    np.testing.assert_allclose(logits.grad.flatten(), [0, 0.25, -0.25, 0], atol=1e-12)


@every_pooling
def test_losses_of_bfloat16_logits_are_float32(pooling):
    logits, mask, targets = example()
    logits = logits.bfloat16()
    assert video_loss(logits, mask, targets, pooling).dtype == torch.float32
    assert segment_loss(logits, torch.zeros(3, 5, 2), mask.unsqueeze(2)).dtype == torch.float32


def attended_by_definition(logits, lengths, targets):
    """Reference: softmax over the segments and weighted mean, one clip and class at a time."""
    losses = []
    for clip, length in enumerate(lengths):
        for column in (0, 1):
            weights = [math.exp(x) for x in logits[clip, :length, 2 + column].tolist()]
            scores = [1 / (1 + math.exp(-x)) for x in logits[clip, :length, column].tolist()]
            p = sum(w * q for w, q in zip(weights, scores, strict=True)) / sum(weights)
            y = targets[clip, column].item()
            losses.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("scale", [0.1, 2.0, 8.0])
def test_attention_pooling_equals_its_definition(scale):
    logits, mask, targets = example(scale=scale, outputs=2)
    found = video_loss(logits, mask, targets, "attention").item()
    assert found == pytest.approx(attended_by_definition(logits, LENGTHS, targets), rel=1e-9)


def test_attention_that_has_learnt_nothing_is_mean_pooling():
    logits, mask, targets = example()
    attended = torch.cat([logits, torch.zeros_like(logits)], dim=2)
    found = video_loss(attended, mask, targets, "attention").item()
    assert found == pytest.approx(video_loss(logits, mask, targets, "mean").item())


def test_attention_pooling_ignores_padding_and_clips_without_segments():
    logits, mask, targets = example(outputs=2)
    mask[1] = False
    logits[~mask] = 50.0
    logits.requires_grad_()
    loss = video_loss(logits, mask, targets, "attention")
    loss.backward()
    assert (logits.grad[~mask] == 0).all()
    kept = [0, 2]
    expected = attended_by_definition(logits[kept], (3, 5), targets[kept])
    assert loss.item() == pytest.approx(expected)


def test_attention_pooling_has_the_gradient_of_finite_differences():
    logits, mask, targets = example(outputs=2)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: video_loss(x, mask, targets, "attention"), logits)


def module_of(pool):
    return SimpleNamespace(pool=pool, __file__=__file__)


@pytest.mark.parametrize(
    "pool",
    [
        lambda logits, mask: logits.amax(dim=1),
        lambda logits, mask: (logits.sigmoid().mean(dim=1), (-logits).sigmoid().mean(dim=1)),
        lambda logits, mask: poolings.load("mean").pool(logits[..., :1], mask),
        lambda logits, mask: (logits.amax(dim=1).sigmoid().log(), None),
    ],
    ids=["one tensor", "scores, not their logarithms", "one class", "half of it"],
)
def test_a_pooling_that_is_none_is_refused_by_name(monkeypatch, pool):
    monkeypatch.setitem(sys.modules, "segment_em.poolings.mine", module_of(pool))
    with pytest.raises(InputError, match=r"poolings/mine\.py: pool must return log p and log"):
        poolings.load("mine")


def test_a_pooling_of_ones_own_is_taken(monkeypatch):
    def noisy_or(logits, mask):
        log_not_p = logsigmoid(-logits).masked_fill(~mask, 0).sum(dim=1)
        return torch.log(-torch.expm1(log_not_p)), log_not_p

    monkeypatch.setitem(sys.modules, "segment_em.poolings.mine", module_of(noisy_or))
    logits, mask, targets = example()
    expected = 0
    for clip, length in enumerate(LENGTHS):
        for column in range(2):
            absent = torch.sigmoid(-logits[clip, :length, column]).prod()
            target = targets[clip, column]
            expected -= (target * (1 - absent).log() + (1 - target) * absent.log()) / 6
    assert video_loss(logits, mask, targets, "mine").item() == pytest.approx(expected.item())
