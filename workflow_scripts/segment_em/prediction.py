"""What an ensemble says of every segment of the test set, from files to a file."""

from pathlib import Path

from segment_em import ensemble, prediction_files
from segment_em.ensemble import Ensemble
from segment_em.index import Index
from segment_em.index_files import read_index
from segment_em.provenance import Job, described, write_how
from segment_em.scoring import Inference, Scorer


def predict(
    path: str | Path,
    index_path: str | Path,
    out: str | Path,
    settings: Inference,
    job: Job,
) -> None:
    """Algorithm 1, line 12: the ensemble's scores for one chunk of the test set.

    path: members.json or ensemble.json, or one model's weights.
    """
    write_scores(ensemble.read(path), read_index([index_path]), out, settings, job)


def write_scores(
    joined: Ensemble, index: Index, out: str | Path, settings: Inference, job: Job
) -> None:
    """Write the scores of all videos of an index, in the format of predictions."""
    scorer, stamp = Scorer(joined, index, settings, job), job.stamp()
    prediction_files.write_predictions(
        out,
        (scores for _, scores in scorer.parts()),
        index.video_ids,
        scorer.clips.frame_counts,
        scorer.class_ids,
        settings.segment_frames,
        described(stamp),
    )
    write_how(out, stamp, scorer.device.type)
