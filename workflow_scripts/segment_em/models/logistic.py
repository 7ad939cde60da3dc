"""The logistic model, section 4.1: average the frames of a segment, then one linear layer."""

# B clips, T frames, S segments, F features of all modalities, C classes

from typing import Annotated, Literal

import torch
from torch import nn

from segment_em.models._segments import (
    classify,
    segment_mask,
    segment_means,
    stream_widths,
    with_context,
)


class Model(nn.Module):
    """One linear layer on the averaged features of a segment, and on those of its neighbours.

    Early and late fusion are the same function: a linear layer on concatenated averages is the
    sum of one linear layer on each.
    """

    frame_level = True

    def __init__(
        self,
        features: dict[str, int],
        classes: int,
        segment_frames: int,
        *,
        fusion: Literal["early", "late"],
        context: Annotated[int, "at least 0"],
    ):
        super().__init__()
        self.context = context
        self.names = list(features)
        self.segment_frames = segment_frames
        width = sum(stream_widths(features, fusion))
        self.classifier = nn.Linear(width * (2 if context else 1), classes)

    def forward(
        self, features: dict[str, torch.Tensor], frame_mask_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return logits [B, S, C]; see `segment_em.models`."""
        means = [
            segment_means(features[name], frame_mask_BT, self.segment_frames) for name in self.names
        ]
        real_BS = segment_mask(frame_mask_BT, self.segment_frames)
        segments_BSF = with_context(torch.cat(means, dim=-1), real_BS, self.context)
        return classify(self.classifier, segments_BSF, real_BS)
