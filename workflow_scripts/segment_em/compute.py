"""Where and how numbers are computed: device, threads, precision, repeatability."""

import os
from contextlib import AbstractContextManager

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def prepare(threads: int) -> torch.device:
    """The device of this process, with kernels chosen so that the same work gives the same bits.

    threads: CPU threads; a result is repeatable for one number of them.
    """
    # cuBLAS is only repeatable with a fixed workspace, which must be set before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The same switch as use_deterministic_algorithms(True), which also imports the compiler: a
    # second in each job.
    torch.set_deterministic_debug_mode("error")
    # It fills every new tensor with NaN: a fifth of a training step on the CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Mixed precision: bfloat16 where asked for, or with `auto` on a GPU that has it."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}: one of {PRECISIONS}")
    gpu_has_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
    wanted = precision == "bfloat16" or (precision == "auto" and gpu_has_it)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)
