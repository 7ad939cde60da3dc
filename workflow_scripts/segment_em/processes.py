"""The processes that torchrun started for one job, a GPU each, and what they tell each other.

Alone, a process is number 0 of 1 and every sum is its own. Tensors on the CPU travel by gloo,
those on a GPU by NCCL.
"""

import logging
import os

import torch
from torch import distributed

log = logging.getLogger(__name__)


def join(gpus: int) -> None:
    """Meet the other processes, if torchrun started this one.

    gpus: what the job was promised. Where it was promised some and there are none, one process
    does the work on the CPU and the others end here; with 0 all of them compute on the CPU.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        return
    if gpus and not torch.cuda.is_available():
        if int(os.environ["RANK"]):
            raise SystemExit(0)
        log.info("no GPU here: one process trains on the CPU")
        return
    # In the switches of a machine NCCL's sums may differ from call to call. PyTorch leaves that way
    # out by itself, but only where the deterministic mode was set before this.
    os.environ.setdefault("NCCL_ALGO", "^NVLS")
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")


def leave() -> None:
    """Wait for the others and part."""
    if _together():
        wait()
        distributed.destroy_process_group()


def wait() -> None:
    """Wait for the others. A process that is about to end waits so, whatever it did before.

    A barrier moves no tensor of Python's. Gloo's thread lets go of one a moment after a sum is
    there, and if the interpreter has begun to end by then, the process aborts; DDP keeps that
    thread alive beyond destroy_process_group.
    """
    if _together():
        distributed.barrier()


def count() -> int:
    """How many processes share this job."""
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """The number of this process; 0 writes files and log lines."""
    return distributed.get_rank() if _together() else 0


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum of all processes' values, element by element; without a gradient."""
    if not _together():
        return values
    summed = values.detach().clone()
    distributed.all_reduce(summed)
    return summed


def highest(*values: int) -> list[int]:
    """The highest of all processes' values, one by one; does not wait for a GPU."""
    if not _together():
        return list(values)
    found = torch.tensor(values)
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return found.tolist()


def gathered(values: torch.Tensor) -> list[torch.Tensor]:
    """The values of each process, on the CPU, all of one shape."""
    if not _together():
        return [values]
    found = [torch.empty_like(values) for _ in range(count())]
    distributed.all_gather(found, values)
    return found


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
