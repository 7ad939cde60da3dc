"""The M-step: a fresh model on what the E-step estimated, from files to a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segment_em import calibration, estimators, label_set_files
from segment_em.index import segments_of
from segment_em.index_files import read_index
from segment_em.labels import LabelRule, PseudoLabels
from segment_em.provenance import TrainingJob
from segment_em.stages import Training, prepared, train_fresh
from segment_em.training import estimated_objective


@dataclass(frozen=True)
class LabelOptions:
    """How the M-step takes its labels from the E-step's scores, see labels.LabelRule.

    labels: hard or soft.
    """

    estimation: str
    labels: str
    agreement: bool


def maximise(
    settings: Training,
    taken: LabelOptions,
    index_paths: Sequence[str | Path],
    pseudo_label_paths: Sequence[str | Path],
    label_set_path: str | Path,
    calibration_path: str | Path | None,
    out: str | Path,
    job: TrainingJob,
) -> None:
    """Algorithm 1, lines 7 and 8: train a fresh model on the estimated labels (M-step).

    calibration_path: that of the label set, if it has one.
    """
    device = prepared(job)
    index = read_index(index_paths)
    label_set = label_set_files.read(label_set_path)
    class_ids = label_set["class"]
    rule = LabelRule(
        estimators.load(taken.estimation),
        label_set_files.thresholds(label_set),
        calibration.read(calibration_path) if calibration_path else None,
        taken.labels == "soft",
        taken.agreement,
    )
    total = label_set["score_sum" if rule.soft else "positives"]
    prior_C = total / label_set["segments"]
    counts = segments_of(index.frames_read(settings.max_frames), settings.segment_frames)
    source = PseudoLabels(pseudo_label_paths, index.video_ids, counts, rule, class_ids, prior_C)
    objective = estimated_objective(settings.segment_frames)
    train_fresh(settings, index, class_ids, source, objective, out, job, device)
