"""Weights of small models on the classes of small_records, and what they say of a video."""

import json

import numpy as np
import torch
from small_records import FEATURES

from segment_em.checkpoint import Specification, load_weights, save_weights
from segment_em.dataset import Clips, Dequantise
from segment_em.frames import FrameReader
from segment_em.provenance import Job
from segment_em.scoring import Inference

CLASS_IDS = np.array([3, 8, 20])
SETTINGS = Inference(max_frames=25, segment_frames=5, precision="float32", videos=2)
JOB = Job(config={}, inputs=[], threads=1, workers=0, gpus=0)


def weights(folder, name, seed, features=FEATURES, class_ids=CLASS_IDS):
    torch.manual_seed(seed)
    options = {"fusion": "early", "layers": 1, "hidden": 4, "dropout": 0.0}
    specification = Specification(
        "bigru",
        options,
        [list(pair) for pair in features.items()],
        [int(number) for number in class_ids],
        5,
    )
    save_weights(folder / name, specification.build(), specification, {}, {})
    return folder / name


def plain_scores(path, index):
    """Reference: one video at a time through the model; {video id: [S, C]}."""
    model = load_weights(path)[0].eval()
    clips = Clips(FrameReader(index, 25), 5, None, False)
    found = {}
    with torch.inference_mode():
        for row, name in enumerate(index.video_ids):
            batch = clips[np.array([row])]
            scores = torch.sigmoid(model(Dequantise.of(index)(batch), batch.mask))[0].numpy()
            found[str(name)] = scores[: clips.segment_counts()[row]]
    return found


def ensemble_of(folder, paths, shares, validated=None, **joining):
    members = [
        {"weights": path.name, "weight": share, "validated": {"weights": judged.name}}
        for path, share, judged in zip(paths, shares, validated or paths, strict=True)
    ]
    told = {"join": "mean", "video_filter": 0.0, "shifts": [0]} | joining
    (folder / "ensemble.json").write_text(json.dumps({"members": members} | told))
    return folder / "ensemble.json"
