"""What several tests need: small records with known content, and a finished tiny run.

No test and no process that one starts reaches the network: see no_network/.
"""

import fcntl
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
def tiny_run(tmp_path_factory, worker_id):
    """A folder with the finished run of tests/workflow/tiny.yaml, which tests leave as it is.

    It is made once, also where several processes share the tests.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "tiny"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "finished").exists():
            done = snakemake(folder)
            assert done.returncode == 0, done.stdout[-4000:]
            (folder / "finished").touch()
    return folder
