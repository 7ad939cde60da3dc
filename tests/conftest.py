"""What several tests need: small records with known content, and a finished tiny run.

No test and no process that one starts reaches the network: see no_network/.
"""

import os
from pathlib import Path

import loopback_only  # noqa: F401
import pytest
from small_records import FEATURES, VIDEOS, write_small_records
from workflow_runs import snakemake

from segment_em.indexing import build_index

os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent / "no_network"), *filter(None, [os.environ.get("PYTHONPATH")])]
)


@pytest.fixture
def record_path(tmp_path):
    """A record file with VIDEOS."""
    path = tmp_path / "train0000.tfrecord"
    write_small_records(path, VIDEOS)
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
