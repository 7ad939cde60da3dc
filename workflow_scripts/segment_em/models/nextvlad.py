"""NeXtVLAD, section 4.2, eqs. 4-7.

R. Lin, J. Xiao, J. Fan: NeXtVLAD: An Efficient Neural Network to Aggregate Frame-level Features
for Large-scale Video Classification, 2018, https://arxiv.org/abs/1811.05014. Normalisations that
the equations leave out are as in its author's code, github.com/linrongc/youtube-8m.
"""

# B clips, T frames, S segments, P frames a segment, C classes
# N real segments, M real frames among N * P, F features a frame, H hidden units
# D expanded features, G groups, K clusters, E features a group (D = G * E), L = P * G
# V values of the descriptors of all streams

from typing import Annotated, Literal

import torch
from torch import distributed, nn
from torch.nn import functional

from segment_em.models._segments import (
    logits_of,
    pack,
    real_rows,
    segment_mask,
    stream_inputs,
    stream_widths,
    unpack,
    with_context,
)

BATCH_NORM_EPSILON = 1e-3
# TensorFlow keeps the squared norm above 1e-12, functional.normalize the norm.
SMALLEST_NORM = 1e-6


class SumOverProcesses(torch.autograd.Function):
    """The sum of all processes' values; the gradient of each is the sum of all gradients."""

    @staticmethod
    def forward(ctx, values):
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx, gradient):
        summed = gradient.clone()
        distributed.all_reduce(summed)
        return summed


class BatchNorm(nn.BatchNorm1d):
    """Batch norm over rows, in TensorFlow's terms: decay = 1 - momentum.

    A single row has no variance: it is normalised by the running statistics, in training too.
    Where several processes train together, the rows are those of all of them.
    """

    def __init__(self, width: int, decay: float):
        super().__init__(width, eps=BATCH_NORM_EPSILON, momentum=1 - decay)

    def forward(self, values_NF: torch.Tensor) -> torch.Tensor:
        """Return [N, F]; in training over the rows of all processes of the job, else as trained."""
        if self.training and distributed.is_available() and distributed.is_initialized():
            return self.over_processes(values_NF.float()).to(values_NF.dtype)
        if len(values_NF) > 1:
            return super().forward(values_NF)
        return functional.batch_norm(
            values_NF, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )

    def over_processes(self, values_NF: torch.Tensor) -> torch.Tensor:
        """As nn.SyncBatchNorm, which does not exist on the CPU; a process may have no rows."""
        rows = SumOverProcesses.apply(values_NF.new_full((), len(values_NF)))
        divisor = rows.clamp(min=1)
        mean_F = SumOverProcesses.apply(values_NF.sum(dim=0)) / divisor
        squares_F = SumOverProcesses.apply((values_NF - mean_F).square().sum(dim=0))
        # Chosen on the device: asking how many rows there are would wait for it.
        enough = rows > 1
        mean_F = torch.where(enough, mean_F, self.running_mean)
        variance_F = torch.where(enough, squares_F / divisor, self.running_var)
        with torch.no_grad():
            unbiased_F = torch.where(enough, squares_F / (rows - 1).clamp(min=1), self.running_var)
            self.running_mean.lerp_(mean_F, self.momentum)
            self.running_var.lerp_(unbiased_F, self.momentum)
            self.num_batches_tracked.add_(enough)
        scale_F = self.weight * torch.rsqrt(variance_F + self.eps)
        return (values_NF - mean_F) * scale_F + self.bias


def he_linear(inputs: int, outputs: int, *, bias: bool) -> nn.Linear:
    """Return a linear layer with the initial weights of the author's code: variance 2 / inputs."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Vlad(nn.Module):
    """The NeXtVLAD descriptor of segments, eqs. 4-7, from one stream of features."""

    def __init__(self, width: int, expansion: float, groups: int, clusters: int, decay: float):
        super().__init__()
        self.groups, self.clusters = groups, clusters
        # Rounded to whole groups, so that features of any width will do.
        self.group_width = max(1, round(width * expansion / groups))
        expanded = groups * self.group_width
        self.width = clusters * self.group_width
        self.expand = he_linear(width, expanded, bias=True)
        self.attention = he_linear(expanded, groups, bias=True)
        # Eq. 5's bias is the shift of the batch norm that follows.
        self.assign = he_linear(expanded, groups * clusters, bias=False)
        self.assign_norm = BatchNorm(groups * clusters, decay)
        self.centres_KE = nn.Parameter(torch.empty(clusters, self.group_width))
        nn.init.normal_(self.centres_KE, std=(2 / self.group_width) ** 0.5)
        self.norm = BatchNorm(self.width, decay)

    def forward(self, frames_NPF: torch.Tensor, mask_NP: torch.Tensor) -> torch.Tensor:
        """Return descriptors [N, K * E] of segments; masked frames are left out."""
        expanded_NPD = self.expand(frames_NPF)
        weights_NLK = self.weights(expanded_NPD, mask_NP)
        groups_NLE = expanded_NPD.flatten(1).unflatten(1, (-1, self.group_width))
        # sum_l a_lk (x_l - c_k) = sum_l a_lk x_l - c_k sum_l a_lk: no [N, L, K, E] in memory
        vlad_NKE = weights_NLK.transpose(1, 2) @ groups_NLE
        vlad_NKE = vlad_NKE - weights_NLK.sum(dim=1).unsqueeze(2) * self.centres_KE
        vlad_NKE = functional.normalize(vlad_NKE, dim=2, eps=SMALLEST_NORM)
        return self.norm(vlad_NKE.flatten(1))

    def weights(self, expanded_NPD: torch.Tensor, mask_NP: torch.Tensor) -> torch.Tensor:
        """Return [N, L, K]: attention over groups (eq. 6) times soft assignment (eq. 5)."""
        attention_NPG = torch.sigmoid(self.attention(expanded_NPD)) * mask_NP.unsqueeze(2)
        rows_M = real_rows(mask_NP)
        normed = self.assign_norm(pack(self.assign(expanded_NPD), rows_M))
        logits_NLK = unpack(normed, rows_M, mask_NP.shape).flatten(1)
        logits_NLK = logits_NLK.unflatten(1, (-1, self.clusters))
        return torch.softmax(logits_NLK, dim=2) * attention_NPG.flatten(1).unsqueeze(2)


class Gate(nn.Module):
    """Squeeze-and-excitation: scale each hidden unit by a factor in (0, 1) from all of them."""

    def __init__(self, hidden: int, reduction: int, decay: float):
        super().__init__()
        squeezed = max(1, hidden // reduction)
        self.squeeze = he_linear(hidden, squeezed, bias=False)
        self.norm = BatchNorm(squeezed, decay)
        self.excite = he_linear(squeezed, hidden, bias=False)

    def forward(self, hidden_NH: torch.Tensor) -> torch.Tensor:
        """Return [N, H]: the hidden layer, each unit between 0 and itself."""
        squeezed = torch.relu(self.norm(self.squeeze(hidden_NH)))
        return hidden_NH * torch.sigmoid(self.excite(squeezed))


def stream_vlads(
    widths: list[int], expansion: float, groups: int, clusters: int, decay: float
) -> nn.ModuleList:
    """Return one Vlad a stream; every stream after the first has half the groups and clusters.

    That is how the author's code treats audio beside rgb. Halves are rounded down, to 1 at least.
    """
    first = Vlad(widths[0], expansion, groups, clusters, decay)
    halves = max(1, groups // 2), max(1, clusters // 2)
    return nn.ModuleList([first, *(Vlad(n, expansion, *halves, decay) for n in widths[1:])])


class Model(nn.Module):
    """NeXtVLAD descriptors, a hidden layer with a squeeze-and-excitation gate, a linear layer."""

    frame_level = True

    def __init__(
        self,
        features: dict[str, int],
        classes: int,
        segment_frames: int,
        *,
        fusion: Literal["early", "late"],
        expansion: Annotated[float, "above 0"],
        groups: Annotated[int, "at least 1"],
        clusters: Annotated[int, "at least 1"],
        hidden: Annotated[int, "at least 1"],
        gating_reduction: Annotated[int, "at least 1"],
        dropout: Annotated[float, "at least 0", "below 1"],
        batch_norm_decay: Annotated[float, "at least 0", "below 1"],
        context: Annotated[int, "at least 0"],
    ):
        super().__init__()
        self.context = context
        self.names = list(features)
        self.fusion = fusion
        self.segment_frames = segment_frames
        widths = stream_widths(features, fusion)
        self.vlads = stream_vlads(widths, expansion, groups, clusters, batch_norm_decay)
        self.dropout = nn.Dropout(dropout)
        width = sum(vlad.width for vlad in self.vlads) * (2 if context else 1)
        self.hidden = he_linear(width, hidden, bias=False)
        self.hidden_norm = BatchNorm(hidden, batch_norm_decay)
        self.gate = Gate(hidden, gating_reduction, batch_norm_decay)
        self.classifier = nn.Linear(hidden, classes)

    def forward(
        self, features: dict[str, torch.Tensor], frame_mask_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return logits [B, S, C]; see `segment_em.models`."""
        mask_BSP = frame_mask_BT.unflatten(1, (-1, self.segment_frames))
        real_BS = segment_mask(frame_mask_BT, self.segment_frames)
        # Real segments alone: padding costs no time and does not enter the batch norms.
        rows_N = real_rows(real_BS)
        mask_NP = pack(mask_BSP, rows_N)
        packed = {
            name: pack(features[name].unflatten(1, mask_BSP.shape[1:]), rows_N)
            for name in self.names
        }
        inputs = stream_inputs(packed, self.names, self.fusion)
        descriptors = [
            vlad(frames_NPF, mask_NP) for vlad, frames_NPF in zip(self.vlads, inputs, strict=True)
        ]
        descriptors_BSV = unpack(torch.cat(descriptors, dim=1), rows_N, real_BS.shape)
        descriptors_NV = pack(with_context(descriptors_BSV, real_BS, self.context), rows_N)
        logits_NC = self.score(descriptors_NV)
        return unpack(logits_NC, rows_N, real_BS.shape)

    def score(self, descriptors_NV: torch.Tensor) -> torch.Tensor:
        """Return logits [N, C] of the concatenated descriptors of segments."""
        hidden_NH = self.hidden_norm(self.hidden(self.dropout(descriptors_NV)))
        return logits_of(self.classifier, self.gate(hidden_NH))
