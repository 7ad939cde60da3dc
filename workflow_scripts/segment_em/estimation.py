"""The E-step: what the teacher says of every segment of the corpus, from files to a file."""

# B videos, C classes, N segments

from pathlib import Path

import numpy as np

from segment_em import ensemble, pseudo_label_files
from segment_em.index import Index, columns_of, indptr_of, spans
from segment_em.index_files import read_index
from segment_em.provenance import Job, described, write_how
from segment_em.scoring import Inference, Scorer


def estimate(
    teacher: str | Path,
    index_path: str | Path,
    floor: float,
    top: int,
    out: str | Path,
    settings: Inference,
    job: Job,
) -> None:
    """Algorithm 1, lines 5 and 6: the teacher's scores of one chunk, for both estimations.

    floor, top: which scores of classes that the video does not carry are stored, see
    pseudo_label_files.sparse_scores.
    """
    index = read_index([index_path])
    scorer = Scorer(ensemble.read(teacher), index, settings, job)
    counts = scorer.segment_counts()
    parts = (
        pseudo_label_files.sparse_scores(
            scorer.joined(rows, members),
            _carried(index, rows, counts, scorer.class_ids),
            floor,
            top,
            scorer.ensemble.spread(members),
        )
        for rows, members in scorer.members()
    )
    scores, stamp = pseudo_label_files.joined([pseudo_label_files.empty(), *parts]), job.stamp()
    pseudo_label_files.write_pseudo_labels(
        out,
        scores,
        index.video_ids,
        indptr_of(counts),
        scorer.class_ids,
        described(stamp),
    )
    write_how(out, stamp, scorer.device.type)


def _carried(
    index: Index, rows: np.ndarray, counts: np.ndarray, class_ids: np.ndarray
) -> np.ndarray:
    """bool [N, C]: for each segment of the videos, the labels of its video."""
    position, owner = spans(index.labels.indptr, rows)
    column = columns_of(class_ids, index.labels.indices[position])
    carried_BC = np.zeros((len(rows), len(class_ids)), dtype=bool)
    carried_BC[owner[column >= 0], column[column >= 0]] = True
    return np.repeat(carried_BC, counts[rows], axis=0)
