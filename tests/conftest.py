"""What several tests need: small records with known content, and a finished tiny run."""

import numpy as np
import pytest
from small_records import FEATURES, VIDEOS, video_frames
from workflow_runs import snakemake

from segment_em.index import build_index
from segment_em.records import Ratings, encode_example, write_records


@pytest.fixture
def record_path(tmp_path):
    """A record file with VIDEOS."""
    payloads = []
    for name, (_, _, labels, ratings) in VIDEOS.items():
        columns = np.array(ratings).reshape(-1, 3).T
        rated = Ratings(
            columns[0].astype(np.int64),
            columns[1].astype(np.int64),
            columns[2].astype(np.float32),
        )
        payloads.append(encode_example(name, np.array(labels, np.int64), video_frames(name), rated))
    path = tmp_path / "train0000.tfrecord"
    write_records(path, payloads)
    return path


@pytest.fixture
def small_index(record_path):
    """The index of VIDEOS, in their order; segments of five frames."""
    return build_index([record_path], FEATURES, 5)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A folder with the finished run of tests/workflow/tiny.yaml."""
    folder = tmp_path_factory.mktemp("tiny")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-4000:]
    return folder
