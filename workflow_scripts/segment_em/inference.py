"""Scores of segments by one model or by several, on one grid of segments or several shifted ones.

Shapes: B clips, T frames, P frames a segment, S segments, N segments of all clips of a batch,
C classes.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from segment_em.compute import GPU_IN_USE, autocast, memory_told
from segment_em.dataset import Clips, Dequantise, in_order, load
from segment_em.models import check_logits
from segment_em.progress import Progress

log = logging.getLogger(__name__)


@torch.inference_mode()
def member_scores(
    models: Sequence[nn.Module],
    shifts: Sequence[int],
    clips: Clips,
    rows: np.ndarray,
    dequantise: Dequantise,
    videos: int,
    workers: int,
    precision: str,
    device: torch.device,
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield (rows of some videos, float32 [N, C] in [0, 1] of each model), in the order of `rows`.

    The N segments are those of the videos, one video after another; a video without frames has
    none. shifts: see shifted_scores. videos: clips a batch.
    """
    with memory_told(GPU_IN_USE):
        for model in models:
            model.to(device).eval()
    done, started, progress = 0, time.monotonic(), Progress(len(rows))
    for batch in load(clips, in_order(rows, videos), workers, pin=device.type == "cuda"):
        scores = []
        with memory_told("lower compute.inference_videos (by hand: --videos)"):
            batch = batch.to(device)
            features = dequantise(batch)
            mask_BS = batch.segment_mask(clips.segment_frames)
            for model in models:
                with autocast(device, precision):
                    scores_BSC = shifted_scores(model, features, batch.mask, shifts)
                check_logits(model, scores_BSC, mask_BS)
                scores.append(scores_BSC[mask_BS].cpu().numpy())
        yield batch.rows, scores
        done += len(batch.rows)
        progress.show(done, "scoring")
    progress.close()
    log.info("scored %d videos: %.1f s", done, time.monotonic() - started)


def shifted_scores(
    model: nn.Module,
    features: Mapping[str, torch.Tensor],
    mask_BT: torch.Tensor,
    shifts: Sequence[int],
) -> torch.Tensor:
    """Return float32 [B, S, C] in [0, 1]: the mean over grids of segments moved by some frames.

    shifts: frames in [0, P), 0 among them. Moved by s, the model sees the video from frame s on,
    and a segment's score is that of the moved segments, weighted by the segment's real frames that
    they hold. A segment that no moved one reaches (one of a video of s frames or fewer) has the
    mean over the other grids.
    """
    total_BSC, counts_BS1 = 0.0, 0.0
    for shift in shifts:
        moved = {name: _moved(values, shift) for name, values in features.items()}
        scores_BSC = torch.sigmoid(model(moved, _moved(mask_BT, shift)).float())
        mask_BSP = mask_BT.unflatten(1, (scores_BSC.shape[1], -1))
        # Of a segment's frames, the first `shift` lie in the moved segment before.
        before_BS1 = mask_BSP[..., :shift].sum(dim=2, keepdim=True).float()
        before_BS1[:, 0] = 0
        within_BS1 = mask_BSP[..., shift:].sum(dim=2, keepdim=True).float()
        earlier_BSC = functional.pad(scores_BSC, (0, 0, 1, 0))[:, :-1]
        frames_BS1 = (before_BS1 + within_BS1).clamp(min=1)
        total_BSC = total_BSC + earlier_BSC * (before_BS1 / frames_BS1)
        total_BSC = total_BSC + scores_BSC * (within_BS1 / frames_BS1)
        counts_BS1 = counts_BS1 + (before_BS1 + within_BS1 > 0).float()
    return total_BSC / counts_BS1.clamp(min=1)


def _moved(values: torch.Tensor, shift: int) -> torch.Tensor:
    """The frames [B, T, ...] from `shift` on, zeros at the end in their place."""
    if not shift:
        return values
    return torch.cat([values[:, shift:], torch.zeros_like(values[:, :shift])], dim=1)
