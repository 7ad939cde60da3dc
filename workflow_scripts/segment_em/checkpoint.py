"""Weights on disk: a safetensors file that says what model it is and how it came to be.

The file's metadata hold what is needed to build the model again without any configuration, and
the provenance that decides the result. A .json beside it adds the circumstances.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from segment_em.code_digest import loaded_digests
from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.index import Index
from segment_em.models import build
from segment_em.provenance import METADATA_KEY, canonical, write_how

FORMAT = 1


@dataclass(frozen=True)
class Specification:
    """What a model is.

    features: [modality, width] pairs; their order is the order of the model's inputs. class_ids:
    ascending, a column each.
    """

    architecture: str
    options: dict[str, Any]
    features: list[tuple[str, int]]
    class_ids: list[int]
    segment_frames: int

    def build(self) -> nn.Module:
        """The model with fresh weights."""
        return build(
            self.architecture,
            dict(self.features),
            len(self.class_ids),
            self.segment_frames,
            self.options,
        )


def require_fit(
    path: str | Path, specification: Specification, index: Index, segment_frames: int
) -> None:
    """Raise InputError unless the model in this file reads the videos of the index."""
    widths = {name: modality.width for name, modality in index.modalities.items()}
    made_for = dict(specification.features)
    if made_for != widths:
        raise InputError(
            f"{path}: made for features {made_for}, not {widths}; give files with these"
        )
    if specification.segment_frames != segment_frames:
        raise InputError(
            f"{path}: made for segments of {specification.segment_frames} frames, not "
            f"{segment_frames} (data.segment_frames); train it again"
        )


def save_weights(
    path: str | Path,
    model: nn.Module,
    specification: Specification,
    stamp: Mapping[str, Any],
    device: str,
) -> None:
    """Write the weights and, beside them, the .json that tells how they came to be.

    stamp: what decided the result; goes into both. device: into the .json alone.
    """
    head = {"format": FORMAT, "model": asdict(specification), "stamp": dict(stamp)}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    # The .json goes first: where the weights are, it is there too.
    write_how(path, device=device, **head)
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={METADATA_KEY: canonical(head)}))


def load_weights(path: str | Path) -> tuple[nn.Module, Specification]:
    """The model in a file, on the CPU. Raises InputError if the file is foreign or damaged."""
    with _opened(path) as file:
        specification = _specification(path, file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = _built(path, specification)
    _fill(path, model, tensors)
    return model, specification


def read_specification(path: str | Path) -> Specification:
    """What model is in a file, without its tensors. Raises InputError as load_weights does."""
    with _opened(path) as file:
        return _specification(path, file.metadata())


def changed_code(path: str | Path) -> list[str]:
    """Files of the models that this process has loaded and that are not as they were in training.

    path: weights. Returns paths as their stamp names them, segment_em/models/<file>.
    """
    with _opened(path) as file:
        recorded = _head(path, file.metadata())["stamp"].get("code", {})
    now = loaded_digests(sys.argv[0])
    models = [name for name in recorded if name.startswith("segment_em/models/")]
    return [name for name in models if now.get(name, recorded[name]) != recorded[name]]


@contextmanager
def _opened(path: str | Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; where results were copied, copy it along (experiments of an "
            "ablation share files)"
        ) from None
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: not a whole safetensors file ({error}); delete it to make it anew"
        ) from None


def _head(path: str | Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """What save_weights wrote beside the tensors, of this format."""
    if METADATA_KEY not in (metadata or {}):
        raise InputError(
            f"{path}: a safetensors file, but not written by this workflow; name weights of a run"
        )
    try:
        head = json.loads(metadata[METADATA_KEY])
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: damaged description ({error}); delete it to make it anew"
        ) from None
    if head.get("format") != FORMAT:
        raise InputError(
            f"{path}: weights format {head.get('format')}, this version reads {FORMAT}; train it "
            "again, or read it with the version that its .json names"
        )
    return head


def _specification(path: str | Path, metadata: Mapping[str, str] | None) -> Specification:
    head = _head(path, metadata)
    try:
        return Specification(**head["model"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: incomplete description ({error}); delete it to make it anew"
        ) from None


def _built(path: str | Path, specification: Specification) -> nn.Module:
    try:
        return specification.build()
    except (InputError, TypeError) as error:  # TypeError: options that the architecture lacks
        raise InputError(
            f"{path}: this version cannot build its model ({error}); train it again"
        ) from None


def _fill(path: str | Path, model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{path}: weights do not fit their own description: {detail}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{path}: weights '{name}' are not finite; train again")
