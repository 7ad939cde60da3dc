"""The state of an unfinished training job: on disk, out of its parts, and when to write it.

A job that is killed and started again goes on from its last state and ends with the weights, bit
for bit, of a job that was never stopped; but for a model that is compiled, by a compiler that looks
at the first batch.
"""

import hashlib
import logging
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import torch
from safetensors.torch import load, save
from torch import nn

from segment_em import processes
from segment_em.files import replacing

log = logging.getLogger(__name__)

DIGEST_BYTES = hashlib.sha256().digest_size
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StateFile:
    """Where a job keeps its state: `.<output>.state/<key>.state` beside its output.

    Snakemake deletes what a failed job declared as output; this folder it does not know. The file
    is the SHA-256 of key and tensors, then the tensors as safetensors, so nothing in it can run.
    """

    def __init__(self, out: str | Path, key: str, minutes: float) -> None:
        """out: the job's output. key: differs for all other work. minutes: between two states."""
        out = Path(out)
        self.folder = out.with_name(f".{out.stem}.state")
        self.path = self.folder / f"{key}.state"
        self.key, self.seconds = key, 60 * minutes
        self.written = time.monotonic()

    def due(self) -> bool:
        """Whether the last state is old enough for a new one."""
        return time.monotonic() - self.written >= self.seconds

    def save(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Replace the state, and remove states of other work on the same output."""
        payload = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            file.write(self._digest(payload))
            file.write(payload)
        for other in self.folder.glob("*.state"):
            if other != self.path:
                other.unlink(missing_ok=True)
        self.written = time.monotonic()

    def load(self) -> dict[str, torch.Tensor] | None:
        """The tensors of the last state; None if there is none, or none that is whole."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            if any(self.folder.glob("*.state")):
                log.warning(
                    "warning: %s: the state there is of other settings, code, inputs, torch, "
                    "threads or GPUs; starting from the beginning, which replaces it",
                    self.folder,
                )
            return None
        except OSError as error:
            log.warning("%s: %s; starting from the beginning", self.path, error.strerror)
            return None
        if content[:DIGEST_BYTES] != self._digest(content[DIGEST_BYTES:]):
            log.warning("%s: damaged training state; starting from the beginning", self.path)
            return None
        # Copies, since the bytes of the file need not be aligned as new tensors are.
        return {name: part.clone() for name, part in load(content[DIGEST_BYTES:]).items()}

    def remove(self) -> None:
        """Forget it: the job is done."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def kept(self) -> str:
        """Where the last good state lies, for a message."""
        if self.path.exists():
            return f"the last good state is {self.path}"
        return "it stopped before the first state was written"

    def _digest(self, payload: bytes) -> bytes:
        found = hashlib.sha256(self.key.encode())
        found.update(payload)
        return found.digest()


def captured(
    model: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device
) -> dict[str, torch.Tensor]:
    """Weights, the optimiser's moments, and the random generators of every process, on the CPU."""
    tensors = {f"model.{name}": tensor.cpu() for name, tensor in model.state_dict().items()}
    for number, moments in optimiser.state_dict()["state"].items():
        for name, tensor in moments.items():
            tensors[f"optimiser.{number}.{name}"] = tensor.cpu()
    for name, state in _generators(device).items():
        for number, of_process in enumerate(processes.gathered(state)):
            tensors[f"generator.{name}.{number}"] = of_process
    return tensors


def restore(
    tensors: Mapping[str, torch.Tensor], model: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Put weights and moments back; the generators come later, see restore_generators."""
    model.load_state_dict(_below("model.", tensors))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for place, tensor in _below("optimiser.", tensors).items():
        number, _, name = place.partition(".")
        moments.setdefault(int(number), {})[name] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})


def restore_generators(tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Let the next draw (dropout) be the one that came next."""
    torch.set_rng_state(tensors[f"generator.cpu.{processes.rank()}"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[f"generator.cuda.{processes.rank()}"], device)


def _generators(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


class Signals:
    """While it is entered, SIGTERM and SIGINT are noted in `received` and do nothing else.

    A second signal is noted too: a scheduler may send it to the launcher, which passes it on.
    Outside the main thread, where Python allows no handlers, none are set.
    """

    def __init__(self) -> None:
        self.received = 0
        self.previous: dict[int, signal.Handlers] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
