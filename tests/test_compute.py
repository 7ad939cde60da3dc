"""Which precision a device computes with."""

import pytest
import torch

from segment_em.compute import autocast, prepare


@pytest.mark.parametrize("has_it", [False, True])
def test_auto_is_bfloat16_on_gpus_that_have_it_and_not_where_it_is_emulated(monkeypatch, has_it):
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or has_it,
    )
    asked = []
    monkeypatch.setattr(torch, "autocast", lambda kind, **how: asked.append((kind, how["enabled"])))
    for device, precision in [("cuda", "auto"), ("cpu", "auto"), ("cuda", "float32")]:
        autocast(torch.device(device), precision)
    autocast(torch.device("cuda"), "bfloat16")
    assert asked == [("cuda", has_it), ("cpu", False), ("cuda", False), ("cuda", True)]


def test_what_is_not_repeatable_is_an_error():
    prepare(threads=1, gpus=0)
    assert torch.get_deterministic_debug_mode() == 2


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="precision 'float16': one of"):
        autocast(torch.device("cpu"), "float16")


@pytest.mark.parametrize(
    ("environment", "gpus", "said"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 1, "promised 1 GPUs (CUDA_VISIBLE_DEVICES=0,1)"),
        ({"SLURM_JOB_ID": "7"}, 2, "promised 2 GPUs (SLURM_JOB_ID=7)"),
        ({"CUDA_VISIBLE_DEVICES": "0"}, 0, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, 1, None),
        ({}, 1, None),
    ],
)
def test_a_job_that_was_given_gpus_which_torch_does_not_see_says_so(
    monkeypatch, caplog, environment, gpus, said
):
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert prepare(1, gpus).type == "cpu"
    assert ("sees none: it computes on the CPU" in caplog.text) == (said is not None)
    assert (said or "") in caplog.text
