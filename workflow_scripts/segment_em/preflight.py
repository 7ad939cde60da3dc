"""What will starve or is left out, told from the index before anything is trained."""

# V videos, C classes, L video labels, R ratings

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from segment_em.errors import InputError
from segment_em.index import Index, columns_of, segments_of
from segment_em.left_out import left_out, listed
from segment_em.submission import check_ids

log = logging.getLogger(__name__)

# Of a class that occurs in fewer videos, an E-step has little to choose from.
FEW_VIDEOS = 10
# How far mAP varies when the videos are drawn again, by so many ratings, five a video: of a real
# data set (60 videos), and as in the simulations (.015 with 951, .019 to .024 with some 500).
MEASURED_SDS, MEASURED_RATINGS = (0.018, 0.029), 300
SAME_FOR_ALL = (
    "no class has ratings of both answers (of segments within their videos), so that average "
    "precision tells no model from another"
)


class PlannedRun(NamedTuple):
    """What decides the counts. threshold: as configured, with its rule; see thresholds/.

    submission: whether test ids have to stand in one. unrated_negatives: see
    training.rated_objective. compared: whether the test set has to tell models apart, as in an
    ablation.
    """

    max_frames: int
    segment_frames: int
    validation_fraction: float
    threshold: Mapping[str, Any]
    submission: bool
    unrated_negatives: float
    compared: bool


def class_table(
    train: Index,
    rated: Index,
    class_ids: np.ndarray,
    names: Mapping[int, str],
    planned: PlannedRun,
) -> pd.DataFrame:
    """A row per class, from the train split's labels and the rated videos' ratings.

    Columns: class; name; videos (that carry it) and segments (of these); labels_expected (positive
    segments of the E-step in these videos; empty where the rule's threshold does not tell before a
    teacher is trained); ratings, positive_ratings (for fine-tuning, of segments that exist in the
    video as it is read); validation_ratings, validation_positives (as the metric counts them).
    """
    videos_C, segments_C = _carried(train, class_ids, planned)
    table = pd.DataFrame({"class": class_ids, "name": [names.get(c, "") for c in class_ids]})
    table["videos"], table["segments"] = videos_C, segments_C
    share = planned.threshold.get("share")
    expected_C = np.maximum(1, np.round((share or 0) * segments_C)) * (videos_C > 0)
    table["labels_expected"] = pd.array(expected_C if share else [None] * len(table), "Int64")
    tuning = rated.for_tuning(planned.validation_fraction)
    validation = rated.for_validation(planned.validation_fraction)
    exists_R = _exist(tuning, class_ids, planned)
    table["ratings"], table["positive_ratings"] = _rated(tuning, class_ids, exists_R)
    table["validation_ratings"], table["validation_positives"] = _rated(validation, class_ids)
    return table


def _carried(train: Index, class_ids: np.ndarray, planned: PlannedRun) -> np.ndarray:
    """int64 [2, C]: videos that carry each class, and their segments."""
    segments_V = segments_of(train.frames_read(planned.max_frames), planned.segment_frames)
    column_L = columns_of(class_ids, train.labels.indices)
    video_L = np.repeat(np.arange(len(train)), np.diff(train.labels.indptr))[column_L >= 0]
    column_L, classes = column_L[column_L >= 0], len(class_ids)
    segments = np.bincount(column_L, weights=segments_V[video_L], minlength=classes)
    return np.stack([np.bincount(column_L, minlength=classes), segments.astype(np.int64)])


def _exist(rated: Index, class_ids: np.ndarray, planned: PlannedRun) -> np.ndarray:
    """bool [R]: whether the rated segment is in its video as that is read."""
    segments_V = segments_of(rated.frames_read(planned.max_frames), planned.segment_frames)
    return rated.located_ratings(class_ids, segments_V, planned.segment_frames).exists


def _rated(rated: Index, class_ids: np.ndarray, chosen_R: np.ndarray | bool = True) -> np.ndarray:
    """int64 [2, C]: the chosen ratings of each class, and the positive ones."""
    column_R = columns_of(class_ids, rated.ratings.class_id)
    known, positive = chosen_R & (column_R >= 0), rated.ratings.positive
    counts = [np.bincount(column_R[c], minlength=len(class_ids)) for c in (known, known & positive)]
    return np.stack(counts)


def warnings(table: pd.DataFrame, planned: PlannedRun) -> list[str]:
    """One line for each thing that will starve: how many classes, which, and the remedy."""
    few = (table["videos"] > 0) & (table["videos"] < FEW_VIDEOS)
    found = [
        _line(
            table,
            table["videos"] == 0,
            "no train video carries",
            "taught as absent everywhere, and then from ratings; label videos with them",
        ),
        _line(table, few, f"fewer than {FEW_VIDEOS} train videos carry", "their scores will vary"),
        _line(
            table,
            table["ratings"] == 0,
            "no rating for fine-tuning has",
            "taught as absent by unrated_negatives where their labels are missing; rate segments"
            if planned.unrated_negatives
            else "rate segments of them, or expect the scores of pretraining",
        ),
        _line(
            table,
            (table["ratings"] > 0) & (table["positive_ratings"] == 0),
            "no positive rating for fine-tuning has",
            "their scores will sink; rate segments that show them",
        ),
        _line(
            table,
            (table["ratings"] > 0) & (table["positive_ratings"] == table["ratings"]),
            "no negative rating for fine-tuning has",
            "their scores will rise in every segment; rate segments without them",
        ),
        _line(
            table,
            table["validation_positives"] == 0,
            "no positive rating for validation has",
            "they do not count when F is selected; rate segments that show them, or raise "
            "data.validation_fraction",
        ),
        _line(
            table,
            (table["validation_positives"] > 0)
            & (table["validation_positives"] == table["validation_ratings"]),
            "no negative rating for validation has",
            "average precision is 1 there whatever a model says; rate segments without them",
        ),
    ]
    if "share" not in planned.threshold:
        median = table["videos"].median()
        rare = (table["videos"] > 0) & (table["videos"] < median / 4)
        remedy = "rare classes starve first under one threshold; em.threshold.rule: class_quantile"
        found.append(
            _line(
                table, rare, f"less than a quarter of the median's {median:.0f} videos have", remedy
            )
        )
    return [line for line in found if line]


def _line(table: pd.DataFrame, chosen: pd.Series, what: str, remedy: str) -> str:
    if not chosen.any():
        return ""
    names = [f"{c} {n}".strip() for c, n in table.loc[chosen, ["class", "name"]].to_numpy()]
    return f"{len(names)} of {len(table)} classes: {what} them ({listed(names)}): {remedy}"


def report(table: pd.DataFrame, splits: Mapping[str, Index], planned: PlannedRun) -> None:
    """Log what there is, and a warning for each thing that will starve or is left out.

    splits: {train, segments, test: its index}. Raises InputError where a run would be refused after
    hours; see refuse.
    """
    labels = np.diff(splits["train"].labels.indptr)
    log.info(
        "train: %d videos, %d without any label; by class: median %d videos, least %d",
        len(labels),
        int((labels == 0).sum()),
        table["videos"].median(),
        table["videos"].min(),
    )
    if table["labels_expected"].notna().all():
        expected = table["labels_expected"]
        log.info("E-step: by class median %d labels, least %d", expected.median(), expected.min())
    ratings = int(table["validation_ratings"].sum())
    variation = ""
    if ratings:
        low, high = ((MEASURED_RATINGS / ratings) ** 0.5 * sd for sd in MEASURED_SDS)
        variation = f", whose mAP will vary by {low:.3f} to {high:.3f}"
    log.info(
        "ratings: %d for fine-tuning, %d for validation%s, %d for the test",
        *(table["ratings"].sum(), ratings, variation, len(splits["test"].ratings.class_id)),
    )
    class_ids = table["class"].to_numpy()
    labelled = splits["train"].labels.indices
    unlisted = labelled[columns_of(class_ids, labelled) < 0]
    log.info(
        "labels: %d, of which %d are of classes not localised%s",
        *(len(labelled), len(unlisted), f" ({listed(np.unique(unlisted))})" * bool(len(unlisted))),
    )
    lost = left_out(splits, class_ids, planned.max_frames)
    unsuited = _unsuited(splits, class_ids, planned)
    for line in [*lost, *unsuited, *warnings(table, planned)]:
        log.warning("warning: %s", line)
    refuse(table, splits, planned)


def _unsuited(
    splits: Mapping[str, Index], class_ids: np.ndarray, planned: PlannedRun
) -> Iterator[str]:
    """A line where the test's ratings tell no models apart, or the setting asks for labels."""
    if len(splits["test"].ratings.class_id) and not _tells_apart(
        splits["test"], class_ids, planned
    ):
        yield f"data.test: {SAME_FOR_ALL}; rate segments that show a class and others that do not"
    rated = splits["segments"]
    unlabelled = int(
        ((np.diff(rated.labels.indptr) == 0) & (np.diff(rated.ratings.indptr) > 0)).sum()
    )
    if planned.unrated_negatives and unlabelled:
        yield (
            f"data.segments: {unlabelled} of {len(rated)} videos have ratings and no labels, and "
            "all that is not rated there is taught as absent: write their labels into the files, "
            "or set training.finetune.unrated_negatives to 0"
        )


def _tells_apart(rated: Index, class_ids: np.ndarray, planned: PlannedRun) -> bool:
    """Whether a class has both answers, of segments that exist."""
    counted_C, positives_C = _rated(rated, class_ids, _exist(rated, class_ids, planned))
    return bool(((positives_C > 0) & (positives_C < counted_C)).any())


def refuse(table: pd.DataFrame, splits: Mapping[str, Index], planned: PlannedRun) -> None:
    """Raise InputError where a run would be refused after hours.

    Without a video of any class, a rating for fine-tuning, or both answers of a class for
    validation, and of the test set where experiments are compared by it; or with a test id that no
    submission can hold.
    """
    if not len(splits["train"].labels.indices):
        raise InputError(
            "data.train: no video has a label; write the group labels (docs/format.md, own "
            "features), or name the files that have it"
        )
    if not table["videos"].any():
        raise InputError(
            f"data.segment_classes: no video of the train split carries any of these {len(table)} "
            f"classes; labels there are such as {splits['train'].labels.indices[:5].tolist()}; "
            "give the list that belongs to the records"
        )
    given = len(splits["segments"].ratings.class_id)
    if not given:
        raise InputError(
            "data.segments: no video is rated; the process selects by ratings: rate some segments, "
            "of which at least one positive has to be of a video for validation"
        )
    validation = splits["segments"].for_validation(planned.validation_fraction)
    if not table["ratings"].any():
        raise InputError(
            f"data.segments: none of {given} ratings is for fine-tuning, of one of these classes "
            f"and of a segment within its video ({len(validation.ratings.class_id)} are of videos "
            "for validation); rate segments of more videos, look at data.segment_classes, give "
            "starts in seconds, or lower data.validation_fraction"
        )
    if not table["validation_positives"].any():
        raise InputError(
            "data.segments: no positive rating of these classes is for validation; raise "
            "data.validation_fraction or rate more segments"
        )
    class_ids = table["class"].to_numpy()
    if not _tells_apart(validation, class_ids, planned):
        raise InputError(
            f"data.segments: for validation {SAME_FOR_ALL}; rate segments that show a class and "
            "others that do not, give starts in seconds, or raise data.validation_fraction"
        )
    if planned.compared and not _tells_apart(splits["test"], class_ids, planned):
        raise InputError(
            f"data.test: {SAME_FOR_ALL}, and an ablation compares by it; give files with such "
            "ratings"
        )
    if planned.submission:
        check_ids(splits["test"].video_ids)
