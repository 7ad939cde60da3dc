"""Poolings of the video loss (eqs. 15 and 16), one a file: the score of a video from its segments'.

A pooling is a file with `pool(logits_BSC, mask_BS1) -> (log p, log(1 - p))`, each float [B, C] and
with gradients, of the video's score p. logits_BSC: float32 or wider, finite; mask_BS1: bool, which
segments count, at least one of each clip. All in log space: log(mean(p)) loses its gradient once p
underflows. It is found by its name.

A pooling that learns more than a score has `OUTPUTS`, an int: so many outputs of the classifier for
each class. It is then given [B, S, OUTPUTS * C]: the scores' logits of all classes, then the second
outputs of all classes, and so on, which start at 0 and are cut off after training.
"""

# B clips, S segments, C classes

from collections.abc import Callable
from typing import NamedTuple

import torch

from segment_em.code_digest import load_plugin
from segment_em.errors import InputError


class Pooling(NamedTuple):
    """pool: see above. outputs: of the classifier, for each class."""

    pool: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    outputs: int


def load(name: str) -> Pooling:
    """The pooling of poolings/<name>.py, tried on a few numbers.

    Raises InputError if it returns anything but two logarithms whose exponentials add up to 1.
    """
    module = load_plugin(f"poolings.{name}")
    pooling = Pooling(module.pool, getattr(module, "OUTPUTS", 1))
    if not _is_distribution(pooling):
        raise InputError(
            f"poolings/{name}.py: pool must return log p and log(1 - p), each [clips, classes], of "
            "logits [clips, segments, classes] and a mask [clips, segments, 1]"
        )
    return pooling


def _is_distribution(pooling: Pooling) -> bool:
    clips, segments, classes = 3, 4, 2
    mask_BS1 = (torch.arange(segments) < torch.tensor([[4], [1], [2]])).unsqueeze(2)
    logits_BSD = torch.linspace(-3, 3, clips * segments * classes * pooling.outputs)
    logits_BSD = logits_BSD.reshape(clips, segments, classes * pooling.outputs).sin()
    found = pooling.pool(logits_BSD, mask_BS1)
    if not isinstance(found, tuple) or len(found) != 2:
        return False
    if any(getattr(logs, "shape", None) != (clips, classes) for logs in found):
        return False
    sums_BC = found[0].exp() + found[1].exp()
    return torch.allclose(sums_BC, torch.ones_like(sums_BC), atol=1e-4)


def log_mean_exp(values_BSC: torch.Tensor, mask_BS1: torch.Tensor) -> torch.Tensor:
    """Return [B, C]: the log of the mean of exp(values) over the segments in the mask.

    The mask holds at least one segment of each clip: log 0 would have no gradient.
    """
    kept_BSC = values_BSC.masked_fill(~mask_BS1, -torch.inf)
    counts_B1 = mask_BS1.sum(dim=1).to(values_BSC.dtype)
    return torch.logsumexp(kept_BSC, dim=1) - counts_B1.log()
