"""Every architecture at a size that trains in no time on the features of small_records, and how."""

import torch
from small_records import FEATURES

from segment_em.models import build
from segment_em.training import Plan

# Also small enough for loops: an architecture without an entry here fails the tests of models.
SMALL = {
    "logistic": {"fusion": "early", "context": 0},
    "nextvlad": {
        "fusion": "late",
        "expansion": 2.0,
        "groups": 2,
        "clusters": 4,
        "hidden": 16,
        "gating_reduction": 4,
        "dropout": 0.5,
        "batch_norm_decay": 0.9,
        "context": 0,
    },
    "bigru": {"fusion": "early", "layers": 2, "hidden": 12, "dropout": 0.5},
    "transformer": {
        "fusion": "late",
        "layers": 2,
        "hidden": 12,
        "heads": 2,
        "feed_forward": 24,
        "dropout": 0.5,
        "positions": "sinusoidal",
    },
}

# A short training; tests replace what they are about.
PLAN = Plan(
    epochs=3,
    average_epochs=0,
    videos=2,
    learning_rate=0.05,
    decay="linear",
    clip_norm=1.0,
    precision="float32",
    seed=5,
    workers=0,
    compile=False,
)


def small_model(architecture, **changes):
    """A model with 3 classes and the same initial weights at each call."""
    torch.manual_seed(1)
    return build(architecture, FEATURES, 3, 5, SMALL[architecture] | changes)
