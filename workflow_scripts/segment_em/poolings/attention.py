"""Attention: the scores' mean, weighted by a softmax over the segments, learnt for each class.

The attention pooling of Wang, Li, Metze, 2019 (see linear_softmax.py), with the softmax of Ilse,
Tomczak, Welling, 2018, https://arxiv.org/abs/1802.04712. From zeros, which the second outputs start
at, it is eq. 15.
"""

import torch
from torch.nn.functional import logsigmoid

OUTPUTS = 2  # the logit of the score, and what the softmax makes the weight of


def pool(logits_BSD: torch.Tensor, mask_BS1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C]. D = 2 * C."""
    logits_BSC, attention_BSC = logits_BSD.chunk(2, dim=2)
    kept_BSC = attention_BSC.masked_fill(~mask_BS1, -torch.inf)
    log_weights_BSC = torch.log_softmax(kept_BSC, dim=1)
    return (
        torch.logsumexp(log_weights_BSC + logsigmoid(logits_BSC), dim=1),
        torch.logsumexp(log_weights_BSC + logsigmoid(-logits_BSC), dim=1),
    )
