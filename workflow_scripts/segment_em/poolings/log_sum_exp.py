"""A smooth maximum: the odds of the video are the mean of the segments' odds.

Log sum exp of the logits less the log of the number of segments, so that a long video scores no
higher than a short one.
"""

import torch
from torch.nn.functional import logsigmoid

from segment_em.poolings import log_mean_exp


def pool(logits_BSC: torch.Tensor, mask_BS1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C]."""
    pooled_BC = log_mean_exp(logits_BSC, mask_BS1)
    return logsigmoid(pooled_BC), logsigmoid(-pooled_BC)
