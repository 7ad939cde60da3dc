"""The scores of the videos that the report shows, by one model or ensemble."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segment_em import ensemble
from segment_em.ensemble import Ensemble
from segment_em.files import read_json
from segment_em.held_out import Validation
from segment_em.index_files import read_index
from segment_em.provenance import Job
from segment_em.scoring import Inference, write_scores
from segment_em.selection import SELECTED
from segment_em.shown_videos import read_shown
from segment_em.terms import PARTS


def replay(
    scorer: Ensemble,
    validation: Validation,
    index_paths: Mapping[str, Sequence[str | Path]],
    shown_path: str | Path,
    outs: Mapping[str, str | Path],
    settings: Inference,
    job: Job,
) -> None:
    """Write the scores of the shown videos of each part in the format of predictions.

    validation: rated videos are scored by what has not been fine-tuned on them. index_paths, outs:
    by part.
    """
    shown = read_shown(shown_path)
    for part in PARTS:
        index = read_index(index_paths[part])
        index = index.take(np.isin(index.video_ids, shown[part]))
        held_out = part == "validation"
        parts = validation.parts(scorer, index) if held_out else [(scorer, index)]
        write_scores(parts, outs[part], settings, job)


def scorer_of(path: str | Path) -> Ensemble:
    """F of an iteration's selected.json, which may not be its teacher; else as ensemble.read."""
    path = Path(path)
    if path.name == "selected.json":
        return Ensemble.of_one(read_json(path)[SELECTED]["weights"])
    return ensemble.read(path)
