"""Linear softmax: p = sum of q squared / sum of q, q the segments' scores.

Wang, Li, Metze: A comparison of five multiple instance learning pooling functions for sound event
detection with weak labeling, 2019, https://arxiv.org/abs/1810.09050.
"""

import torch
from torch.nn.functional import logsigmoid

from segment_em.poolings import log_mean_exp


def pool(logits_BSC: torch.Tensor, mask_BS1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C]."""
    log_q_BSC = logsigmoid(logits_BSC)
    log_sum_BC = log_mean_exp(log_q_BSC, mask_BS1)
    # 1 - p = sum of q (1 - q) / sum of q
    log_variance_BSC = log_q_BSC + logsigmoid(-logits_BSC)
    return (
        log_mean_exp(2 * log_q_BSC, mask_BS1) - log_sum_BC,
        log_mean_exp(log_variance_BSC, mask_BS1) - log_sum_BC,
    )
