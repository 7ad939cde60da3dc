"""Where a result came from: what decides it, and the circumstances that do not.

What decides a result (settings, code, inputs, seed) is stamped into the artefact itself, in a
canonical form, so that the same work gives the same bytes. What differs from run to run (host,
versions, time) stands only in the .json beside it.
"""

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segment_em.code_digest import loaded_digests

PACKAGES = ("torch", "numpy", "h5py")


def canonical(value: Any) -> str:
    """JSON text that is equal for equal settings: keys sorted, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of the canonical JSON text of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def file_digest(path: str | Path) -> str:
    """16 hex digits of the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def stamp(config: Mapping[str, Any], inputs: Iterable[str | Path]) -> dict[str, Any]:
    """What decides a result: the settings and the digests of settings, code and input files.

    The code is the running script and what it has loaded of the library: call this at the end.
    """
    code = loaded_digests(sys.argv[0])
    return {
        "config": dict(config),
        "config_digest": digest(config),
        "code": code,
        "code_digest": digest(code),
        "inputs": {str(path): file_digest(path) for path in inputs},
    }


@dataclass(frozen=True)
class Job:
    """What every job is given beside its settings.

    config: recorded in the result. inputs: files whose digests are recorded. threads: CPU
    threads. workers: loader processes. gpus: that the job was promised.
    """

    config: Mapping[str, Any]
    inputs: Sequence[str | Path]
    threads: int
    workers: int
    gpus: int

    def stamp(self, **results: Any) -> dict[str, Any]:
        """What decides the result, and what came out of it."""
        return stamp(self.config, self.inputs) | results


@dataclass(frozen=True)
class TrainingJob(Job):
    """What a job that trains is given besides.

    state_minutes: between two states to resume from. compile: use torch.compile.
    """

    state_minutes: float
    compile: bool


def circumstances(started: float) -> dict[str, Any]:
    """What differs from run to run without deciding the result. started: time.time() at start."""
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_clean": _git("status", "--porcelain") == "",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "host": platform.node(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
    }


def _git(*arguments: str) -> str | None:
    """The answer of git in the code's own checkout; None where there is no git or checkout."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
