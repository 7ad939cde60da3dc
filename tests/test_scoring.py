"""From files to scores: the E-step's chunks, predictions of one model and of several."""

import math
from dataclasses import replace

import numpy as np
import pytest
from small_scorers import JOB, SETTINGS, ensemble_of, plain_scores, weights

from segment_em import ensemble, estimation, labels, prediction, prediction_files
from segment_em.errors import InputError
from segment_em.index_files import write_index


@pytest.fixture
def index_path(tmp_path, small_index):
    write_index(tmp_path / "index.h5", small_index, {})
    return tmp_path / "index.h5"


def test_the_e_step_stores_the_teachers_scores_of_every_segment(tmp_path, index_path, small_index):
    teacher = weights(tmp_path, "teacher.safetensors", 0)
    estimation.estimate(teacher, index_path, 0.0, 3, tmp_path / "out.h5", SETTINGS, JOB)
    chunk = labels.read_chunk(tmp_path / "out.h5")
    expected = np.concatenate(list(plain_scores(teacher, small_index).values()))
    assert chunk.video_indptr.tolist() == [0, 3, 5, 5, 6, 11]
    assert np.diff(chunk.scores.indptr).tolist() == [3] * 11
    stored = np.asarray(chunk.scores.scores, np.float32).reshape(11, 3)
    np.testing.assert_allclose(stored, expected, atol=1e-3)
    carried = np.asarray(chunk.scores.in_video_labels).reshape(11, 3)
    # a carries 3 and 8, b carries 20, d nothing, e carries 3
    expected_labels = [[1, 1, 0]] * 3 + [[0, 0, 1]] * 2 + [[0, 0, 0]] + [[1, 0, 0]] * 5
    assert carried.astype(int).tolist() == expected_labels


def test_several_models_are_scored_by_their_weighted_mean(tmp_path, index_path, small_index):
    paths = [weights(tmp_path, f"{n}.safetensors", n) for n in (0, 1)]
    joined = ensemble_of(tmp_path, paths, [0.75, 0.25])
    prediction.predict(joined, index_path, tmp_path / "out.h5", SETTINGS, JOB)
    found = prediction_files.read_predictions(tmp_path / "out.h5").scores
    parts = [np.concatenate(list(plain_scores(path, small_index).values())) for path in paths]
    np.testing.assert_allclose(found, 0.75 * parts[0] + 0.25 * parts[1], atol=1e-6)


@pytest.mark.parametrize("job", ["e_step", "prediction"])
def test_scores_that_are_not_finite_name_their_video(tmp_path, index_path, monkeypatch, job):
    def one_overflows(self, members, counts_V):
        return np.where(np.arange(counts_V.sum())[:, None] == 4, np.nan, members[0])

    monkeypatch.setattr(ensemble.Ensemble, "scores", one_overflows)
    path, out = weights(tmp_path, "w.safetensors", 0), tmp_path / "out.h5"
    score = {
        "e_step": lambda: estimation.estimate(path, index_path, 0.0, 3, out, SETTINGS, JOB),
        "prediction": lambda: prediction.predict(path, index_path, out, SETTINGS, JOB),
    }[job]
    with pytest.raises(InputError, match="video 'b': its scores are not finite"):
        score()
    assert not out.exists()


def test_models_of_other_features_than_the_index_are_refused(tmp_path, index_path):
    path = weights(tmp_path, "w.safetensors", 0, features={"rgb": 16})
    expected = r"made for features \{'rgb': 16\}, not \{'rgb': 8.*; give files with these"
    with pytest.raises(InputError, match=expected):
        prediction.predict(path, index_path, tmp_path / "out.h5", SETTINGS, JOB)
    assert not (tmp_path / "out.h5").exists()


def test_models_of_other_segments_than_the_settings_are_refused(tmp_path, index_path):
    path = weights(tmp_path, "w.safetensors", 0)
    other = replace(SETTINGS, segment_frames=10)
    with pytest.raises(InputError, match=r"made for segments of 5 frames, not 10 \(data\.segment"):
        prediction.predict(path, index_path, tmp_path / "out.h5", other, JOB)


def test_members_of_other_classes_are_not_joined(tmp_path, index_path):
    paths = [
        weights(tmp_path, f"{last}.safetensors", 0, class_ids=[3, 8, last]) for last in (20, 21)
    ]
    joined = ensemble_of(tmp_path, paths, [0.5, 0.5])
    with pytest.raises(InputError, match="classes"):
        prediction.predict(joined, index_path, tmp_path / "out.h5", SETTINGS, JOB)


def test_a_filter_is_of_each_videos_own_segments_and_the_members_spread_is_stored(
    tmp_path, index_path, small_index
):
    """Reference: each video alone: the mean, times its mean weighted by itself; see averaging."""
    paths = [weights(tmp_path, f"{n}.safetensors", n) for n in (0, 1)]
    teacher = ensemble_of(tmp_path, paths, [0.75, 0.25], video_filter=1.0)
    estimation.estimate(teacher, index_path, 0.0, 3, tmp_path / "out.h5", SETTINGS, JOB)
    found = labels.read_chunk(tmp_path / "out.h5").scores
    one, two = (plain_scores(path, small_index) for path in paths)
    expected, spread = [], []
    for name in small_index.video_ids.tolist():
        mean = 0.75 * one[name].astype(np.float64) + 0.25 * two[name]
        if len(mean):
            expected.append(mean * np.square(mean).sum(axis=0) / mean.sum(axis=0))
            spread.append(np.abs(one[name] - two[name]) * math.sqrt(0.75 * 0.25))
    row = np.repeat(np.arange(11), np.diff(found.indptr))
    for stored, wanted in ((found.scores, expected), (found.spread, spread)):
        dense = np.zeros((11, 3))
        dense[row, found.indices] = np.asarray(stored, np.float32)
        np.testing.assert_allclose(dense, np.concatenate(wanted), atol=1e-3)


def test_the_grids_that_an_ensemble_names_are_used(tmp_path, index_path):
    path = weights(tmp_path, "0.safetensors", 0)
    found = []
    for shifts in ([0], [0, 2]):
        joined = ensemble_of(tmp_path, [path], [1.0], shifts=shifts)
        prediction.predict(joined, index_path, tmp_path / "out.h5", SETTINGS, JOB)
        found.append(np.array(prediction_files.read_predictions(tmp_path / "out.h5").scores))
    assert np.abs(found[0] - found[1]).max() > 1e-4


def test_scores_are_computed_in_the_precision_that_is_asked_for(tmp_path, index_path):
    path = weights(tmp_path, "0.safetensors", 0)
    found = []
    for precision in ("float32", "bfloat16"):
        settings = replace(SETTINGS, precision=precision)
        prediction.predict(path, index_path, tmp_path / "out.h5", settings, JOB)
        found.append(np.array(prediction_files.read_predictions(tmp_path / "out.h5").scores))
    assert 0 < np.abs(found[0] - found[1]).max() < 0.05
