"""From files to scores: ratings as rows, the E-step's chunks, evaluation of one and of several."""

import json

import numpy as np
import pytest
import torch
from small_records import FEATURES

from segment_em import labels, scoring
from segment_em.checkpoint import Specification, load_weights, save_weights
from segment_em.dataset import Clips
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.index import write_index
from segment_em.provenance import Job
from segment_em.stages import dequantiser

CLASS_IDS = np.array([3, 8, 20])
SETTINGS = scoring.Inference(max_frames=25, segment_frames=5, precision="float32", videos=2)
MEASURE = scoring.Measure(top_segments=100_000, replicates=10, seed=0)
JOB = Job(config={}, inputs=[], threads=1, workers=0, gpus=0)


@pytest.fixture
def index_path(tmp_path, small_index):
    write_index(tmp_path / "index.h5", small_index, {})
    return tmp_path / "index.h5"


def weights(folder, name, seed, features=FEATURES):
    torch.manual_seed(seed)
    options = {"fusion": "early", "layers": 1, "hidden": 4, "dropout": 0.0}
    specification = Specification(
        "bigru", options, [list(pair) for pair in features.items()], CLASS_IDS.tolist(), 5
    )
    save_weights(folder / name, specification.build(), specification, {}, {})
    return folder / name


def plain_scores(path, index):
    """Reference: one video at a time through the model; {video id: [S, C]}."""
    model = load_weights(path)[0].eval()
    clips = Clips(FrameReader(index, 25), 5, None, False)
    found = {}
    with torch.inference_mode():
        for row, name in enumerate(index.video_ids):
            batch = clips[np.array([row])]
            scores = torch.sigmoid(model(dequantiser(index)(batch), batch.mask))[0].numpy()
            found[str(name)] = scores[: clips.segment_counts()[row]]
    return found


def test_ratings_become_rows_and_columns_of_the_score_matrix(small_index):
    counts = np.array([3, 2, 0, 1, 5])
    rated = scoring.rated_segments(small_index, counts, CLASS_IDS, 5)
    found = list(zip(*(array.tolist() for array in rated), strict=True))
    # (row, column, positive, video) of the ratings in small_records; class 99 has no column.
    assert found == [
        (0, 0, True, 0),
        (1, 1, False, 0),
        (2, 2, True, 0),
        (3, 2, True, 1),
        (4, 0, False, 1),
        (-1, 2, True, 1),  # second 15 of a video of 7 frames
        (-1, 0, True, 4),  # the video is cut to 25 frames
        (-1, 0, False, 4),
    ]


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


def ensemble_of(folder, paths, shares):
    members = [
        {"weights": path.name, "weight": share} for path, share in zip(paths, shares, strict=True)
    ]
    (folder / "ensemble.json").write_text(json.dumps({"members": members}))
    return folder / "ensemble.json"


def test_several_models_are_scored_by_their_weighted_mean(tmp_path, index_path, small_index):
    paths = [weights(tmp_path, f"{n}.safetensors", n) for n in (0, 1)]
    ensemble = ensemble_of(tmp_path, paths, [0.75, 0.25])
    scoring.predict(ensemble, index_path, tmp_path / "out.h5", SETTINGS, JOB)
    found = scoring.predictions.read_predictions(tmp_path / "out.h5").scores
    parts = [np.concatenate(list(plain_scores(path, small_index).values())) for path in paths]
    np.testing.assert_allclose(found, 0.75 * parts[0] + 0.25 * parts[1], atol=1e-6)


def test_evaluation_writes_a_result_for_each_scorer(tmp_path, index_path):
    paths = [weights(tmp_path, f"{n}.safetensors", n) for n in (0, 1)]
    scorers = {"one": paths[0], "both": ensemble_of(tmp_path, paths, [0.5, 0.5])}
    out = tmp_path / "out.json"
    scoring.evaluate_models(scorers, [index_path], None, out, SETTINGS, MEASURE, JOB)
    results = json.loads(out.read_text())["results"]
    assert set(results) == {"one", "both"}
    assert results["one"]["ratings"] == 8
    assert results["one"]["positives"] == 5
    assert results["one"]["ap"]["8"] is None  # no positive rating
    assert 0 <= results["both"]["map"] <= 1
    assert not list(tmp_path.glob(".scores-*"))


def test_models_of_other_features_than_the_index_are_refused(tmp_path, index_path):
    path = weights(tmp_path, "w.safetensors", 0, features={"rgb": 16})
    with pytest.raises(InputError, match=r"made for features \{'rgb': 16\}, not \{'rgb': 8"):
        scoring.predict(path, index_path, tmp_path / "out.h5", SETTINGS, JOB)
    assert not (tmp_path / "out.h5").exists()


def test_a_validation_part_without_positives_is_refused(tmp_path, index_path):
    path = weights(tmp_path, "w.safetensors", 0)
    with pytest.raises(InputError, match=r"raise data\.validation_fraction"):
        scoring.evaluate_models(
            {"x": path}, [index_path], 0.0, tmp_path / "out.json", SETTINGS, MEASURE, JOB
        )
