"""Where a result came from: what decides it, and the circumstances that do not.

What decides a result (settings, code, inputs, seed) is stamped into the artefact itself where its
format has a place for it, in a canonical form, so that the same work gives the same bytes. The
.json beside it repeats the stamp; it alone tells what differs from run to run (host, versions,
time). Nothing heavy is imported: the workflow reads these files at each start.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

from segment_em.code_digest import loaded_digests
from segment_em.files import read_json, write_json

PACKAGES = ("torch", "numpy", "h5py")
# Of a weights file. One key, since safetensors writes several in an order that differs.
METADATA_KEY = "segment_em"
RESULTS = "results"
STARTED = time.time()  # a job is a process


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

    The code is the running script and what it has loaded of the library by now, as it was at
    `begin`, or as plug-ins were when they were loaded.
    """
    code = loaded_digests(sys.argv[0])
    return {
        "config": dict(config),
        "config_digest": digest(config),
        "code": code,
        "code_digest": digest(code),
        "inputs": {str(path): file_digest(path) for path in inputs},
    }


def begin() -> None:
    """Read what results will tell of the code and its commit: both may change while a job runs."""
    loaded_digests(sys.argv[0])
    _commit()


def sizes(paths: Iterable[str | Path]) -> dict[str, str]:
    """In place of digests, for record files: hashing 1.5 TB adds nothing to the index's CRCs."""
    return {str(path): f"{Path(path).stat().st_size} bytes" for path in paths}


def beside(path: str | Path) -> Path:
    """The .json that tells how an artefact came to be; .how.json if the artefact is JSON itself."""
    path = Path(path)
    return path.with_suffix(".how.json" if path.suffix == ".json" else ".json")


def write_how(path: str | Path, stamp: Mapping[str, Any], device: str = "cpu", **more: Any) -> None:
    """Write the .json beside an artefact: its stamp, the circumstances, and what else is given."""
    write_provenance(beside(path), stamp, device, **more)


def write_provenance(
    how: str | Path, stamp: Mapping[str, Any], device: str = "cpu", **more: Any
) -> None:
    """The same into a file of another name."""
    content = more | {"stamp": dict(stamp), "circumstances": circumstances(device)}
    write_json(how, content)


def described(stamp: Mapping[str, Any]) -> dict[str, str]:
    """A stamp as HDF5 attributes: JSON text, keys sorted."""
    return {key: json.dumps(value, sort_keys=True) for key, value in stamp.items()}


def stamps_below(folder: str | Path) -> dict[str, dict[str, Any]]:
    """{path below the folder, without .json or .how.json: stamp} of all artefacts that have one."""
    stamps = {}
    for path, told in _told_below(folder, "stamp"):
        name = path.relative_to(folder).as_posix()
        stamps[name.removesuffix(".json").removesuffix(".how")] = told["stamp"]
    return stamps


def _told_below(folder: str | Path, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(file, what it holds) of each .json below a folder that has the key; no hidden files."""
    for path in sorted(Path(folder).rglob("[!.]*.json")):
        told = _told(path, key)
        if told is not None:
            yield path, told


def _told(path: Path, key: str) -> dict[str, Any] | None:
    """What a .json of ours holds, which has the key; people keep others beside their records."""
    if not (path.is_file() and f'"{key}"'.encode() in path.read_bytes()):
        return None
    told = read_json(path)
    return told if isinstance(told, dict) and isinstance(told.get(key), dict) else None


def stamp_beside(path: str | Path) -> dict[str, Any] | None:
    """The stamp of an artefact from the .json beside it, or from itself if it is one."""
    for source in (Path(f"{path}.how.json"), beside(path), Path(path)):
        told = _told(source, "stamp") if source.suffix == ".json" else None
        if told is not None:
            return told["stamp"]
    return None


def inside(path: str | Path) -> str:
    """results/<experiment>/em/x.json -> em/x.json."""
    return Path(*Path(path).parts[2:]).as_posix()


def found(name: str, recorded: str, near: Path) -> Path | None:
    """The file that was called `name` when `near` was made from it, or None.

    It is looked for within the experiment of `near` and where it lay below the folder `results`,
    both of which may have been moved or renamed since; rather as it is `recorded` than changed.
    """
    parts = Path(name).parts
    below = [number for number, part in enumerate(parts) if part == RESULTS]
    # An absolute path, as of a class list of the user's, is where it was from every folder.
    places = [Path(*parts[n:]) for number in below for n in (number + 2, number + 1)] + [Path(name)]
    candidates = (folder / place for place in places for folder in near.absolute().parents)
    there = [path for path in candidates if path.is_file()]
    unchanged = (path for path in there if is_as_recorded(path, recorded))
    return next(unchanged, there[0] if there else None)


def is_as_recorded(path: Path, recorded: str) -> bool:
    """Whether a file is what a stamp says of it: its digest, or its size."""
    return recorded == recorded_now(path, recorded)


def recorded_now(path: Path, recorded: str) -> str:
    """What a stamp would say of the file today, in the way of `recorded`: its digest or size."""
    return sizes([path])[str(path)] if recorded.endswith(" bytes") else _digest_once(path)


@cache
def _digest_once(path: Path) -> str:
    return file_digest(path)


@dataclass(frozen=True)
class Job:
    """What every job is given beside its settings.

    config: recorded in the result. inputs: files whose digests are recorded. threads: CPU
    threads. workers: threads that read ahead. gpus: that the job was promised.
    """

    config: Mapping[str, Any]
    inputs: Sequence[str | Path]
    threads: int
    workers: int
    gpus: int

    def stamp(self) -> dict[str, Any]:
        """What decides the result."""
        return stamp(self.config, self.inputs)


@dataclass(frozen=True)
class TrainingJob(Job):
    """What a job that trains is given besides.

    state_minutes: between two states to resume from. compile: use torch.compile.
    """

    state_minutes: float
    compile: bool


def circumstances(device: str) -> dict[str, Any]:
    """What differs from run to run without deciding the result.

    versions: of the packages that this process has loaded. device: where tensors were. gpus: the
    names of those that the job held, on its host. process: its number there. started: UTC.
    seconds: up to now.
    """
    return {
        **_commit(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES if package in sys.modules},
        "host": platform.node(),
        "process": os.getpid(),
        "device": device,
        "gpus": _gpus() if device == "cuda" else [],
        "started": datetime.fromtimestamp(STARTED, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(time.time() - STARTED, 3),
    }


# SLURM shows each job its devices as 0, 1, ...; their names on the host stand here.
NAMES_ON_HOST = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")


def _gpus() -> list[str]:
    for variable in (*NAMES_ON_HOST, "CUDA_VISIBLE_DEVICES"):
        if os.environ.get(variable):
            return [name.strip() for name in os.environ[variable].split(",")]
    return ["0"]


def other_versions(folders: Iterable[str | Path]) -> dict[str, str]:
    """Files that tell of another major or minor version of a package than is installed now.

    Returns {.json file below one of the folders: "torch 2.8.0, now 2.9.1"}.
    """
    now = {package: installed(package) for package in PACKAGES}
    others = {}
    tellers = [_told_below(folder, "circumstances") for folder in folders]
    for path, told in chain.from_iterable(tellers):
        changes = [
            f"{package} {old}, now {now[package]}"
            for package, old in told["circumstances"]["versions"].items()
            if now[package] and old.split(".")[:2] != now[package].split(".")[:2]
        ]
        if changes:
            others[str(path)] = "; ".join(changes)
    return others


def installed(package: str) -> str | None:
    """The version of a package that is installed; None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _commit() -> dict[str, Any]:
    """Asked once a process. Clean: whether the code is the commit's, whatever else lies around."""
    code = [f":/{name}" for name in ("Snakefile", "rules", "workflow_scripts", "config.yaml")]
    clean = _git("status", "--porcelain", "--", *code) == ""
    return {"git_commit": _git("rev-parse", "HEAD"), "git_clean": clean}


def _git(*arguments: str) -> str | None:
    """The answer of git in the code's own checkout; None where there is no git or checkout.

    Without a lock: jobs must not come between someone's commit.
    """
    try:
        answer = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
