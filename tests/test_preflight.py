"""What will starve, counted by hand on a small index."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from segment_em import preflight
from segment_em.errors import InputError

CLASSES = np.array([3, 8, 20, 50])
QUANTILE = {"rule": "class_quantile", "share": 0.35, "other_share": 0.05}
FIXED = {"rule": "fixed", "delta": 0.9}


def settings(threshold=QUANTILE, validation_fraction=1e-9, max_frames=60, **changes):
    others = {"submission": True, "unrated_negatives": 0, "compared": False} | changes
    return preflight.PlannedRun(max_frames, 5, validation_fraction, threshold, **others)


def splits_of(index):
    return {"train": index, "segments": index, "test": index}


def table_of(index, **changes):
    return preflight.class_table(index, index, CLASSES, {3: "Game"}, settings(**changes))


def test_videos_segments_and_ratings_are_counted_by_class(small_index):
    table = table_of(small_index)
    assert table["name"].tolist() == ["Game", "", "", ""]
    assert table["videos"].tolist() == [3, 1, 1, 0]
    # Class 3 is in videos of 12, 0 and 31 frames: 3 + 0 + 7 segments.
    assert table["segments"].tolist() == [10, 3, 2, 0]
    # One of class 20 lies past the end of its video.
    assert table["ratings"].tolist() == [4, 1, 2, 0]
    assert table["positive_ratings"].tolist() == [2, 0, 2, 0]
    assert table["validation_ratings"].tolist() == [0, 0, 0, 0]


def test_the_quantile_rule_tells_the_labels_to_expect(small_index):
    # round(.35 x 10) = 4 (of 3.5, to even), at least one of a class that has videos.
    assert table_of(small_index)["labels_expected"].tolist() == [4, 1, 1, 0]
    assert table_of(small_index, threshold=FIXED)["labels_expected"].isna().all()


def test_ratings_of_what_is_cut_do_not_count_for_fine_tuning(small_index):
    # At 10 frames one of class 20 in video a goes too, and both of class 3 in video e.
    table = table_of(small_index, max_frames=10)
    assert table["ratings"].tolist() == [2, 1, 1, 0]
    assert table["segments"].tolist() == [4, 2, 2, 0]


def test_held_out_ratings_are_counted_apart(small_index):
    table = table_of(small_index, validation_fraction=1 - 1e-9)
    assert table["ratings"].tolist() == [0, 0, 0, 0]
    assert table["validation_ratings"].tolist() == [4, 1, 3, 0]
    assert table["validation_positives"].tolist() == [2, 0, 3, 0]


def test_each_thing_that_will_starve_is_told_with_its_classes_and_a_remedy(small_index):
    lines = preflight.warnings(table_of(small_index), settings())
    assert lines[0].startswith("1 of 4 classes: no train video carries them (50): taught as absent")
    assert lines[1].startswith("3 of 4 classes: fewer than 10 train videos carry them (3 Game, 8")
    assert "no rating for fine-tuning has them (50)" in lines[2]
    assert "no positive rating for fine-tuning has them (8): their scores will sink" in lines[3]
    assert "no negative rating for fine-tuning has them (20): their scores will rise" in lines[4]
    assert "raise data.validation_fraction" in lines[5]


def test_what_would_be_refused_after_training_is_refused_here(small_index):
    table = table_of(small_index)
    with pytest.raises(InputError, match=r"no positive rating .* raise data.validation_fraction"):
        preflight.report(table, splits_of(small_index), settings())
    table["validation_positives"], planned = 1, settings(validation_fraction=1.0)
    spaced = replace(small_index, video_ids=small_index.video_ids.astype(object) + " x")
    splits = splits_of(small_index) | {"test": spaced}
    with pytest.raises(InputError, match=r"video id 'a x'.*set evaluation.submission: false"):
        preflight.report(table, splits, planned)
    planned = planned._replace(submission=False)
    preflight.report(table, splits, planned)
    table["videos"] = 0
    with pytest.raises(InputError, match=r"no video of the train split .* 4 classes; .* \[3, 8"):
        preflight.report(table, splits, planned)


def test_without_a_rating_for_fine_tuning_nothing_is_trained(small_index):
    ratings = small_index.ratings
    late = ratings._replace(start_second=1000 * (ratings.start_second + 1))
    index = replace(small_index, ratings=late)
    with pytest.raises(InputError, match=r"none of \d+ ratings is for fine-tuning.* in seconds"):
        preflight.report(table_of(index), splits_of(index), settings())


def test_data_without_labels_or_ratings_are_told_where_they_lack(small_index):
    table = table_of(small_index)
    nothing = small_index.take(np.zeros(0, int))
    for split, message in (("train", "data.train: no video has a label"), ("segments", "is rated")):
        with pytest.raises(InputError, match=message):
            preflight.refuse(table, splits_of(small_index) | {split: nothing}, settings())


def answered(index, **changes):
    return replace(index, ratings=index.ratings._replace(**changes))


SAME_FOR_ALL = [
    {"positive": True},
    {"positive": False},
    {"start_second": 5000},
    {"class_id": 4},
]


def changed(index, changes):
    ratings = index.ratings
    return answered(
        index, **{name: np.full_like(getattr(ratings, name), v) for name, v in changes.items()}
    )


@pytest.mark.parametrize("changes", SAME_FOR_ALL)
def test_ratings_for_validation_that_tell_no_model_from_another_are_refused(small_index, changes):
    table = table_of(small_index)
    table["validation_positives"] = 1
    planned = settings(validation_fraction=1.0)
    preflight.refuse(table, splits_of(small_index), planned)
    splits = splits_of(small_index) | {"segments": changed(small_index, changes)}
    with pytest.raises(InputError, match=r"data\.segments: for validation no class has ratings of"):
        preflight.refuse(table, splits, planned)


@pytest.mark.parametrize("changes", SAME_FOR_ALL)
def test_a_test_set_that_tells_no_model_from_another_is_told_and_compares_none(
    small_index, changes, caplog
):
    table = table_of(small_index)
    table["validation_positives"] = 1
    planned = settings(validation_fraction=1.0)
    preflight.report(table, splits_of(small_index), planned)
    assert "data.test: no class has" not in caplog.text
    preflight.refuse(table, splits_of(small_index), planned._replace(compared=True))
    splits = splits_of(small_index) | {"test": changed(small_index, changes)}
    preflight.report(table, splits, planned)
    assert "data.test: no class has ratings of both answers" in caplog.text
    with pytest.raises(InputError, match=r"data\.test: .*, and an ablation compares"):
        preflight.refuse(table, splits, planned._replace(compared=True))


def test_a_test_set_without_ratings_is_no_fault_but_for_an_ablation(small_index, caplog):
    table = table_of(small_index)
    table["validation_positives"] = 1
    unrated = small_index.take(np.flatnonzero(np.diff(small_index.ratings.indptr) == 0))
    splits, planned = splits_of(small_index) | {"test": unrated}, settings(validation_fraction=1.0)
    preflight.report(table, splits, planned)
    assert "data.test: no class has" not in caplog.text
    with pytest.raises(InputError, match=r"data\.test: .*, and an ablation compares"):
        preflight.refuse(table, splits, planned._replace(compared=True))


def test_unrated_negatives_ask_for_the_labels_of_rated_videos(small_index, caplog):
    planned = settings(validation_fraction=1.0, unrated_negatives=4.0)
    table = table_of(small_index, unrated_negatives=4.0)
    table["validation_positives"] = 1
    assert "taught as absent by unrated_negatives" in preflight.warnings(table, planned)[2]
    labels = small_index.labels
    bare = replace(small_index, labels=labels._replace(indptr=0 * labels.indptr))
    rated = int((np.diff(small_index.ratings.indptr) > 0).sum())
    for segments, told in ((bare, True), (small_index, False)):
        caplog.clear()
        preflight.report(table, splits_of(small_index) | {"segments": segments}, planned)
        line = f"data.segments: {rated} of 5 videos have ratings and no labels"
        assert (line in caplog.text) == told


def test_one_threshold_for_all_is_warned_of_where_some_classes_are_rare(small_index):
    table = table_of(small_index, threshold=FIXED)
    table["videos"] = [100, 40, 40, 9]
    lines = preflight.warnings(table, settings(FIXED))
    assert "less than a quarter of the median's 40 videos have them (50)" in lines[-1]
    assert "class_quantile" in lines[-1]
    assert not any("quarter" in line for line in preflight.warnings(table, settings(QUANTILE)))


def test_the_report_says_how_sure_validation_will_be(small_index, caplog):
    caplog.set_level(logging.INFO)
    table = table_of(small_index)
    table["validation_ratings"] = [300, 300, 300, 300]
    table["validation_positives"] = [150, 150, 150, 0]
    preflight.report(table, splits_of(small_index), settings(validation_fraction=1.0))
    # Four times the ratings of the measurement: half of .018 and of .029.
    assert "mAP will vary by 0.009 to 0.015" in caplog.text
    assert "train: 5 videos, 1 without any label" in caplog.text
    # Six of the classes, and in each split a rating of class 99, which is not listed, and video c.
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 12


@pytest.mark.parametrize("threshold", [QUANTILE, FIXED])
def test_nothing_is_warned_of_where_nothing_starves(small_index, threshold):
    table = table_of(small_index, threshold=threshold)
    for column in ("videos", "ratings", "validation_positives"):
        table[column] = 50
    table["positive_ratings"], table["validation_ratings"] = 25, 60
    assert preflight.warnings(table, settings(threshold)) == []
