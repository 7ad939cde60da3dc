"""Which precision a device computes with."""

import pytest
import torch

from segment_em.compute import autocast


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


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="precision 'float16': one of"):
        autocast(torch.device("cpu"), "float16")
