"""What entries of the configuration mean: files, chunks, members, options."""

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugins import signature

from segment_em.files import matching

# Of the mean number of files: what a chunk has at most.
SPREAD = 1.25


def features_of(config: Mapping[str, Any]) -> list[list[Any]]:
    """[modality, width] pairs in the order of the configuration; null removes an inherited one."""
    return [[name, width] for name, width in config["data"]["features"].items() if width]


def options_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's entry hands to its architecture: all but the workflow's own keys."""
    return {key: value for key, value in model.items() if key not in ("architecture", "training")}


def threshold_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The threshold rule with the options that it takes, without those of other rules."""
    unused = unused_threshold_options(config)
    return {key: value for key, value in config["em"]["threshold"].items() if key not in unused}


def unused_threshold_options(config: Mapping[str, Any]) -> list[str]:
    """Options of em.threshold that its rule does not take, sorted: an overlay cannot remove any."""
    threshold = config["em"]["threshold"]
    wanted = signature(f"thresholds/{threshold['rule']}.py", "thresholds")
    return sorted(threshold.keys() - {"rule", *wanted})


def initial_models(em: Mapping[str, Any]) -> list[str]:
    """The models of iteration 0, of which the best estimates first."""
    return [em["initial"]] if isinstance(em["initial"], str) else list(em["initial"])


def split_member(member: str) -> tuple[str, str]:
    """model@estimation -> (model, estimation)."""
    model, _, estimation = member.partition("@")
    return model, estimation


def chunked(files: list[str], chunks: int) -> dict[str, list[str]]:
    """{chunk: its files}: by a hash of the file's name, so that adding a file moves few others.

    No chunk has more than the mean and a quarter, rounded up: what a full one would get goes to the
    next one (Mirrokni et al., "Consistent hashing with bounded loads", 2018). Where that bound
    rises by one, several chunks change. Empty ones do not appear.
    """
    most = math.ceil(SPREAD * len(files) / chunks)
    found: dict[int, list[str]] = {number: [] for number in range(chunks)}
    for file in sorted(files, key=lambda file: (Path(file).name, file)):
        number = int.from_bytes(hashlib.sha256(Path(file).name.encode()).digest()[:8]) % chunks
        while len(found[number]) == most:
            number = (number + 1) % chunks
        found[number].append(file)
    return {f"{number:03d}": taken for number, taken in found.items() if taken}


def files_of(entry: str | list[str]) -> list[str]:
    """The files that a glob, or a list of files and globs, names; sorted, each once."""
    patterns = [entry] if isinstance(entry, str) else entry
    found = {file for pattern in patterns for file in matching(os.path.expanduser(pattern))}
    return sorted(map(as_argument, found))


def as_argument(file: str) -> str:
    """The path in a form that no job takes for an option; ~ is the user's home."""
    file = os.path.expanduser(file)
    return os.path.abspath(file) if file.startswith("-") else file
