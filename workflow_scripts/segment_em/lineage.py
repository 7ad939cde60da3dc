"""The ancestry of a result as a tree, from the artefacts alone, wherever they were copied to.

Each artefact's stamp names its inputs with their digests. An input is looked for where it lay
relative to the folder `results`, and its digest compared with the recorded one.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
from safetensors import SafetensorError, safe_open

from segment_em.errors import InputError
from segment_em.provenance import METADATA_KEY, found, recorded_now, stamp_beside

# What provenance.stamp makes: the attributes of an HDF5 file.
FIELDS = ("config", "config_digest", "code", "code_digest", "inputs")
# Inputs without ancestry (record files) are told one by one up to this many.
SHOWN_LEAVES = 3


def ancestry(path: str | Path) -> Iterator[str]:
    """Lines that tell where a result came from; an artefact's own inputs are told once.

    Raises InputError if there is no such file, or nothing tells how it came to be.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    stamp = stamp_of(path)
    if stamp is None:
        raise InputError(f"{path}: not a result of this workflow: no provenance in it or beside it")
    yield f"{path}  {_told(stamp)}"
    yield from _Tree().below(path, stamp, "")


def stamp_of(path: Path) -> dict[str, Any] | None:
    """The stamp of an artefact: in a .json beside it or, failing that, in the file itself."""
    inside = {".h5": _stamp_of_hdf5, ".safetensors": _stamp_of_weights}.get(path.suffix)
    return stamp_beside(path) or (inside(path) if inside else None)


def _stamp_of_hdf5(path: Path) -> dict[str, Any] | None:
    try:
        with h5py.File(path, "r") as file:
            if FIELDS[0] not in file.attrs:
                return None
            return {part: json.loads(file.attrs[part]) for part in FIELDS}
    except OSError as error:
        raise InputError(f"{path}: not a whole HDF5 file ({error}); write it again") from None


def _stamp_of_weights(path: Path) -> dict[str, Any] | None:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(
            f"{path}: not a whole safetensors file ({error}); delete it to make it anew"
        ) from None
    return json.loads(metadata[METADATA_KEY])["stamp"] if METADATA_KEY in metadata else None


def _told(stamp: Mapping[str, Any]) -> str:
    """Script, digests and, of a training, seed and final loss."""
    scripts = [module for module in stamp["code"] if "/" not in module]
    told = [*scripts, f"config {stamp['config_digest']}", f"code {stamp['code_digest']}"]
    if "seed" in stamp["config"]:
        told.append(f"seed {stamp['config']['seed']}")
    if "final_loss" in stamp:
        told.append(f"loss {stamp['final_loss']:.4g}")
    return "  ".join(told)


@dataclass
class _Tree:
    told: set[Path] = field(default_factory=set)

    def below(self, path: Path, stamp: Mapping[str, Any], indent: str) -> Iterator[str]:
        """Lines for the inputs of an artefact."""
        self.told.add(path.absolute())
        items = list(self._collected(path, stamp["inputs"]))
        for number, (text, source, source_stamp) in enumerate(items, 1):
            branch, trunk = ("└─ ", "   ") if number == len(items) else ("├─ ", "│  ")
            if source_stamp is None:
                yield f"{indent}{branch}{text}"
            elif source.absolute() in self.told:
                yield f"{indent}{branch}{text}  (told above)"
            else:
                yield f"{indent}{branch}{text}  {_told(source_stamp)}"
                yield from self.below(source, source_stamp, indent + trunk)

    def _collected(
        self, path: Path, inputs: Mapping[str, str]
    ) -> Iterator[tuple[str, Path | None, dict[str, Any] | None]]:
        """(text, file, its stamp) of each input; many that are the end of the tree, as one."""
        leaves = []
        for name, recorded in inputs.items():
            source = found(name, recorded, path)
            state = _state(source, recorded) if source else "MISSING"
            stamp = stamp_of(source) if source else None
            if stamp is None and not state:
                leaves.append((name, None, None))
            else:
                yield f"{name}  {state}".rstrip(), source, stamp
        if len(leaves) > SHOWN_LEAVES:
            ends = f"{leaves[0][0]} ... {leaves[-1][0]}"
            leaves = [(f"{len(leaves)} files: {ends}", None, None)]
        yield from leaves


def _state(path: Path, recorded: str) -> str:
    """Nothing if the file is as recorded, else what is to be told of it."""
    now = recorded_now(path, recorded)
    return "" if now == recorded else f"CHANGED: {recorded} then, {now} now"
