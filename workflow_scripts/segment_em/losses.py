"""The training losses: video loss (eqs. 15-16) and segment loss (eq. 17), in float32 or wider."""

# B clips, S segments, C classes

import torch
from torch.nn import functional

from segment_em import processes
from segment_em.poolings import Pooling


def video_loss(
    logits_BSC: torch.Tensor,
    segment_mask_BS: torch.Tensor,
    targets_BC: torch.Tensor,
    pooling: Pooling,
) -> torch.Tensor:
    """Binary cross-entropy of a video's pooled score, eqs. 15-16.

    logits_BSC: float, finite; pooling.outputs of them for each class. segment_mask_BS: bool, False
    for padded segments. targets_BC: video labels in [0, 1]. Returns the mean over the classes and
    over the clips that have a segment; 0 if none has.
    """
    has_segment_B1 = segment_mask_BS.any(dim=1, keepdim=True)
    # A clip without segments is pooled over its padding, to stay finite, and weighs nothing.
    mask_BS1 = (segment_mask_BS | ~has_segment_B1).unsqueeze(2)
    log_p_BC, log_not_p_BC = pooling.pool(at_least_float32(logits_BSC), mask_BS1)
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
