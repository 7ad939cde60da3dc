"""The training losses: video loss (eqs. 15-16) and segment loss (eq. 17).

All in log space and float32 or wider: log(mean(p)) loses its gradient once p underflows.
"""

# B clips, S segments, C classes

from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional

from segment_em import processes


def mean(logits_BSC: torch.Tensor, mask_BS1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C], of eq. 15: p is the mean of the segments' scores."""
    return (
        log_mean_exp(functional.logsigmoid(logits_BSC), mask_BS1),
        log_mean_exp(functional.logsigmoid(-logits_BSC), mask_BS1),
    )


def log_sum_exp(
    logits_BSC: torch.Tensor, mask_BS1: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C]: the odds of p are the mean of the segments' odds.

    A smooth maximum of the logits: log sum exp less the log of the number of segments, so that a
    long video scores no higher than a short one.
    """
    pooled_BC = log_mean_exp(logits_BSC, mask_BS1)
    return functional.logsigmoid(pooled_BC), functional.logsigmoid(-pooled_BC)


def linear_softmax(
    logits_BSC: torch.Tensor, mask_BS1: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C], for p = sum of q squared / sum of q, q the scores.

    Wang, Li, Metze: A comparison of five multiple instance learning pooling functions for sound
    event detection with weak labeling, 2019, https://arxiv.org/abs/1810.09050.
    """
    log_q_BSC = functional.logsigmoid(logits_BSC)
    log_sum_BC = log_mean_exp(log_q_BSC, mask_BS1)
    # 1 - p = sum of q (1 - q) / sum of q
    log_variance_BSC = log_q_BSC + functional.logsigmoid(-logits_BSC)
    return (
        log_mean_exp(2 * log_q_BSC, mask_BS1) - log_sum_BC,
        log_mean_exp(log_variance_BSC, mask_BS1) - log_sum_BC,
    )


def attention(
    logits_BSD: torch.Tensor, mask_BS1: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p and log(1 - p), [B, C]: p is the scores' mean, weighted by learnt attention.

    logits_BSD: for each class a logit and, behind all of these, for each class what its softmax
    over the segments of the clip makes the weights of. D = 2 * C. From zeros, which the head starts
    at, it is eq. 15. The attention pooling of Wang, Li, Metze, 2019 (see linear_softmax), with the
    softmax of Ilse, Tomczak, Welling, 2018, https://arxiv.org/abs/1802.04712.
    """
    logits_BSC, attention_BSC = logits_BSD.chunk(2, dim=2)
    kept_BSC = attention_BSC.masked_fill(~mask_BS1, -torch.inf)
    log_weights_BSC = functional.log_softmax(kept_BSC, dim=1)
    return (
        torch.logsumexp(log_weights_BSC + functional.logsigmoid(logits_BSC), dim=1),
        torch.logsumexp(log_weights_BSC + functional.logsigmoid(-logits_BSC), dim=1),
    )


POOLINGS: dict[str, Callable] = {
    "mean": mean,
    "log_sum_exp": log_sum_exp,
    "linear_softmax": linear_softmax,
    "attention": attention,
}
# How many outputs of the classifier a pooling takes for each class, where it is more than one.
OUTPUTS = {"attention": 2}


def log_mean_exp(values_BSC: torch.Tensor, mask_BS1: torch.Tensor) -> torch.Tensor:
    """Return [B, C]: the log of the mean of exp(values) over the segments in the mask.

    The mask holds at least one segment of each clip: log 0 would have no gradient.
    """
    kept_BSC = values_BSC.masked_fill(~mask_BS1, -torch.inf)
    counts_B1 = mask_BS1.sum(dim=1).to(values_BSC.dtype)
    return torch.logsumexp(kept_BSC, dim=1) - counts_B1.log()


def video_loss(
    logits_BSC: torch.Tensor,
    segment_mask_BS: torch.Tensor,
    targets_BC: torch.Tensor,
    pooling: Literal["mean", "log_sum_exp", "linear_softmax", "attention"],
) -> torch.Tensor:
    """Binary cross-entropy of a video's pooled score, eqs. 15-16.

    logits_BSC: float, finite; OUTPUTS of them for each class. segment_mask_BS: bool, False for
    padded segments. targets_BC: video labels in [0, 1]. Returns the mean over the classes and over
    the clips that have a segment; 0 if none has.
    """
    has_segment_B1 = segment_mask_BS.any(dim=1, keepdim=True)
    # A clip without segments is pooled over its padding, to stay finite, and weighs nothing.
    mask_BS1 = (segment_mask_BS | ~has_segment_B1).unsqueeze(2)
    log_p_BC, log_not_p_BC = POOLINGS[pooling](at_least_float32(logits_BSC), mask_BS1)
    targets_BC = targets_BC.to(log_p_BC.dtype)
    losses_BC = -(targets_BC * log_p_BC + (1 - targets_BC) * log_not_p_BC)
    return weighted_mean(losses_BC, has_segment_B1)


def segment_loss(
    logits_BSC: torch.Tensor, targets_BSC: torch.Tensor, mask_BSC: torch.Tensor
) -> torch.Tensor:
    """Binary cross-entropy where a segment is annotated for a class, eq. 17.

    targets_BSC: in [0, 1], finite also where not annotated. mask_BSC: bool, or non-negative
    weights; broadcastable to the logits. Returns the sum of loss times mask over the sum of the
    mask (the paper does not state the normaliser); 0 if the mask is empty.
    """
    logits_BSC = at_least_float32(logits_BSC)
    losses_BSC = functional.binary_cross_entropy_with_logits(
        logits_BSC, targets_BSC.to(logits_BSC.dtype), reduction="none"
    )
    return weighted_mean(losses_BSC, mask_BSC)


def weighted_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return sum(losses * weights) / sum(weights), weights broadcast to the losses; 0 for none.

    Under several processes the weights of all of them: their results add up to the mean.
    """
    weights = weights.to(losses.dtype).expand_as(losses)
    total = processes.total(weights.sum())
    return (losses * weights).sum() / torch.where(total > 0, total, 1.0)


def at_least_float32(logits: torch.Tensor) -> torch.Tensor:
    """Return the logits in float32, or in float64 if they are: mixed precision ends here."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
