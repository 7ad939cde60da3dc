"""The models of section 4: one architecture a file, found by its name.

A new architecture is one new file beside this one, holding a class `Model`:

- `frame_level: bool`, class attribute. True: the score of a segment depends on the frames of that
  segment alone, or on those of `context` segments on either side too, an attribute of the model.
  False: on the whole video; padding then stands at the end of a clip only.
- `__init__(features, classes, segment_frames, *, fusion, <options>)`: `features` maps modality to
  width in the order of the configuration, `classes` is the number of columns C. Every option is
  keyword-only, required, and annotated int, float, bool, str or Literal, with rules where there
  are some (segment_em.options): Annotated[int, "at least 1"]. The configuration is checked
  against these annotations without importing this package.
- `forward(features {modality: float [B, T, F]}, frame_mask bool [B, T]) -> logits [B, S, C]` with
  S = T // segment_frames. Values of padded frames are finite and otherwise arbitrary. A partial
  last segment counts its real frames only; segments without a real frame have logits 0.
- `classifier: nn.Linear(..., classes)`, the last layer.
"""

# B clips, T frames, S segments, F features a frame, C classes

from collections.abc import Mapping
from pathlib import Path
from typing import get_type_hints

import torch
from torch import nn

from segment_em.code_digest import load_plugin
from segment_em.errors import InputError
from segment_em.options import holds

# A class that no training label or every training label names has no finite log-odds.
SMALLEST_PRIOR = 1e-4


def architectures() -> list[str]:
    """Return the names of the architectures there are, sorted."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def build(
    architecture: str,
    features: Mapping[str, int],
    classes: int,
    segment_frames: int,
    options: Mapping[str, object],
) -> nn.Module:
    """Return a new model with random weights; `options` holds `fusion` and those of its file.

    Raises InputError if there is no such architecture, the options do not fit each other, or the
    file's model lacks what is asked of one.
    """
    if architecture not in architectures():
        raise InputError(
            f"models: there is no architecture '{architecture}'; "
            f"choose one of {', '.join(architectures())}"
        )
    model = load_plugin(f"models.{architecture}").Model
    for name, annotation in get_type_hints(model.__init__, include_extras=True).items():
        for rule in getattr(annotation, "__metadata__", ()):
            if name in options and not holds(rule, options[name], options):
                raise InputError(f"models: {name} is {options[name]}; it must be {rule}")
    built = model(dict(features), classes, segment_frames, **options)
    if not isinstance(getattr(built, "frame_level", None), bool):
        raise InputError(
            f"models/{architecture}.py: Model has no frame_level: set True if the score of a "
            "segment depends on its own frames alone, False if on the whole video"
        )
    if built.frame_level and not isinstance(getattr(built, "context", None), int):
        raise InputError(
            f"models/{architecture}.py: Model is frame_level and has no context: set how many "
            "segments on either side a score depends on, 0 for none"
        )
    layer = getattr(built, "classifier", None)
    if not isinstance(layer, nn.Linear) or layer.out_features != classes or layer.bias is None:
        raise InputError(
            f"models/{architecture}.py: Model has no classifier = nn.Linear(..., classes), the "
            "last layer, with a bias"
        )
    _refuse_shared_tensors(architecture, built)
    return built


def _refuse_shared_tensors(architecture: str, model: nn.Module) -> None:
    """A weights file holds each tensor once, by one name."""
    names: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        first = names.setdefault(id(tensor), name)
        if first != name:
            raise InputError(
                f"models/{architecture}.py: {first} and {name} are one tensor, which a weights "
                "file cannot hold; let one module compute both, or give each its own"
            )


def check_logits(model: nn.Module, logits: object, segments_BS: torch.Tensor) -> None:
    """Raise InputError unless a model's forward returned logits [B, S, C].

    segments_BS: which segments there are.
    """
    wanted = [*segments_BS.shape, model.classifier.out_features]
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != wanted:
        raise InputError(
            f"{type(model).__module__}: forward returned {found} where logits [clips, segments, "
            f"classes] are {wanted}"
        )


def set_prior(model: nn.Module, prior_C: torch.Tensor) -> None:
    """Let a new model's scores start near the share of what it learns from that has each class.

    The bias of the classifier becomes the log-odds of `prior_C` (float [C], cut to
    [1e-4, 1 - 1e-4]): the share of videos, or in the M-step the mean label of the segments. Its
    weights stay as they are: see docs/models.md.
    """
    prior_C = prior_C.double().clamp(SMALLEST_PRIOR, 1 - SMALLEST_PRIOR)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.logit(prior_C))


def widen(model: nn.Module, outputs: int) -> None:
    """Give the classifier that many outputs for each class, in place; the new ones start at 0.

    The first C stay as they are, then come C more, and so on: what a pooling of the video loss
    learns beside the scores (see the package poolings).
    """
    narrow_layer = model.classifier
    classes, inputs = narrow_layer.weight.shape
    wide = nn.Linear(inputs, classes * outputs)
    with torch.no_grad():
        for name in ("weight", "bias"):
            parameter = getattr(wide, name)
            parameter.zero_()
            parameter[:classes] = getattr(narrow_layer, name)
    model.classifier = wide


def narrow(model: nn.Module, classes: int) -> None:
    """Undo `widen`: keep the classifier's first `classes` outputs, in place."""
    wide = model.classifier
    layer = nn.Linear(wide.in_features, classes, device=wide.weight.device)
    with torch.no_grad():
        layer.weight.copy_(wide.weight[:classes])
        layer.bias.copy_(wide.bias[:classes])
    model.classifier = layer
