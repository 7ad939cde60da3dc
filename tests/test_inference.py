"""Scores on shifted grids of segments, and of videos scored in any company."""

import numpy as np
import pytest
import torch
from small_models import SMALL, small_model
from torch import nn

from segment_em.dataset import Clips, Dequantise
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.inference import member_scores, shifted_scores


class FrameMean(nn.Module):
    """The log-odds of a segment are the mean of its real frames."""

    def forward(self, features, mask):
        values = (features["x"] * mask[..., None]).unflatten(1, (-1, 5))
        counts = mask.unflatten(1, (-1, 5)).sum(dim=2)[..., None]
        return values.sum(dim=2) / counts.clamp(min=1)


def shifted_by_hand(frames, shifts):
    """Reference: frame by frame; each frame has the score of the moved segment that holds it."""
    found = []
    for start in range(0, len(frames), 5):
        grids = []
        for shift in shifts:
            scores = []
            for frame in range(start, min(start + 5, len(frames))):
                if frame >= shift:
                    first = (frame - shift) // 5 * 5 + shift
                    mean = np.mean(frames[first : first + 5])
                    scores.append(1 / (1 + np.exp(-mean)))
            if scores:
                grids.append(np.mean(scores))
        found.append(np.mean(grids))
    return found


@pytest.mark.parametrize("frames", [15, 13, 11, 6, 5, 2, 1])
@pytest.mark.parametrize("shifts", [(0,), (0, 2), (0, 1, 4)])
def test_a_shifted_grid_is_taken_back_by_overlap(frames, shifts):
    values = torch.randn(15, generator=torch.Generator().manual_seed(frames))
    mask = (torch.arange(15) < frames)[None]
    found = shifted_scores(FrameMean(), {"x": values[None, :, None]}, mask, shifts)[0, :, 0]
    expected = shifted_by_hand(values[:frames].numpy(), shifts)
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-5)


def test_the_plain_grid_has_the_models_scores_to_the_bit():
    values = torch.randn(1, 15, 1)
    mask = (torch.arange(15) < 12)[None]
    expected = torch.sigmoid(FrameMean()({"x": values}, mask))
    assert torch.equal(shifted_scores(FrameMean(), {"x": values}, mask, (0,)), expected)


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize("architecture", SMALL)
def test_scores_do_not_depend_on_how_many_videos_are_scored_at_a_time(
    small_index, architecture, context
):
    changes = {"context": context} if "context" in SMALL[architecture] else {}
    model = small_model(architecture, **changes)
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    found = []
    for videos in (1, 7, len(small_index)):
        scored = member_scores(
            *([model], (0, 3), clips, np.arange(len(small_index)), Dequantise.of(small_index)),
            *(videos, 0, "float32", torch.device("cpu")),
        )
        found.append(np.concatenate([scores for _, (scores,) in scored]))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=2e-6)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("forward", r"lower compute\.inference_videos"),
        ("to", r"the models themselves do not fit: see what else uses this GPU"),
    ],
)
def test_a_gpu_without_room_is_one_line_with_the_remedy(small_index, monkeypatch, method, told):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    model = small_model("logistic")
    monkeypatch.setattr(model, method, full)
    with pytest.raises(InputError, match=f"^CUDA out of memory: {told}"):
        next(scored_all(model, small_index))


def test_a_model_that_scores_other_classes_than_it_trained_is_named(small_index):
    model = small_model("logistic")
    model.forward = lambda _, mask: torch.zeros(len(mask), mask.shape[1] // 5, 2)
    with pytest.raises(InputError, match=r"models\.logistic: forward returned \[\d, \d, 2\] where"):
        next(scored_all(model, small_index))


def scored_all(model, index):
    """The scores of a model over all videos of an index, seven at a time."""
    clips = Clips(FrameReader(index, 25), 5, None, False)
    return member_scores(
        *([model], (0,), clips, np.arange(len(index)), Dequantise.of(index)),
        *(7, 0, "float32", torch.device("cpu")),
    )
