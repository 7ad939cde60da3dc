"""Localisations against the truth: by hand, and against a count of pairs one by one."""

import numpy as np
import pytest
from test_truth import write_truth

from segment_em import localisation, localisation_quality
from segment_em.errors import InputError
from segment_em.prediction_files import write_predictions


def judged(folder, scores, frames, truth, class_ids=(3, 4), max_frames=100):
    """scores: one [S, C] a video, ids v0, v1, ...; the last in a chunk of its own."""
    ids = np.array([f"v{n}" for n in range(len(frames))])
    paths = []
    for chosen in (slice(0, -1), slice(-1, None)):
        paths.append(folder / f"{len(paths)}.h5")
        parts = [np.asarray(part, np.float32) for part in scores[chosen]]
        classes, counts = np.array(class_ids), np.array(frames[chosen], np.int64)
        write_predictions(paths[-1], parts, ids[chosen], counts, classes, 5, {})
    path = write_truth(folder / "truth.npz", truth)
    return localisation_quality.judge(paths, path, max_frames).set_index("threshold")


def test_pairs_that_pass_a_threshold_are_found_and_some_of_them_right(tmp_path):
    scores = [[[0.9, 0.3], [0.6, 0.1]], [[0.2, 0.7]]]
    truth = {"v0": (8, [(3, 0, 5), (4, 5, 8)]), "v1": (5, [(4, 0, 5), (9, 0, 5)])}
    table = judged(tmp_path, scores, [8, 5], truth)
    # True: v0's first segment of class 3 and second of class 4, v1's of class 4.
    assert (table["true"] == 3).all()
    row = table.loc[0.5]
    assert row[["found", "correct"]].tolist() == [3, 2]
    assert row["precision"] == pytest.approx(2 / 3)
    assert row["recall"] == pytest.approx(2 / 3)
    assert table.loc[0.1, ["found", "correct"]].tolist() == [6, 3]
    assert table.loc[0.95, "found"] == 0
    assert np.isnan(table.loc[0.95, "precision"])


def test_a_score_at_the_threshold_is_found_as_it_is_localised(tmp_path):
    for threshold in localisation_quality.THRESHOLDS:
        scores = np.full((1, 1), threshold, np.float32)
        table = judged(tmp_path, [scores, scores], [5, 5], {"v0": (5, []), "v1": (5, [])}, (3,))
        found = table["found"].to_numpy()[np.isclose(table.index, threshold)]
        intervals = localisation.merge(scores, np.array([5]), 5, float(threshold))
        assert found.tolist() == [2 * len(intervals.video)] == [2]


def test_counts_agree_with_a_count_one_by_one(tmp_path):
    random = np.random.default_rng(0)
    frames, scores, truth, pairs = [], [], {}, []
    for number in range(6):
        frames.append(int(random.integers(1, 30)))
        scores.append(random.random((-(-frames[-1] // 5), 2)).astype(np.float32))
        start = int(random.integers(0, frames[-1]))
        truth[f"v{number}"] = (frames[-1], [(4, start, frames[-1])])
        for segment, values in enumerate(scores[-1]):
            last = min(5 * segment + 5, frames[-1])
            shown = sum(frame >= start for frame in range(5 * segment, last))
            pairs += [(values[0], False), (values[1], 2 * shown >= last - 5 * segment)]
    table = judged(tmp_path, scores, frames, truth)
    for threshold, row in table.iterrows():
        found = [real for score, real in pairs if score >= np.float32(threshold)]
        expected = len(found), sum(found), sum(real for _, real in pairs)
        assert (row["found"], row["correct"], row["true"]) == expected


def test_a_truth_of_other_videos_is_refused(tmp_path):
    scores = [np.ones((1, 2)), np.ones((1, 2))]
    with pytest.raises(InputError, match=r"truth\.npz: no video 'v1'"):
        judged(tmp_path, scores, [5, 5], {"v0": (5, [])})
