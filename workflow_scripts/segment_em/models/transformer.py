"""Transformer, section 4.4, eqs. 11-14: every frame attends to the whole video."""

# B clips, T frames, S segments, N real frames among B * T, F features a frame, H hidden units
# A heads, E hidden units a head, M = B * A, C classes

from typing import Annotated, Literal

import torch
from torch import nn
from torch.nn import functional

from segment_em.models._segments import (
    classify,
    joined,
    pack,
    real_rows,
    segment_mask,
    segment_means,
    shares,
    stream_inputs,
    stream_widths,
    unpack,
)

# Fused kernels for GPUs are made for heads up to this width; of wider ones they keep the sums in
# the GPU's main memory. Two products of matrices are faster then, as they are on a CPU.
WIDEST_FUSED = 256


def sinusoids(frames: int, width: int, device: torch.device) -> torch.Tensor:
    """Return the position signals [frames, width] of Vaswani et al., 2017, section 3.5."""
    # float32 whatever the model computes in: bfloat16 cannot count to 300
    position_T1 = torch.arange(frames, dtype=torch.float32, device=device).unsqueeze(1)
    column_H = torch.arange(width, device=device)
    angle_TH = position_T1 * 10000.0 ** (-2 * (column_H // 2) / width)
    return torch.where(column_H % 2 == 0, angle_TH.sin(), angle_TH.cos())


def attention(
    query_BATE: torch.Tensor,
    key_BATE: torch.Tensor,
    value_BATE: torch.Tensor,
    keys_BT: torch.Tensor,
) -> torch.Tensor:
    """Return softmax(Q K^T / sqrt(E)) V, [B, A, T, E]; keys_BT: which frames are attended to."""
    heads, width = query_BATE.shape[1], query_BATE.shape[3]
    if width <= WIDEST_FUSED:
        return functional.scaled_dot_product_attention(
            query_BATE, key_BATE, value_BATE, attn_mask=keys_BT[:, None, None, :]
        )
    query_MTE, key_MTE, value_MTE = (x.flatten(0, 1) for x in (query_BATE, key_BATE, value_BATE))
    bias_MT = query_MTE.new_zeros(keys_BT.shape).masked_fill_(~keys_BT, -torch.inf)
    scores_MTT = torch.baddbmm(
        bias_MT.repeat_interleave(heads, dim=0).unsqueeze(1),
        query_MTE,
        key_MTE.transpose(1, 2),
        alpha=width**-0.5,
    )
    attended_MTE = torch.bmm(scores_MTT.softmax(dim=2).to(value_MTE.dtype), value_MTE)
    return attended_MTE.unflatten(0, (-1, heads))


class Block(nn.Module):
    """Self-attention (eqs. 11-14) and feed-forward layer, each with residual and LayerNorm.

    Works on real frames alone, [N, H]; only the attention itself sees padded clips.
    """

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), nn.ReLU(), nn.Linear(feed_forward, width)
        )
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, frames_NH: torch.Tensor, rows_N: torch.Tensor, keys_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return [N, H]: each real frame after attention to its clip's and the feed-forward layer.

        rows_N: where each frame stands in the flattened clips. keys_BT: bool, what may be attended.
        """
        attended_NH = self.dropout(self.attend(frames_NH, rows_N, keys_BT))
        frames_NH = self.attention_norm(frames_NH + attended_NH)
        return self.feed_forward_norm(frames_NH + self.dropout(self.feed_forward(frames_NH)))

    def attend(
        self, frames_NH: torch.Tensor, rows_N: torch.Tensor, keys_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return softmax(Q K^T / sqrt(E)) V, [N, H]; keys_BT says which frames are attended to."""
        joint_BTH = unpack(self.query_key_value(frames_NH), rows_N, keys_BT.shape)
        parts = joint_BTH.unflatten(2, (3, self.heads, -1)).unbind(2)
        attended_BATE = attention(*(part.transpose(1, 2) for part in parts), keys_BT)
        return pack(attended_BATE.transpose(1, 2).flatten(2), rows_N)


class Encoder(nn.Module):
    """Transformer blocks on one stream of features."""

    def __init__(
        self,
        inputs: int,
        width: int,
        *,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        positions: str,
    ):
        super().__init__()
        self.width = width
        self.positions = positions
        self.project = nn.Identity() if inputs == width else nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, feed_forward, dropout) for _ in range(layers)
        )

    def forward(
        self, frames_NF: torch.Tensor, rows_N: torch.Tensor, keys_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return [B, T, H], 0 for padded frames."""
        frames_NH = self.project(frames_NF)
        if self.positions == "sinusoidal":
            signals_TH = sinusoids(keys_BT.shape[1], self.width, frames_NH.device)
            signals_NH = signals_TH[rows_N % keys_BT.shape[1]]
            frames_NH = frames_NH + signals_NH.to(frames_NH.dtype)
        for block in self.blocks:
            frames_NH = block(frames_NH, rows_N, keys_BT)
        return unpack(frames_NH, rows_N, keys_BT.shape)


class Model(nn.Module):
    """Transformer blocks, averages of their outputs over each segment, a linear layer."""

    frame_level = False

    def __init__(
        self,
        features: dict[str, int],
        classes: int,
        segment_frames: int,
        *,
        fusion: Literal["early", "late"],
        layers: Annotated[int, "at least 1"],
        hidden: Annotated[int, "at least 1"],
        heads: Annotated[int, "at least 1", "a divisor of hidden"],
        feed_forward: Annotated[int, "at least 1"],
        dropout: Annotated[float, "at least 0", "below 1"],
        positions: Literal["none", "sinusoidal"],
    ):
        super().__init__()
        self.names = list(features)
        self.fusion = fusion
        self.segment_frames = segment_frames
        widths = stream_widths(features, fusion)
        hiddens, betweens = shares(hidden, widths, heads), shares(feed_forward, widths)
        self.encoders = nn.ModuleList(
            Encoder(
                inputs,
                width,
                layers=layers,
                heads=heads,
                feed_forward=between,
                dropout=dropout,
                positions=positions,
            )
            for inputs, width, between in zip(widths, hiddens, betweens, strict=True)
        )
        self.classifier = nn.Linear(sum(encoder.width for encoder in self.encoders), classes)

    def forward(
        self, features: dict[str, torch.Tensor], frame_mask_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return logits [B, S, C]; see `segment_em.models`."""
        rows_N = real_rows(frame_mask_BT)
        # A clip without a real frame attends to all: a softmax over nothing is NaN on some devices.
        keys_BT = frame_mask_BT | ~frame_mask_BT.any(dim=1, keepdim=True)
        packed = {name: pack(features[name], rows_N) for name in self.names}
        inputs = stream_inputs(packed, self.names, self.fusion)
        encoded = [
            encoder(frames_NF, rows_N, keys_BT)
            for encoder, frames_NF in zip(self.encoders, inputs, strict=True)
        ]
        segments_BSH = segment_means(joined(encoded), frame_mask_BT, self.segment_frames)
        real_BS = segment_mask(frame_mask_BT, self.segment_frames)
        return classify(self.classifier, segments_BSH, real_BS)
