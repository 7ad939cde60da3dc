"""The models as one would write them first: what steps.py measures ours against.

Padded clips throughout, PyTorch's own layers, and NeXtVLAD in the order of operations of its
author's code. Each takes its weights from one of our models, and gives the same scores of clips
without padding (tests/test_benchmarks.py).
"""

# B clips, T frames, S segments, P frames a segment, N = B * S, F features a frame, C classes
# D expanded features, G groups, K clusters, E features a group, L = P * G

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def plain(ours: nn.Module) -> nn.Module:
    """The plain version of one of our models, with the same weights."""
    architecture = type(ours).__module__.rpartition(".")[2]
    return {
        "logistic": Logistic,
        "nextvlad": NextVlad,
        "bigru": BiGru,
        "transformer": Transformer,
    }[architecture](ours)


def streams(ours: nn.Module, features: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    inputs = [features[name] for name in ours.names]
    return [torch.cat(inputs, dim=-1)] if ours.fusion == "early" else inputs


def segment_means(frames_BTF: torch.Tensor, mask_BT: torch.Tensor, length: int) -> torch.Tensor:
    """[B, S, F]: the sum of the real frames of each segment over their number."""
    kept_BTF = frames_BTF * mask_BT.unsqueeze(2)
    counts_BS1 = mask_BT.unflatten(1, (-1, length)).sum(dim=2, keepdim=True).clamp(min=1)
    return kept_BTF.unflatten(1, (-1, length)).sum(dim=2) / counts_BS1


class Logistic(nn.Module):
    def __init__(self, ours: nn.Module):
        super().__init__()
        self.names, self.fusion, self.length = ours.names, "early", ours.segment_frames
        self.classifier = same(ours.classifier)

    def forward(self, features: dict[str, torch.Tensor], mask_BT: torch.Tensor) -> torch.Tensor:
        (frames_BTF,) = streams(self, features)
        return self.classifier(segment_means(frames_BTF, mask_BT, self.length))


class Transformer(nn.Module):
    def __init__(self, ours: nn.Module):
        super().__init__()
        self.names, self.fusion, self.length = ours.names, ours.fusion, ours.segment_frames
        self.encoders = nn.ModuleList(encoder_of(encoder) for encoder in ours.encoders)
        self.classifier = same(ours.classifier)

    def forward(self, features: dict[str, torch.Tensor], mask_BT: torch.Tensor) -> torch.Tensor:
        encoded = [
            encoder(frames_BTF, src_key_padding_mask=~mask_BT)
            for encoder, frames_BTF in zip(self.encoders, streams(self, features), strict=True)
        ]
        return self.classifier(segment_means(torch.cat(encoded, dim=2), mask_BT, self.length))


def encoder_of(ours: nn.Module) -> nn.TransformerEncoder:
    """nn.TransformerEncoder with the weights of our encoder (one whose inputs are not mapped)."""
    first = ours.blocks[0]
    between, dropout = first.feed_forward[0].out_features, first.dropout.p
    layer = nn.TransformerEncoderLayer(ours.width, first.heads, between, dropout, batch_first=True)
    encoder = nn.TransformerEncoder(layer, len(ours.blocks), enable_nested_tensor=False)
    for to, block in zip(encoder.layers, ours.blocks, strict=True):
        to.self_attn.in_proj_weight.data.copy_(block.query_key_value.weight)
        to.self_attn.in_proj_bias.data.copy_(block.query_key_value.bias)
        nn.init.eye_(to.self_attn.out_proj.weight)  # the paper's attention has no output layer
        nn.init.zeros_(to.self_attn.out_proj.bias)
        to.linear1.load_state_dict(block.feed_forward[0].state_dict())
        to.linear2.load_state_dict(block.feed_forward[2].state_dict())
        to.norm1.load_state_dict(block.attention_norm.state_dict())
        to.norm2.load_state_dict(block.feed_forward_norm.state_dict())
    return encoder


class BiGru(nn.Module):
    """Early fusion only; clips without frames are not for nn.GRU."""

    def __init__(self, ours: nn.Module):
        super().__init__()
        self.names, self.fusion, self.length = ours.names, "early", ours.segment_frames
        (layers,) = ours.encoders
        first = layers[0].ahead
        self.gru = nn.GRU(
            first.input_size,
            first.hidden_size,
            len(layers),
            batch_first=True,
            bidirectional=True,
            dropout=ours.dropout.p,
        )
        for number, layer in enumerate(layers):
            for gru, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
                for name, weight in gru.state_dict().items():
                    own = getattr(self.gru, name.replace("_l0", f"_l{number}{suffix}"))
                    own.data.copy_(weight)
        self.classifier = same(ours.classifier)

    def forward(self, features: dict[str, torch.Tensor], mask_BT: torch.Tensor) -> torch.Tensor:
        (frames_BTF,) = streams(self, features)
        packed = pack_padded_sequence(
            frames_BTF, mask_BT.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False
        )
        states_BTH, _ = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=mask_BT.shape[1]
        )
        return self.classifier(segment_means(states_BTH, mask_BT, self.length))


class NextVlad(nn.Module):
    """Eqs. 4-7; every segment of a padded clip is computed, as the author's code computes it."""

    def __init__(self, ours: nn.Module):
        super().__init__()
        self.names, self.fusion, self.length = ours.names, ours.fusion, ours.segment_frames
        self.vlads = nn.ModuleList(Vlad(vlad) for vlad in ours.vlads)
        self.dropout = nn.Dropout(ours.dropout.p)
        self.hidden, self.hidden_norm = same(ours.hidden), same_norm(ours.hidden_norm)
        columns = [clusters_last(vlad) for vlad in ours.vlads]
        starts = [sum(len(column) for column in columns[:i]) for i in range(len(columns))]
        order = torch.cat([c + start for c, start in zip(columns, starts, strict=True)])
        self.hidden.weight.data.copy_(ours.hidden.weight[:, order])
        self.squeeze, self.excite = same(ours.gate.squeeze), same(ours.gate.excite)
        self.squeeze_norm = same_norm(ours.gate.norm)
        self.classifier = same(ours.classifier)

    def forward(self, features: dict[str, torch.Tensor], mask_BT: torch.Tensor) -> torch.Tensor:
        mask_NP = mask_BT.reshape(-1, self.length)
        descriptors = [
            vlad(frames_BTF.reshape(-1, self.length, frames_BTF.shape[2]), mask_NP)
            for vlad, frames_BTF in zip(self.vlads, streams(self, features), strict=True)
        ]
        hidden_NH = self.hidden_norm(self.hidden(self.dropout(torch.cat(descriptors, dim=1))))
        gate_NH = torch.relu(self.squeeze_norm(self.squeeze(hidden_NH)))
        gate_NH = torch.sigmoid(self.excite(gate_NH))
        return self.classifier(hidden_NH * gate_NH).unflatten(0, (len(mask_BT), -1))


class Vlad(nn.Module):
    def __init__(self, ours: nn.Module):
        super().__init__()
        self.groups, self.clusters, self.width = ours.groups, ours.clusters, ours.group_width
        self.expand, self.attention = same(ours.expand), same(ours.attention)
        self.assign, self.assign_norm = same(ours.assign), same_norm(ours.assign_norm)
        self.centres_1EK = nn.Parameter(ours.centres_KE.detach().t().unsqueeze(0).clone())
        self.norm = same_norm(ours.norm)
        order = clusters_last(ours)
        for name, values in self.norm.state_dict().items():
            if values.ndim:
                values.copy_(ours.norm.state_dict()[name][order])

    def forward(self, frames_NPF: torch.Tensor, mask_NP: torch.Tensor) -> torch.Tensor:
        expanded_NPD = self.expand(frames_NPF)
        attention_NPG = torch.sigmoid(self.attention(expanded_NPD)) * mask_NP.unsqueeze(2)
        attention_NL1 = attention_NPG.reshape(len(mask_NP), -1, 1)
        assigned_MJ = self.assign(expanded_NPD.reshape(-1, expanded_NPD.shape[2]))
        assigned_MJ = self.assign_norm(assigned_MJ)
        assigned_NLK = assigned_MJ.reshape(len(mask_NP), -1, self.clusters)
        weights_NLK = torch.softmax(assigned_NLK, dim=2) * attention_NL1
        centre_NEK = weights_NLK.sum(dim=1, keepdim=True) * self.centres_1EK
        groups_NLE = expanded_NPD.reshape(len(mask_NP), -1, self.width)
        vlad_NKE = torch.matmul(weights_NLK.transpose(1, 2), groups_NLE)
        vlad_NEK = vlad_NKE.transpose(1, 2) - centre_NEK
        squares_N1K = vlad_NEK.square().sum(dim=1, keepdim=True)
        vlad_NEK = vlad_NEK * squares_N1K.clamp(min=1e-12).rsqrt()
        return self.norm(vlad_NEK.reshape(len(mask_NP), -1))


def clusters_last(ours: nn.Module) -> torch.Tensor:
    """int64 [K * E]: our descriptor's columns in the order of the author's, features first."""
    return torch.arange(ours.width).reshape(ours.clusters, ours.group_width).t().flatten()


def same(ours: nn.Linear) -> nn.Linear:
    """A linear layer of PyTorch's with the same weights."""
    layer = nn.Linear(ours.in_features, ours.out_features, bias=ours.bias is not None)
    layer.load_state_dict(ours.state_dict())
    return layer


def same_norm(ours: nn.BatchNorm1d) -> nn.BatchNorm1d:
    """PyTorch's batch norm with the same weights and statistics."""
    layer = nn.BatchNorm1d(ours.num_features, eps=ours.eps, momentum=ours.momentum)
    layer.load_state_dict(ours.state_dict())
    return layer
