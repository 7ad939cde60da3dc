"""Scores of segments by one model or by the mean of several.

Shapes: B clips, S segments, N segments of all clips of a batch, C classes.
"""

import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from segment_em import ensemble
from segment_em.compute import autocast
from segment_em.dataset import Clips, Dequantise, in_order, load

log = logging.getLogger(__name__)

SECONDS_BETWEEN_PROGRESS = 5.0


@torch.inference_mode()
def segment_scores(
    models: Sequence[nn.Module],
    weights: Sequence[float],
    clips: Clips,
    rows: np.ndarray,
    dequantise: Dequantise,
    videos: int,
    workers: int,
    precision: str,
    device: torch.device,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows of some videos, float32 [N, C] in [0, 1]), in the order of `rows`.

    The N segments are those of the videos, one video after another; a video without frames has
    none. Several models are averaged with their
    weights (ensemble.mean). videos: clips a batch.
    """
    for model in models:
        model.to(device).eval()
    done, started, last = 0, time.monotonic(), time.monotonic()
    for batch in load(clips, in_order(rows, videos), workers, pin=device.type == "cuda"):
        batch = batch.to(device)
        features = dequantise(batch)
        mask_BS = batch.segment_mask(clips.segment_frames)
        scores = []
        for model in models:
            with autocast(device, precision):
                logits_BSC = model(features, batch.mask)
            scores.append(torch.sigmoid(logits_BSC[mask_BS].float()).cpu().numpy())
        yield batch.rows, ensemble.mean(scores, weights)
        done += len(batch.rows)
        if time.monotonic() - last >= SECONDS_BETWEEN_PROGRESS:
            last = time.monotonic()
            log.info("%d of %d videos, %.0f a second", done, len(rows), done / (last - started))
    log.info("scored %d videos: %.1f s", done, time.monotonic() - started)
