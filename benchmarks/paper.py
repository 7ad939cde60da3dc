"""The models of configs/yt8m.yaml, at the paper's size, with random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from measure import ROOT
from synthetic import FEATURES, SEGMENT_FRAMES
from torch import nn

from segment_em.checkpoint import Specification, save_weights
from segment_em.models import build, set_prior

CLASSES = 1000
SMALL = {"hidden": 16, "feed_forward": 16, "groups": 4, "clusters": 4}
# Few of the classes of a segment score high, as with a trained model.
PRIOR = 1e-3


def models() -> dict[str, dict[str, Any]]:
    """Name -> architecture, options and training, as in the configuration."""
    text = (ROOT / "configs/yt8m.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["models"]


def options(name: str, small: bool) -> tuple[str, dict[str, Any]]:
    """Architecture and options of a model. small: narrower ones, to see that things work."""
    found = dict(models()[name])
    architecture, _ = found.pop("architecture"), found.pop("training")
    if small:
        found |= {key: SMALL[key] for key in SMALL.keys() & found.keys()}
    return architecture, found


def model(name: str, features: Mapping[str, int], classes: int, small: bool) -> nn.Module:
    torch.manual_seed(0)
    architecture, found = options(name, small)
    built = build(architecture, features, classes, SEGMENT_FRAMES, found)
    set_prior(built, torch.full((classes,), PRIOR))
    return built


def write_weights(path: Path, name: str, small: bool) -> nn.Module:
    """Write a model of the official features as a job would, and return it."""
    built = model(name, FEATURES, CLASSES, small)
    architecture, found = options(name, small)
    features, classes = list(FEATURES.items()), np.arange(CLASSES).tolist()
    specification = Specification(architecture, found, features, classes, SEGMENT_FRAMES)
    save_weights(path, built, specification, {}, {})
    return built
