"""BiGRU, section 4.3, eqs. 8-10: the whole video read in both directions."""

# B clips, T frames, S segments, N real frames among B * T, F features a frame, C classes
# H GRU units a direction; D directions (2: ahead, back); G = 3 * H: reset gate, update gate, state

from typing import Annotated, Literal

import torch
from torch import nn
from torch.nn import functional

from segment_em.models._segments import (
    classify,
    pack,
    real_rows,
    segment_mask,
    segment_means,
    shares,
    stream_inputs,
    stream_widths,
    unpack,
)


def time_rows(frame_mask_BT: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
    """Return int64 [D, N]: where each real frame stands in [T, B], in either reading direction.

    Read back, the last real frame of a clip comes first; padding is last in both directions, so
    no state of a real frame ever depends on it.
    """
    clips, frames = frame_mask_BT.shape
    clip_N, time_N = rows_N // frames, rows_N % frames
    back_N = frame_mask_BT.sum(dim=1)[clip_N] - 1 - time_N
    return torch.stack([time_N, back_N]) * clips + clip_N


class Recurrence(torch.autograd.Function):
    """The states of a GRU from its gates' inputs, both directions in one pass over time.

    On the CPU a step is so small that its kernels' calls are what costs: here they serve both
    directions, and what the gradient of a step needs is computed for all steps at once.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, inputs_TDBG, weight_DHG, bias_D1H):
        """inputs: W x + b of eqs. 8-10, zero state at the start. Returns states [T, D, B, H]."""
        hidden = weight_DHG.shape[1]
        shape = (*inputs_TDBG.shape[:3], hidden)
        gates = inputs_TDBG.new_empty(*shape[:3], 2 * hidden)
        recalled, candidate, states = (inputs_TDBG.new_empty(shape) for _ in range(3))
        state_DBH = inputs_TDBG.new_zeros(shape[1:])
        for t, (gate_inputs, candidate_inputs) in enumerate(
            zip(*inputs_TDBG.split([2 * hidden, hidden], dim=3), strict=True)
        ):
            product_DBG = torch.bmm(state_DBH, weight_DHG)
            torch.add(gate_inputs, product_DBG[..., : 2 * hidden], out=gates[t]).sigmoid_()
            torch.add(product_DBG[..., 2 * hidden :], bias_D1H, out=recalled[t])
            reset, update = gates[t].chunk(2, dim=2)
            torch.addcmul(candidate_inputs, reset, recalled[t], out=candidate[t]).tanh_()
            state_DBH = torch.lerp(candidate[t], state_DBH, update, out=states[t])
        ctx.save_for_backward(weight_DHG, gates, recalled, candidate, states)
        return states

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, grad_states):
        weight_DHG, gates, recalled, candidate, states = ctx.saved_tensors
        reset, update = gates.chunk(2, dim=3)
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        # The derivatives of each step: by what the gradient of its state is multiplied.
        to_candidate = (1 - update) * (1 - candidate**2)
        to_update = (before - candidate) * update * (1 - update)
        to_reset = recalled * reset * (1 - reset)
        grad_products = gates.new_empty(*gates.shape[:3], weight_DHG.shape[2])
        grad_candidate = torch.empty_like(states)
        weight_DGH = weight_DHG.transpose(1, 2).contiguous()
        grad_DBH = torch.zeros_like(states[0])
        for t in reversed(range(len(states))):
            grad_DBH = grad_DBH + grad_states[t]
            torch.mul(grad_DBH, to_candidate[t], out=grad_candidate[t])
            by_reset, by_update, by_state = grad_products[t].chunk(3, dim=2)
            torch.mul(grad_candidate[t], to_reset[t], out=by_reset)
            torch.mul(grad_DBH, to_update[t], out=by_update)
            torch.mul(grad_candidate[t], reset[t], out=by_state)
            grad_DBH = torch.baddbmm(grad_DBH * update[t], grad_products[t], weight_DGH)
        by_gates, by_state = grad_products.split([gates.shape[3], states.shape[3]], dim=3)
        return (
            torch.cat([by_gates, grad_candidate], dim=3),
            torch.einsum("tdbh,tdbg->dhg", before, grad_products),
            by_state.sum(dim=(0, 2)).unsqueeze(1),
        )


class Layer(nn.Module):
    """A GRU in each direction, their states concatenated; works on real frames alone."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.ahead = nn.GRU(inputs, hidden)
        self.back = nn.GRU(inputs, hidden)

    def forward(
        self, frames_NF: torch.Tensor, rows_DN: torch.Tensor, shape: torch.Size
    ) -> torch.Tensor:
        """Return states [N, 2H]. rows_DN: from `time_rows`; shape: (T, B)."""
        states = self.by_cudnn if frames_NF.is_cuda else self.by_steps
        return states(frames_NF, rows_DN, shape)

    def by_cudnn(
        self, frames_NF: torch.Tensor, rows_DN: torch.Tensor, shape: torch.Size
    ) -> torch.Tensor:
        """Through nn.GRU, which is cuDNN's there, in float32 (TF32 where the GPU has it).

        Autocast would run it in float16, whatever it was told: gradients of a mean over a batch
        are below what that can hold, and the GRU would learn nothing.
        """
        with torch.autocast(frames_NF.device.type, enabled=False):
            frames_NF = frames_NF.to(self.ahead.weight_ih_l0.dtype)
            states = [
                pack(gru(unpack(frames_NF, rows_N, shape))[0], rows_N)
                for gru, rows_N in zip((self.ahead, self.back), rows_DN, strict=True)
            ]
            return torch.cat(states, dim=1)

    def by_steps(
        self, frames_NF: torch.Tensor, rows_DN: torch.Tensor, shape: torch.Size
    ) -> torch.Tensor:
        """The same by `Recurrence`, faster than nn.GRU on a CPU: see docs/models.md."""
        inputs_NG, weight_DHG, bias_D1H = self.recurrence_inputs(frames_NF)
        steps, clips = shape
        time_DN = rows_DN // clips
        # From [T, B] for either direction to one [T, D * B]
        rows_M = (
            rows_DN + (time_DN + torch.arange(2, device=rows_DN.device).unsqueeze(1)) * clips
        ).flatten()
        inputs_MG = torch.cat(inputs_NG.chunk(2, dim=1))
        inputs_TDBG = unpack(inputs_MG, rows_M, torch.Size([steps, 2 * clips])).unflatten(
            1, (2, clips)
        )
        states_TDBH = Recurrence.apply(inputs_TDBG, weight_DHG, bias_D1H)
        return torch.cat(pack(states_TDBH.flatten(1, 2), rows_M).chunk(2), dim=1)

    def recurrence_inputs(
        self, frames_NF: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return W x + b of both directions [N, D * G], the weights U [D, H, G], and U's bias.

        The gates add both their biases; the candidate's second one stands within the reset gate.
        """
        grus = (self.ahead, self.back)
        hidden = self.ahead.hidden_size
        biases = [
            gru.bias_ih_l0 + functional.pad(gru.bias_hh_l0[: 2 * hidden], (0, hidden))
            for gru in grus
        ]
        inputs = functional.linear(
            frames_NF, torch.cat([gru.weight_ih_l0 for gru in grus]), torch.cat(biases)
        )
        weight_DHG = torch.stack([gru.weight_hh_l0.t() for gru in grus])
        bias_D1H = torch.stack([gru.bias_hh_l0[2 * hidden :].unsqueeze(0) for gru in grus])
        return inputs, weight_DHG, bias_D1H


class Model(nn.Module):
    """Bidirectional GRU layers, averages of their states over each segment, a linear layer.

    The GRU is cuDNN's: the reset gate acts on U h, not on h as in eq. 8; see docs/models.md.
    """

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
        dropout: Annotated[float, "at least 0", "below 1"],
    ):
        super().__init__()
        self.names = list(features)
        self.fusion = fusion
        self.segment_frames = segment_frames
        widths = stream_widths(features, fusion)
        units = shares(hidden, widths)
        self.encoders = nn.ModuleList(
            nn.ModuleList(Layer(2 * unit if layer else width, unit) for layer in range(layers))
            for width, unit in zip(widths, units, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * sum(units), classes)

    def forward(
        self, features: dict[str, torch.Tensor], frame_mask_BT: torch.Tensor
    ) -> torch.Tensor:
        """Return logits [B, S, C]; see `segment_em.models`."""
        rows_N = real_rows(frame_mask_BT)
        rows_DN = time_rows(frame_mask_BT, rows_N)
        packed = {name: pack(features[name], rows_N) for name in self.names}
        inputs = stream_inputs(packed, self.names, self.fusion)
        shape = frame_mask_BT.t().shape
        encoded = [
            self.encode(layers, frames_NF, rows_DN, shape)
            for layers, frames_NF in zip(self.encoders, inputs, strict=True)
        ]
        states_BTH = unpack(torch.cat(encoded, dim=1), rows_N, frame_mask_BT.shape)
        segments_BSH = segment_means(states_BTH, frame_mask_BT, self.segment_frames)
        real_BS = segment_mask(frame_mask_BT, self.segment_frames)
        return classify(self.classifier, segments_BSH, real_BS)

    def encode(
        self,
        layers: nn.ModuleList,
        frames_NF: torch.Tensor,
        rows_DN: torch.Tensor,
        shape: torch.Size,
    ) -> torch.Tensor:
        """Return the states of the last layer, [N, 2H]."""
        for layer in layers:
            frames_NF = self.dropout(layer(frames_NF, rows_DN, shape))
        return frames_NF
