"""From files to scores: the E-step's chunks, predictions of one model and of several."""

import numpy as np
import pytest
from small_scorers import JOB, SETTINGS, ensemble_of, plain_scores, weights

from segment_em import labels, scoring
from segment_em.errors import InputError
from segment_em.index import write_index


@pytest.fixture
def index_path(tmp_path, small_index):
    write_index(tmp_path / "index.h5", small_index, {})
    return tmp_path / "index.h5"


def test_the_e_step_stores_the_teachers_scores_of_every_segment(tmp_path, index_path, small_index):
    teacher = weights(tmp_path, "teacher.safetensors", 0)
    scoring.estimate(teacher, index_path, 0.0, 3, tmp_path / "out.h5", SETTINGS, JOB)
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
    ensemble = ensemble_of(tmp_path, paths, [0.75, 0.25])
    scoring.predict(ensemble, index_path, tmp_path / "out.h5", SETTINGS, JOB)
    found = scoring.predictions.read_predictions(tmp_path / "out.h5").scores
    parts = [np.concatenate(list(plain_scores(path, small_index).values())) for path in paths]
    np.testing.assert_allclose(found, 0.75 * parts[0] + 0.25 * parts[1], atol=1e-6)


def test_models_of_other_features_than_the_index_are_refused(tmp_path, index_path):
    path = weights(tmp_path, "w.safetensors", 0, features={"rgb": 16})
    with pytest.raises(InputError, match=r"made for features \{'rgb': 16\}, not \{'rgb': 8"):
        scoring.predict(path, index_path, tmp_path / "out.h5", SETTINGS, JOB)
    assert not (tmp_path / "out.h5").exists()
