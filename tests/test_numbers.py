"""Numbers that must not depend on how data are cut, or on how scores are stored."""

import numpy as np
import pytest
import torch
from small_models import SMALL, small_model
from small_records import FEATURES, MORE_VIDEOS, VIDEOS, write_small_records
from small_scorers import JOB

from segment_em import estimation, labels, prediction, prediction_files, scoring
from segment_em.checkpoint import Specification, save_weights
from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index
from segment_em.metrics import Rated, evaluate

SETTINGS = scoring.Inference(max_frames=25, segment_frames=5, precision="float32", videos=64)
ALL = VIDEOS | MORE_VIDEOS


def weights(folder, architecture):
    path = folder / f"{architecture}.safetensors"
    features = [list(pair) for pair in FEATURES.items()]
    specification = Specification(architecture, SMALL[architecture], features, [3, 8, 20], 5)
    save_weights(path, small_model(architecture), specification, {}, "cpu")
    return path


def chunked(folder, size):
    """Index files of the same videos, so many a chunk."""
    names = sorted(ALL)
    for number, first in enumerate(range(0, len(names), size)):
        record = folder / f"{number:03d}.tfrecord"
        write_small_records(record, {name: ALL[name] for name in names[first : first + size]})
        path = folder / f"{number:03d}.h5"
        write_index(path, build_index([record], FEATURES, 5), {})
        yield path


@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_scores_are_equal_in_chunks_of_1_of_7_and_of_all(tmp_path, architecture):
    model = weights(tmp_path, architecture)
    found = {}
    for size in (1, 7, len(ALL)):
        folder = tmp_path / str(size)
        folder.mkdir()
        indexes = list(chunked(folder, size))
        assert sum(len(read_index([path])) for path in indexes) == len(ALL)
        dense, sparse = [], []
        for index in indexes:
            scores, stored = index.with_suffix(".scores.h5"), index.with_suffix(".labels.h5")
            prediction.predict(model, index, scores, SETTINGS, JOB)
            estimation.estimate(model, index, 0.0, 3, stored, SETTINGS, JOB)
            dense.append(prediction_files.read_predictions(scores).scores)
            sparse.append(labels.read_chunk(stored).scores.scores)
        found[size] = np.concatenate(dense), np.concatenate(sparse)
    for size in (1, 7):
        # A batch of other videos is padded to another length, and sums may round otherwise.
        np.testing.assert_allclose(found[size][0], found[len(ALL)][0], rtol=0, atol=2e-7)
        np.testing.assert_allclose(found[size][1], found[len(ALL)][1], rtol=0, atol=5e-4)


def rated_scores(segments=4000, seed=0):
    """Scores of a sure model, mostly above .99 or below .01, with a positive more likely above."""
    random = np.random.default_rng(seed)
    logits = random.normal(6, 1.5, segments) * random.choice([-1, 1], segments)
    positive = random.random(segments) < 1 / (1 + np.exp(-0.5 * logits))
    scores_NC = torch.sigmoid(torch.from_numpy(logits).float()).numpy()[:, None]
    rows = np.arange(segments)
    return scores_NC, Rated(rows, np.zeros(segments, np.int64), positive, rows)


def test_float32_keeps_the_ranking_that_float16_loses():
    scores_NC, rated = rated_scores()
    assert len(np.unique(scores_NC)) > 0.99 * len(scores_NC)
    assert len(np.unique(scores_NC.astype(np.float16))) < 0.7 * len(scores_NC)
    wide, narrow = (
        evaluate(scores, rated, 100_000, 2, 0).map
        for scores in (scores_NC, scores_NC.astype(np.float16))
    )
    assert abs(wide - narrow) > 1e-5


def test_predictions_rank_as_the_scores_in_memory(tmp_path):
    scores_NC, rated = rated_scores()
    frames = np.full(len(scores_NC) // 4, 20)
    ids = [f"v{number}" for number in range(len(frames))]
    path = tmp_path / "scores.h5"
    prediction_files.write_predictions(path, [scores_NC], ids, frames, np.array([3]), 5, {})
    stored = prediction_files.read_predictions(path).scores
    assert evaluate(stored, rated, 2000, 2, 0).map == evaluate(scores_NC, rated, 2000, 2, 0).map
