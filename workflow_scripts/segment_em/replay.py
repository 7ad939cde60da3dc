"""The scores of the videos that the report shows, by one model or ensemble."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segment_em import ensemble
from segment_em.index_files import read_index
from segment_em.prediction import write_scores
from segment_em.provenance import Job
from segment_em.scoring import Inference
from segment_em.shown_videos import read_shown
from segment_em.terms import PARTS


def replay(
    scorer_path: str | Path,
    index_paths: Mapping[str, Sequence[str | Path]],
    shown_path: str | Path,
    outs: Mapping[str, str | Path],
    settings: Inference,
    job: Job,
) -> None:
    """Write the scores of the shown videos of each part in the format of predictions.

    scorer_path: weights, or a members.json. index_paths, outs: by part. Videos of validation are
    scored by members that were not fine-tuned on them.
    """
    shown = read_shown(shown_path)
    for part in PARTS:
        index = read_index(index_paths[part])
        index = index.take(np.isin(index.video_ids, shown[part]))
        scorer = ensemble.read(scorer_path, validated=part == "validation")
        write_scores(scorer, index, outs[part], settings, job)
