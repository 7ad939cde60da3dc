"""What the architectures share: streams of features, real frames and segment means."""

# B clips, T frames, S segments, P frames a segment, F features
# X, Y: two leading axes (clips and frames, or clips and segments); N: the real ones among X * Y

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from segment_em.errors import InputError


def stream_widths(features: Mapping[str, int], fusion: str) -> list[int]:
    """Return the input width of each encoder: one for all modalities (early) or one each (late)."""
    if fusion not in ("early", "late"):
        raise InputError(f"models: fusion is '{fusion}'; it must be 'early' or 'late'")
    widths = list(features.values())
    return [sum(widths)] if fusion == "early" else widths


def stream_inputs(
    features: Mapping[str, torch.Tensor], names: list[str], fusion: str
) -> list[torch.Tensor]:
    """Return the input of each encoder, float [..., F], in the order of `stream_widths`."""
    inputs = [features[name] for name in names]
    return [joined(inputs)] if fusion == "early" else inputs


def joined(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return the parts side by side, [..., F]; a single one as it is, without a copy."""
    return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


def shares(total: int, widths: list[int], multiple: int = 1) -> list[int]:
    """Split `total` hidden units among encoders in proportion to their input widths.

    With `total` equal to the width of all features, each encoder is as wide as its input. Shares
    are rounded to multiples of `multiple`, which is the least.
    """
    units = total / multiple / sum(widths)
    return [multiple * max(1, round(units * width)) for width in widths]


def segment_mask(frame_mask_BT: torch.Tensor, segment_frames: int) -> torch.Tensor:
    """Return bool [B, S]: which segments have at least one real frame."""
    return frame_mask_BT.unflatten(1, (-1, segment_frames)).any(dim=2)


def real_rows(mask_XY: torch.Tensor) -> torch.Tensor:
    """Return int64 [N]: where the real entries stand in the flattened mask, for pack and unpack."""
    return mask_XY.flatten().nonzero().squeeze(1)


def pack(values_XYF: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
    """Return the real entries alone, [N, F], so that no work is spent on padding."""
    return values_XYF.flatten(0, 1).index_select(0, rows_N)


def unpack(values_NF: torch.Tensor, rows_N: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return [X, Y, F] with the real entries back in their places and 0 elsewhere."""
    values_MF = values_NF.new_zeros(shape.numel(), *values_NF.shape[1:])
    return values_MF.index_copy_(0, rows_N, values_NF).unflatten(0, shape)


def segment_means(
    frames_BTF: torch.Tensor, frame_mask_BT: torch.Tensor, segment_frames: int
) -> torch.Tensor:
    """Return [B, S, F]: averages over the real frames of each segment; 0 where there are none."""
    mask_BSP = frame_mask_BT.unflatten(1, (-1, segment_frames))
    weights_BSP = mask_BSP / mask_BSP.sum(dim=2, keepdim=True).clamp(min=1)
    frames_BSPF = frames_BTF.unflatten(1, (-1, segment_frames))
    return torch.einsum("bsp,bspf->bsf", weights_BSP.to(frames_BTF.dtype), frames_BSPF)


def logits_of(classifier: nn.Linear, segments_XF: torch.Tensor) -> torch.Tensor:
    """Return logits [..., C]; where nothing is trained, in the precision of the weights.

    bfloat16 has 256 steps an octave: of two million segments many would have the same score, while
    they are to be ranked.
    """
    if classifier.training:
        return classifier(segments_XF)
    with torch.autocast(segments_XF.device.type, enabled=False):
        return classifier(segments_XF.to(classifier.weight.dtype))


def classify(
    classifier: nn.Linear, segments_BSF: torch.Tensor, segment_mask_BS: torch.Tensor
) -> torch.Tensor:
    """Return logits [B, S, C], 0 for segments without a real frame."""
    logits_BSC = logits_of(classifier, segments_BSF)
    return logits_BSC.masked_fill(~segment_mask_BS.unsqueeze(2), 0.0)


def with_context(
    segments_BSF: torch.Tensor, segment_mask_BS: torch.Tensor, context: int
) -> torch.Tensor:
    """Return [B, S, 2F]: each segment, and the mean of the `context` real ones on either side.

    The mean is 0 where there are none. Without context: the segments alone, [B, S, F].
    """
    if not context:
        return segments_BSF
    mask_BS1 = segment_mask_BS.unsqueeze(2).to(segments_BSF.dtype)
    real_BSF = segments_BSF * mask_BS1
    total_BSF = _window_sums(real_BSF, context) - real_BSF
    counts_BS1 = _window_sums(mask_BS1, context) - mask_BS1
    return torch.cat([segments_BSF, total_BSF / counts_BS1.clamp(min=1)], dim=2)


def _window_sums(values_BSF: torch.Tensor, context: int) -> torch.Tensor:
    """Return [B, S, F]: sums over each segment and `context` on either side."""
    segments = values_BSF.shape[1]
    padded = functional.pad(values_BSF, (0, 0, context, context))
    return sum(padded[:, start : start + segments] for start in range(2 * context + 1))
