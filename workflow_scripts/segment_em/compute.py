"""Where and how numbers are computed: device, threads, precision, repeatability."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from segment_em import processes
from segment_em.errors import InputError

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "float32", "bfloat16")


def prepare(threads: int, gpus: int) -> torch.device:
    """The device of this process, with kernels chosen so that the same work gives the same bits.

    threads: CPU threads of the job; a result is repeatable for one number of them. gpus: that the
    job was promised; without any it runs on the CPU. Raises InputError if there are some, but
    fewer than promised.
    """
    # cuBLAS is only repeatable with a fixed workspace, which must be set before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Large tensors in huge pages, where the kernel gives them to those who ask (PyTorch reads this
    # at the first one): to fault in small pages took longer than to dequantise into them.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Kernels that torch.compile makes: chosen by rule, not by which was faster this time.
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    # With the line above the same as use_deterministic_algorithms(True), which also imports the
    # compiler: a second in each job.
    torch.set_deterministic_debug_mode("error")
    # It fills every new tensor with NaN: a fifth of a training step on the CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(max(1, threads // processes.count()))
    return _device(gpus)


def _device(gpus: int) -> torch.device:
    if not (gpus and torch.cuda.is_available()):
        # Without either nothing says that there should be one.
        given = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("SLURM_JOB_ID")
        if gpus and given:
            log.warning(
                "warning: this job was promised %d GPUs (%s), and PyTorch %s sees none: it "
                "computes on the CPU; look at the driver, and whether PyTorch is built for CUDA",
                *(gpus, _promise(), torch.__version__),
            )
        return torch.device("cpu")
    found, needed = torch.cuda.device_count(), max(gpus, processes.count())
    if found < needed:
        raise InputError(
            f"compute: this job needs {needed} GPUs and sees {found}; lower compute.gpu, or let it "
            "see the others (CUDA_VISIBLE_DEVICES)"
        )
    device = torch.device("cuda", processes.rank())
    torch.cuda.set_device(device)
    return device


def _promise() -> str:
    """What the environment says of the devices that this process was given."""
    names = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
    return ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)


GPU_IN_USE = "the models themselves do not fit: see what else uses this GPU (nvidia-smi)"


@contextmanager
def memory_told(remedy: str) -> Iterator[None]:
    """Turn a GPU's lack of memory into an InputError with the remedy."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
        raise InputError(f"{reason}: {remedy}") from error


def conditions(device: torch.device, threads: int) -> dict[str, object]:
    """What decides the last bits of a result beside the work itself."""
    count, gpu = processes.count(), None
    if device.type == "cuda":
        # Of all processes, which go on from the same state.
        gpu = ", ".join(sorted({torch.cuda.get_device_name(number) for number in range(count)}))
    return {"gpu": gpu, "threads": threads, "processes": count, "torch": torch.__version__}


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Mixed precision: bfloat16 where asked for, or with `auto` on a GPU that has it."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}: one of {PRECISIONS}")
    # Emulated, as on GPUs before 2020, it is slower than float32.
    gpu_has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    wanted = precision == "bfloat16" or (precision == "auto" and gpu_has_it)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)
