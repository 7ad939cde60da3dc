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


@pytest.mark.parametrize(("shown", "gpus", "warned"), [("0,1", 1, 1), ("0", 0, 0), ("", 1, 0)])
def test_a_job_that_was_given_gpus_which_torch_does_not_see_says_so(
    monkeypatch, caplog, shown, gpus, warned
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert prepare(1, gpus).type == "cpu"
    assert caplog.text.count("sees none: it computes on the CPU") == warned
