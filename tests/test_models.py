"""The models against the paper's equations written as loops, and what holds for every model."""

import importlib
import inspect
import math
import sys
import typing
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_models import SMALL
from torch import nn
from torch.fx.experimental import _config as fx_config

from segment_em import models
from segment_em.errors import InputError
from segment_em.models import bigru, nextvlad, transformer
from segment_em.models._segments import shares, with_context
from segment_em.options import holds, is_rule

FEATURES = {"rgb": 8, "audio": 4}
PAPER_FEATURES = {"rgb": 1024, "audio": 128}
CLASSES = 3
SEGMENT_FRAMES = 5
LENGTHS = (13, 20, 1, 4)  # partial last segments, a full clip, a single frame

every_model = pytest.mark.parametrize(
    ("architecture", "fusion"),
    [(name, fusion) for name in models.architectures() for fusion in ("early", "late")],
)
every_frame_level_model = pytest.mark.parametrize(
    ("architecture", "fusion"),
    [
        (name, fusion)
        for name in models.architectures()
        for fusion in ("early", "late")
        if importlib.import_module(f"segment_em.models.{name}").Model.frame_level
    ],
)
both_fusions = pytest.mark.parametrize("fusion", ["early", "late"])


def small_model(architecture, fusion, **changes):
    """Return a model in eval mode whose every weight and statistic has an effect."""
    torch.manual_seed(1)
    options = SMALL[architecture] | {"fusion": fusion} | changes
    model = models.build(architecture, FEATURES, CLASSES, SEGMENT_FRAMES, options).double()
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data += torch.rand_like(tensor) / 2
    return model.eval()


def clips(lengths, frames=20, seed=0, padding=0.0):
    """Return random features and the mask of clips that are real up to `lengths`."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(frames) < torch.tensor(lengths).unsqueeze(1)
    features = {}
    for name, width in FEATURES.items():
        values = torch.randn(len(lengths), 20, width, generator=generator, dtype=torch.float64)
        values = nn.functional.pad(values, (0, 0, 0, max(0, frames - 20)))[:, :frames]
        features[name] = torch.where(mask.unsqueeze(2), values, padding)
    return features, mask


def real_segments(mask):
    return mask.unflatten(1, (-1, SEGMENT_FRAMES)).any(dim=2)


# The paper's equations, frame by frame, from a model's own weights


def weights_of(model):
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(weights, name, x):
    bias = weights.get(f"{name}.bias", 0.0)
    return weights[f"{name}.weight"] @ x + bias


def streams_of(clip, fusion):
    """Return the inputs of the encoders for one clip without padding: arrays [T, F]."""
    joined = [np.concatenate(list(clip.values()), axis=1)]
    return joined if fusion == "early" else list(clip.values())


def average_by_segment(frames):
    starts = range(0, len(frames), SEGMENT_FRAMES)
    return [np.mean(frames[start : start + SEGMENT_FRAMES], axis=0) for start in starts]


def logistic_by_loops(model, clip):
    weights = weights_of(model)
    joined = np.concatenate(list(clip.values()), axis=1)
    return [linear(weights, "classifier", x) for x in average_by_segment(joined)]


def batch_norm(weights, name, x):
    centred = x - weights[f"{name}.running_mean"]
    scaled = centred / np.sqrt(weights[f"{name}.running_var"] + 1e-3)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def vlad_by_loops(weights, name, frames, groups, clusters):
    """Eqs. 4-7: add up v_gij over frames i and groups g, for each cluster j."""
    centres = weights[f"{name}.centres_KE"]
    u = np.zeros_like(centres)
    for x in frames:
        expanded = linear(weights, f"{name}.expand", x)
        attention = sigmoid(linear(weights, f"{name}.attention", expanded))
        assigned = linear(weights, f"{name}.assign", expanded)
        assigned = batch_norm(weights, f"{name}.assign_norm", assigned)
        for g in range(groups):
            x_g = expanded[g * centres.shape[1] : (g + 1) * centres.shape[1]]
            exponentials = np.exp(assigned[g * clusters : (g + 1) * clusters])
            for j in range(clusters):
                alpha_gj = exponentials[j] / exponentials.sum()
                u[j] += attention[g] * alpha_gj * (x_g - centres[j])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    return batch_norm(weights, f"{name}.norm", u.flatten())


def nextvlad_by_loops(model, clip):
    weights, options = weights_of(model), SMALL["nextvlad"]
    streams = streams_of(clip, model.fusion)
    logits = []
    for start in range(0, len(streams[0]), SEGMENT_FRAMES):
        descriptors = [
            vlad_by_loops(
                weights,
                f"vlads.{number}",
                frames[start : start + SEGMENT_FRAMES],
                options["groups"] // (2 if number else 1),
                options["clusters"] // (2 if number else 1),
            )
            for number, frames in enumerate(streams)
        ]
        hidden = linear(weights, "hidden", np.concatenate(descriptors))
        hidden = batch_norm(weights, "hidden_norm", hidden)
        squeezed = batch_norm(weights, "gate.norm", linear(weights, "gate.squeeze", hidden))
        gate = sigmoid(linear(weights, "gate.excite", np.maximum(squeezed, 0)))
        logits.append(linear(weights, "classifier", hidden * gate))
    return logits


def gru_by_loops(weights, name, frames):
    """Eqs. 8-10, the reset gate on U h; PyTorch's update gate is 1 less the paper's."""
    w, u = weights[f"{name}.weight_ih_l0"], weights[f"{name}.weight_hh_l0"]
    b, c = weights[f"{name}.bias_ih_l0"], weights[f"{name}.bias_hh_l0"]
    size = u.shape[1]
    reset, update, state = (slice(k * size, (k + 1) * size) for k in range(3))
    h, states = np.zeros(size), []
    for x in frames:
        r = sigmoid(w[reset] @ x + u[reset] @ h + b[reset] + c[reset])
        z = 1 - sigmoid(w[update] @ x + u[update] @ h + b[update] + c[update])
        proposed = np.tanh(w[state] @ x + r * (u[state] @ h + c[state]) + b[state])
        h = (1 - z) * h + z * proposed
        states.append(h)
    return np.array(states)


def bigru_by_loops(model, clip):
    weights = weights_of(model)
    encoded = []
    for number, frames in enumerate(streams_of(clip, model.fusion)):
        for layer in range(SMALL["bigru"]["layers"]):
            name = f"encoders.{number}.{layer}"
            ahead = gru_by_loops(weights, f"{name}.ahead", frames)
            back = gru_by_loops(weights, f"{name}.back", frames[::-1])[::-1]
            frames = np.concatenate([ahead, back], axis=1)
        encoded.append(frames)
    segments = average_by_segment(np.concatenate(encoded, axis=1))
    return [linear(weights, "classifier", segment) for segment in segments]


def layer_norm(weights, name, x):
    scaled = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def block_by_loops(weights, name, frames, heads):
    """Eqs. 11-14, then LayerNorm and feed-forward layer, each on top of its input."""
    width = frames.shape[1]
    size = width // heads
    queries, keys, values = np.split(
        np.array([linear(weights, f"{name}.query_key_value", x) for x in frames]), 3, axis=1
    )
    outputs = []
    for i, x in enumerate(frames):
        u = np.zeros(width)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            exponentials = [
                math.exp(queries[i, part] @ key[part] / math.sqrt(size)) for key in keys
            ]
            for weight, value in zip(exponentials, values, strict=True):
                u[part] += weight / sum(exponentials) * value[part]
        normed = layer_norm(weights, f"{name}.attention_norm", x + u)
        between = np.maximum(linear(weights, f"{name}.feed_forward.0", normed), 0)
        fed = linear(weights, f"{name}.feed_forward.2", between)
        outputs.append(layer_norm(weights, f"{name}.feed_forward_norm", normed + fed))
    return np.array(outputs)


def position_signal(t, width):
    """Vaswani et al., section 3.5: sines in the even columns, cosines in the odd ones."""
    signal = np.empty(width)
    for column in range(width):
        angle = t / 10000 ** (2 * (column // 2) / width)
        signal[column] = math.cos(angle) if column % 2 else math.sin(angle)
    return signal


def transformer_by_loops(model, clip):
    weights = weights_of(model)
    encoded = []
    for number, (frames, encoder) in enumerate(
        zip(streams_of(clip, model.fusion), model.encoders, strict=True)
    ):
        name = f"encoders.{number}"
        if f"{name}.project.weight" in weights:
            frames = np.array([linear(weights, f"{name}.project", x) for x in frames])
        if encoder.positions == "sinusoidal":
            frames = np.array([x + position_signal(t, len(x)) for t, x in enumerate(frames)])
        for layer, block in enumerate(encoder.blocks):
            frames = block_by_loops(weights, f"{name}.blocks.{layer}", frames, block.heads)
        encoded.append(frames)
    segments = average_by_segment(np.concatenate(encoded, axis=1))
    return [linear(weights, "classifier", segment) for segment in segments]


def assert_equals_loops(model, by_loops):
    features, mask = clips(LENGTHS)
    logits = model(features, mask).detach().numpy()
    for number, length in enumerate(LENGTHS):
        clip = {name: values[number, :length].numpy() for name, values in features.items()}
        expected = np.array(by_loops(model, clip))
        # Position signals are computed in float32.
        np.testing.assert_allclose(logits[number, : len(expected)], expected, rtol=1e-5, atol=1e-5)


@both_fusions
def test_logistic_equals_a_linear_layer_on_averages_written_as_loops(fusion):
    assert_equals_loops(small_model("logistic", fusion), logistic_by_loops)


@both_fusions
def test_nextvlad_equals_equations_4_to_7_written_as_loops(fusion):
    assert_equals_loops(small_model("nextvlad", fusion), nextvlad_by_loops)


@both_fusions
def test_bigru_equals_equations_8_to_10_written_as_loops(fusion):
    assert_equals_loops(small_model("bigru", fusion), bigru_by_loops)


@both_fusions
@pytest.mark.parametrize(
    "changes",
    [
        {"heads": 1, "positions": "none"},  # the paper
        {"heads": 2, "positions": "sinusoidal"},
        {"heads": 1, "hidden": 6, "positions": "sinusoidal"},  # through an input projection
    ],
)
@pytest.mark.parametrize("widest_fused", [transformer.WIDEST_FUSED, 0])
def test_transformer_equals_equations_11_to_14_written_as_loops(
    fusion, changes, widest_fused, monkeypatch
):
    monkeypatch.setattr(transformer, "WIDEST_FUSED", widest_fused)
    assert_equals_loops(small_model("transformer", fusion, **changes), transformer_by_loops)


# What holds for every model


@every_model
def test_padded_frames_do_not_change_scores(architecture, fusion):
    model = small_model(architecture, fusion)
    features, mask = clips(LENGTHS)
    expected = model(features, mask)
    for frames, padding in [(20, 7.0), (30, 0.0), (45, -1e3)]:
        logits = model(*clips(LENGTHS, frames=frames, padding=padding))
        torch.testing.assert_close(logits[:, :4], expected)


@every_model
def test_a_clip_scores_the_same_alone_and_among_others(architecture, fusion):
    model = small_model(architecture, fusion)
    features, mask = clips(LENGTHS)
    together = model(features, mask)
    alone = model({name: values[:1, :15] for name, values in features.items()}, mask[:1, :15])
    torch.testing.assert_close(alone, together[:1, :3])


@every_model
def test_segments_without_a_real_frame_have_logits_zero(architecture, fusion):
    features, mask = clips(LENGTHS, frames=30, padding=9.0)
    logits = small_model(architecture, fusion)(features, mask)
    assert (logits[~real_segments(mask)] == 0).all()
    assert (logits[real_segments(mask)] != 0).all()


@every_model
@pytest.mark.parametrize("lengths", [(0, 7, 0), (0, 0)])
@pytest.mark.parametrize("training", [False, True])
def test_clips_without_frames_have_finite_logits_and_gradients(
    architecture, fusion, lengths, training
):
    model = small_model(architecture, fusion).train(training)
    features, mask = clips(lengths)
    logits = model(features, mask)
    assert logits.shape == (len(lengths), 4, CLASSES)
    logits.square().sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@every_model
def test_every_weight_gets_a_finite_gradient_in_training(architecture, fusion):
    model = small_model(architecture, fusion).train()
    model(*clips(LENGTHS)).square().sum().backward()
    for name, weight in model.named_parameters():
        assert torch.isfinite(weight.grad).all(), name
        assert (weight.grad != 0).any(), name


@every_model
def test_a_single_segment_can_be_trained_on(architecture, fusion):
    model = small_model(architecture, fusion).train()
    features, mask = clips((5,), frames=5)
    model(features, mask).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@every_model
def test_only_sequence_models_see_the_rest_of_the_video(architecture, fusion):
    model = small_model(architecture, fusion)
    features, mask = clips((20,))
    before = model(features, mask)
    for values in features.values():
        values[0, 12] += 1.0  # a frame of segment 2
    change = (model(features, mask) - before).abs().amax(dim=2)[0]
    assert change[2] > 1e-4
    others = change[[0, 1, 3]]
    assert (others < 1e-12).all() if model.frame_level else (others > 1e-9).any()


@every_frame_level_model
def test_frame_level_models_take_segments_masked_anywhere(architecture, fusion):
    model = small_model(architecture, fusion)
    features, mask = clips((20,))
    expected = model(features, mask)
    mask[0, 5:10] = False
    logits = model(features, mask)
    assert (logits[0, 1] == 0).all()
    torch.testing.assert_close(logits[0, [0, 2, 3]], expected[0, [0, 2, 3]])


@every_model
def test_mixed_precision_stays_near_full_precision(architecture, fusion):
    model = small_model(architecture, fusion).float()
    features, mask = clips(LENGTHS)
    features = {name: values.float() for name, values in features.items()}
    expected = model(features, mask)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(features, mask)
    logits.float().square().sum().backward()
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.3)
    assert all(weight.grad.dtype == torch.float32 for weight in model.parameters())


@every_model
def test_what_is_ranked_is_not_rounded_by_mixed_precision(architecture, fusion):
    model = small_model(architecture, fusion).float().eval()
    features, mask = clips(LENGTHS)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        logits = model({name: values.float() for name, values in features.items()}, mask)
    assert logits.dtype == torch.float32
    # As bfloat16, no more than 256 values in each octave could be told apart.
    real = logits[logits != 0]
    assert (real.bfloat16().float() != real).float().mean() > 0.9


@fx_config.patch(meta_nonzero_assume_all_nonzero=True)
@every_model
@pytest.mark.parametrize("training", [False, True])
def test_all_is_computed_on_the_device_of_the_input(architecture, fusion, training, monkeypatch):
    """On PyTorch's device "meta", which computes nothing and refuses tensors of another device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # has none for it
    model = small_model(architecture, fusion).to("meta").train(training)
    features, mask = clips(LENGTHS)
    features = {name: values.to("meta") for name, values in features.items()}
    with pytest.raises(RuntimeError, match="device"):  # of what it refuses
        model(features, mask)
    logits = model(features, mask.to("meta"))
    logits.sum().backward()
    assert {logits.device.type} | {weight.grad.device.type for weight in model.parameters()} == {
        "meta"
    }


@every_model
def test_the_order_of_a_batch_s_modalities_does_not_matter(architecture, fusion):
    model = small_model(architecture, fusion)
    features, mask = clips(LENGTHS)
    turned = dict(reversed(features.items()))
    assert torch.equal(model(turned, mask), model(features, mask))


@every_model
def test_options_are_required_keywords_with_plain_annotations(architecture, fusion):
    model = small_model(architecture, fusion)
    assert isinstance(type(model).frame_level, bool)
    parameters = list(inspect.signature(type(model)).parameters.values())
    assert [p.name for p in parameters[:3]] == ["features", "classes", "segment_frames"]
    for option in parameters[3:]:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is inspect.Parameter.empty
        annotation = option.annotation
        if typing.get_origin(annotation) is typing.Annotated:
            annotation, *rules = typing.get_args(annotation)
            assert all(is_rule(rule, {"hidden"}) for rule in rules)
        plain = annotation in (int, float, bool, str)
        assert plain or typing.get_origin(annotation) is typing.Literal


@every_model
def test_scores_start_near_the_class_prior(architecture, fusion):
    torch.manual_seed(0)
    features = {"rgb": 256, "audio": 32}
    options = SMALL[architecture] | {"fusion": fusion}
    if "hidden" in options:
        options["hidden"] = 144
    model = models.build(architecture, features, 4, SEGMENT_FRAMES, options).eval()
    models.set_prior(model, torch.tensor([0.003, 0.02, 0.1, 0.3]))
    inputs = {name: torch.randn(50, 20, width) for name, width in features.items()}
    scores = torch.sigmoid(model(inputs, torch.ones(50, 20, dtype=torch.bool)))
    ratio = scores.mean(dim=(0, 1)) / torch.tensor([0.003, 0.02, 0.1, 0.3])
    assert ((ratio > 0.5) & (ratio < 2)).all()


# Single models


def test_priors_of_0_and_1_become_finite_biases():
    model = small_model("logistic", "early")
    models.set_prior(model, torch.tensor([0.0, 0.5, 1.0]))
    expected = torch.tensor([math.log(1e-4 / (1 - 1e-4)), 0.0, math.log((1 - 1e-4) / 1e-4)])
    torch.testing.assert_close(model.classifier.bias.data, expected.double())


def test_logistic_fuses_early_and_late_into_the_same_function():
    features, mask = clips(LENGTHS)
    early, late = (small_model("logistic", fusion) for fusion in ("early", "late"))
    late.load_state_dict(early.state_dict())
    assert torch.equal(early(features, mask), late(features, mask))


def test_padding_does_not_enter_nextvlad_s_batch_statistics():
    statistics = []
    for frames, padding in [(20, 0.0), (40, 50.0)]:
        model = small_model("nextvlad", "late", dropout=0.0).train()
        model(*clips(LENGTHS, frames=frames, padding=padding))
        statistics.append(dict(model.named_buffers()))
    for name, expected in statistics[0].items():
        torch.testing.assert_close(statistics[1][name], expected)


def test_batch_norm_decay_is_the_share_of_the_old_statistics_that_stays():
    norm = nextvlad.BatchNorm(1, 0.75)
    norm(torch.tensor([[2.0], [4.0]]))
    assert norm.running_mean.item() == pytest.approx(0.25 * 3)
    assert norm.running_var.item() == pytest.approx(0.75 * 1 + 0.25 * 2)


def test_bigru_s_recurrence_has_the_gradient_of_finite_differences():
    torch.manual_seed(0)
    shapes = (4, 2, 3, 6), (2, 2, 6), (2, 1, 2)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(bigru.Recurrence.apply, inputs)


def test_a_bigru_layer_equals_pytorch_s_bidirectional_gru_on_packed_sequences():
    torch.manual_seed(0)
    layer, reference = bigru.Layer(3, 4), nn.GRU(3, 4, bidirectional=True, batch_first=True)
    for direction, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
        for name, weight in direction.named_parameters():
            weight.data = getattr(reference, name + suffix).data
    lengths = torch.tensor([4, 7, 1])
    frames, mask = torch.randn(3, 7, 3), torch.arange(7) < lengths.unsqueeze(1)
    packed = nn.utils.rnn.pack_padded_sequence(frames, lengths, True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    expected[mask].square().sum().backward()
    rows_DN = bigru.time_rows(mask, mask.flatten().nonzero().squeeze(1))
    for states in (layer.by_steps, layer.by_cudnn):
        layer.zero_grad()
        states_NH = states(frames[mask], rows_DN, torch.Size([7, 3]))
        states_NH.square().sum().backward()
        torch.testing.assert_close(states_NH, expected[mask])
        for direction, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
            for name, weight in direction.named_parameters():
                expected_grad = getattr(reference, name + suffix).grad
                torch.testing.assert_close(weight.grad, expected_grad, rtol=1e-4, atol=1e-5)


def test_cudnn_s_gru_is_not_left_to_autocast():
    """On a GPU that would run it in float16, where small gradients are 0."""
    torch.manual_seed(0)
    layer, mask = bigru.Layer(3, 4), torch.ones(2, 7, dtype=torch.bool)
    rows_DN = bigru.time_rows(mask, mask.flatten().nonzero().squeeze(1))
    frames = torch.randn(14, 3).bfloat16()
    expected = layer.by_cudnn(frames.float(), rows_DN, torch.Size([7, 2]))
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.by_cudnn(frames, rows_DN, torch.Size([7, 2]))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


# Sizes: the paper's, with 1,000 classes; the sums are written as the layers are

PAPER_NEXTVLAD = {
    "fusion": "late",
    "expansion": 2.0,
    "groups": 8,
    "clusters": 128,
    "hidden": 2048,
    "gating_reduction": 8,
    "dropout": 0.5,
    "batch_norm_decay": 0.999,
    "context": 0,
}
PAPER_BIGRU = {"fusion": "early", "layers": 2, "hidden": 1024, "dropout": 0.0}
PAPER_TRANSFORMER = {
    "layers": 2,
    "hidden": 1152,
    "heads": 1,
    "feed_forward": 4608,
    "dropout": 0.1,
    "positions": "none",
}


def dense(inputs, outputs):
    return inputs * outputs + outputs


def block_size(width, feed_forward):
    attention = 3 * dense(width, width) + 2 * width
    return attention + dense(width, feed_forward) + dense(feed_forward, width) + 2 * width


def vlad_size(width, groups, clusters):
    expanded, group = 2 * width, 2 * width // groups
    first = dense(width, expanded) + dense(expanded, groups)
    assignment = expanded * groups * clusters + 2 * groups * clusters
    return first + assignment + clusters * group + 2 * clusters * group


def gru_size(inputs, units):
    return 2 * 3 * (inputs * units + units * units + 2 * units)


@pytest.mark.parametrize(
    ("architecture", "options", "stated", "counted"),
    [
        ("logistic", {"fusion": "early", "context": 0}, 1_153_000, dense(1152, 1000)),
        (
            "nextvlad",
            PAPER_NEXTVLAD,
            83_025_140,
            vlad_size(1024, 8, 128)
            + vlad_size(128, 4, 64)
            + (128 * 256 + 64 * 64) * 2048
            + 2 * 2048
            + 2 * 2048 * 256
            + 2 * 256
            + dense(2048, 1000),
        ),
        (
            "bigru",
            PAPER_BIGRU,
            34_317_288,
            gru_size(1152, 1024) + gru_size(2048, 1024) + dense(2048, 1000),
        ),
        (
            "transformer",
            {"fusion": "early", **PAPER_TRANSFORMER},
            30_376_936,
            2 * block_size(1152, 4608) + dense(1152, 1000),
        ),
        (
            "transformer",
            {"fusion": "late", **PAPER_TRANSFORMER},
            24_609_768,
            2 * block_size(1024, 4096) + 2 * block_size(128, 512) + dense(1152, 1000),
        ),
    ],
)
def test_parameter_counts_at_the_paper_s_size(architecture, options, stated, counted):
    with torch.device("meta"):
        model = models.build(architecture, PAPER_FEATURES, 1000, 5, options)
    assert sum(weight.numel() for weight in model.parameters()) == stated == counted


# Bad options


def test_an_unknown_architecture_is_refused_with_those_there_are():
    known = ", ".join(models.architectures())
    with pytest.raises(InputError, match=f"no architecture 'resnet'.*{known}"):
        models.build("resnet", FEATURES, CLASSES, SEGMENT_FRAMES, {"fusion": "early"})


@pytest.mark.parametrize(
    ("lacks", "message"),
    [
        ("frame_level", r"models/mine\.py: Model has no frame_level"),
        ("classifier", r"models/mine\.py: Model has no classifier = nn"),
        ("bias", r"models/mine\.py: Model has no classifier = nn.*, with a bias"),
        ("own weights", r"models/mine\.py: first\.weight and second\.weight are one tensor, which"),
        ("context", r"models/mine\.py: Model is frame_level and has no context"),
    ],
)
def test_a_model_of_ones_own_that_lacks_a_part_is_refused_by_name(monkeypatch, lacks, message):
    class Model(nn.Module):
        frame_level = None if lacks == "frame_level" else True

        def __init__(self, features, classes, segment_frames):
            super().__init__()
            self.context = None if lacks == "context" else 0
            self.classifier = nn.Linear(
                3, 1 if lacks == "classifier" else classes, bias=lacks != "bias"
            )
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            if lacks == "own weights":
                self.second.weight = self.first.weight

    monkeypatch.setattr(models, "architectures", lambda: ["mine"])
    module = SimpleNamespace(Model=Model, __file__=__file__)
    monkeypatch.setitem(sys.modules, "segment_em.models.mine", module)
    with pytest.raises(InputError, match=message):
        models.build("mine", FEATURES, CLASSES, SEGMENT_FRAMES, {})


@pytest.mark.parametrize("width", [1, 13, 88, 1000])
@pytest.mark.parametrize("architecture", SMALL)
def test_features_of_any_width_will_do(architecture, width):
    options = SMALL[architecture] | {"fusion": "early"}
    model = models.build(architecture, {"own": width}, CLASSES, SEGMENT_FRAMES, options).eval()
    logits = model({"own": torch.randn(2, 10, width)}, torch.ones(2, 10, dtype=torch.bool))
    assert logits.shape == (2, 2, CLASSES)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("transformer", {"hidden": 12, "heads": 3}),
        ("transformer", {"hidden": 128, "heads": 64}),
        ("nextvlad", {"groups": 1, "clusters": 5}),
    ],
)
def test_numbers_that_do_not_divide_among_modalities_are_rounded(architecture, changes):
    options = SMALL[architecture] | {"fusion": "late"} | changes
    model = models.build(architecture, FEATURES, CLASSES, SEGMENT_FRAMES, options).eval()
    features = {name: torch.randn(2, 10, width) for name, width in FEATURES.items()}
    assert model(features, torch.ones(2, 10, dtype=torch.bool)).shape == (2, 2, CLASSES)


@pytest.mark.parametrize(
    ("total", "multiple", "expected"),
    [(128, 1, [114, 14]), (128, 2, [114, 14]), (128, 4, [112, 16]), (128, 64, [128, 64])],
)
def test_hidden_units_are_split_by_width(total, multiple, expected):
    assert shares(total, [1024, 128], multiple) == expected


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        ("logistic", {"fusion": "middle"}, "fusion is 'middle'; it must be 'early' or 'late'"),
        ("nextvlad", {"expansion": 0.0}, "expansion is 0.0; it must be above 0"),
        ("nextvlad", {"batch_norm_decay": 1.0}, "batch_norm_decay is 1.0; .* below 1"),
        ("bigru", {"layers": 0}, "layers is 0; it must be at least 1"),
        ("bigru", {"dropout": 1.0}, "dropout is 1.0; .* below 1"),
        ("transformer", {"heads": 5}, "heads is 5; it must be a divisor of hidden"),
        ("transformer", {"feed_forward": 0}, "feed_forward is 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(architecture, changes, message):
    options = SMALL[architecture] | {"fusion": "late"} | changes
    with pytest.raises(InputError, match=message):
        models.build(architecture, FEATURES, CLASSES, SEGMENT_FRAMES, options)


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        ("at least 1", 1, True),
        ("at least 1", 0, False),
        ("at least -1.5", -1, True),
        ("above 1e-4", 1e-3, True),
        ("above 1e-4", 1e-5, False),
        ("above 0", 0.1, True),
        ("above 0", 0.0, False),
        ("below 1", 0.99, True),
        ("below 1", 1.0, False),
        ("a divisor of hidden", 4, True),
        ("a divisor of hidden", 5, False),
    ],
)
def test_a_rule_for_options_means_what_it_says(rule, value, kept):
    assert is_rule(rule, {"hidden"})
    assert holds(rule, value, {"hidden": 12}) is kept


@pytest.mark.parametrize(
    "rule", ["around 3", "at least one", "below nan", "atleast 1", "a divisor of width", 3]
)
def test_what_is_no_rule_is_known_as_such(rule):
    assert not is_rule(rule, {"hidden"})


@pytest.mark.parametrize("context", [0, 1, 2])
def test_context_is_the_mean_of_the_real_neighbours_on_either_side(context):
    """Reference: a loop over segments, of which the last two of the second clip are padding."""
    segments = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    real = torch.arange(5) < torch.tensor([[5], [3]])
    found = with_context(segments, real, context)
    for clip, count in ((0, 5), (1, 3)):
        for s in range(count):
            expected = [segments[clip, s]]
            if context:
                near = [n for n in range(s - context, s + context + 1) if n != s and 0 <= n < count]
                expected.append(segments[clip, near].mean(dim=0))
            torch.testing.assert_close(found[clip, s], torch.cat(expected))


@pytest.mark.parametrize("architecture", ["logistic", "nextvlad"])
def test_with_a_context_of_one_a_score_depends_on_the_next_segment_and_no_further(architecture):
    model = small_model(architecture, "late", context=1)
    features = {name: torch.randn(1, 20, width).double() for name, width in FEATURES.items()}
    changed = {name: values.clone() for name, values in features.items()}
    for values in changed.values():
        values[:, 10:15] += 1.0  # the third segment of four
    mask = torch.ones(1, 20, dtype=torch.bool)
    with torch.no_grad():
        moved = (model(features, mask) - model(changed, mask)).abs().amax(dim=2)[0] > 1e-6
    assert moved.tolist() == [False, True, True, True]
