"""Predictions larger than a slab: read whole, a slab at a time resident."""

import re
from pathlib import Path

import numpy as np
import pytest

from segment_em.prediction_files import SLAB_ROWS, read_predictions, write_predictions

CLASSES, SEGMENTS = 500, 2 * SLAB_ROWS + 7  # 40 MB


@pytest.fixture(scope="module")
def scores():
    return np.random.default_rng(0).random((SEGMENTS, CLASSES), dtype=np.float32)


@pytest.fixture(scope="module")
def path(scores, tmp_path_factory):
    path = tmp_path_factory.mktemp("predictions") / "000.h5"
    parts = np.array_split(scores, 3)
    write_predictions(path, parts, np.array(["a"]), np.array([SEGMENTS]), np.arange(CLASSES), 1, {})
    return path


def resident_of_files():
    """Bytes of mapped files that this process holds."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^RssFile:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


def test_slabs_are_all_scores_in_order(path, scores):
    chunk = read_predictions(path)
    found = [(rows.start, rows.stop, slab.copy()) for rows, slab in chunk.slabs()]
    assert [start for start, _, _ in found] == [0, SLAB_ROWS, 2 * SLAB_ROWS]
    assert found[-1][1] == SEGMENTS
    np.testing.assert_array_equal(np.concatenate([slab for _, _, slab in found]), scores)


def test_one_slab_is_resident_at_a_time(path, scores):
    before = resident_of_files()
    chunk = read_predictions(path)
    assert resident_of_files() - before < scores.nbytes / 4
    for _, slab in chunk.slabs():
        slab.sum()
        assert resident_of_files() - before < scores.nbytes * 3 / 4
    assert resident_of_files() - before < scores.nbytes / 4
    # What was let go of is there again when it is asked for.
    np.testing.assert_array_equal(chunk.scores[:3], scores[:3])
