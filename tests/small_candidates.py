"""What validation writes of a model, with ratings of eight videos, for selection and weighing."""

import json
from pathlib import Path

import numpy as np

from segment_em import ratings_table
from segment_em.ratings_table import RatingScores


def ratings(stages, ranks):
    """One class, rated once in each of eight videos, of which the even ones are positive."""
    return ratings_of(stages, np.full(8, 3), np.arange(8) % 2 == 0, ranks)


def ratings_of(stages, classes, positive, ranks):
    """Any classes, each rated once in each of eight videos: class by class, video by video."""
    videos = np.arange(len(ranks)) % 8
    return RatingScores(
        np.array([f"v{n}" for n in videos]),
        np.zeros(len(videos), np.int64),
        classes,
        positive,
        {stage: (1 - ranks / 100).astype(np.float32) for stage in stages},
        dict.fromkeys(stages, ranks),
    )


STAGES = ("pretrained", "finetuned")


def model(folder, name, validation_map, sd=0.02, ranks=None, stages=STAGES, weighted_map=0.5):
    run = folder / name
    run.mkdir(parents=True, exist_ok=True)
    scorers = {stage: str(run / f"{stage}.safetensors") for stage in stages}
    if stages == ("ensemble",):
        scorers = {"ensemble": f"{run}.json"}
    results = {
        stage: {
            "scorer": file,
            "map": validation_map - 0.1 * (stage == "pretrained"),
            "map_sd": sd,
            "weighted_map": weighted_map,
            "weighted_map_sd": sd,
        }
        for stage, file in scorers.items()
    }
    (run / "validation.json").write_text(json.dumps({"results": results}))
    table = ratings(stages, np.arange(8) if ranks is None else np.array(ranks))
    ratings_table.write(run / "validation.ratings.csv", table)
    for file in scorers.values():
        if file.endswith(".safetensors"):
            Path(file).write_text(f"{name} {Path(file).name}")
    return run / "validation.json"
