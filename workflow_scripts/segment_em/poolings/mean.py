"""The mean of the segments' scores, eq. 15."""

import torch
from torch.nn.functional import logsigmoid

from segment_em.poolings import log_mean_exp


def pool(logits_BSC: torch.Tensor, mask_BS1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C]."""
    return (
        log_mean_exp(logsigmoid(logits_BSC), mask_BS1),
        log_mean_exp(logsigmoid(-logits_BSC), mask_BS1),
    )
