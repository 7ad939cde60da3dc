"""Several processes on one job: the losses of one, disjoint videos, one result."""

import json
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
import waiting
from small_models import SMALL
from small_records import FEATURES, MORE_VIDEOS, write_small_records
from torch import distributed
from train_under_torchrun import ROWS

from segment_em import compute, processes
from segment_em.dataset import Clips
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index

ROOT = Path(__file__).parent.parent
LAUNCHER = ROOT / "workflow_scripts/on_processes.py"
PYTHONPATH = os.pathsep.join([str(ROOT / "workflow_scripts"), str(ROOT / "tests")])


def torchrun(processes, *arguments):
    job = started(processes, *arguments)
    stdout, stderr = job.communicate()
    return subprocess.CompletedProcess(job.args, job.returncode, stdout, stderr)


def started(processes, *arguments):
    return subprocess.Popen(
        [sys.executable, str(LAUNCHER), str(processes), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def index_path(tmp_path_factory):
    """The index of MORE_VIDEOS, once for all."""
    folder = tmp_path_factory.mktemp("processes")
    records = folder / "train.tfrecord"
    write_small_records(records, MORE_VIDEOS)
    write_index(folder / "index.h5", build_index([records], FEATURES, 5), {})
    return folder / "index.h5"


@pytest.fixture(scope="module")
def alone(index_path):
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests/train_under_torchrun.py"),
            index_path,
            index_path.parent,
        ],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        check=True,
    )
    return json.loads((index_path.parent / "0-of-1.json").read_text())


@pytest.fixture(scope="module", params=[2, 3])
def together(request, index_path):
    script = ROOT / "tests/train_under_torchrun.py"
    done = torchrun(request.param, script, index_path, index_path.parent)
    assert done.returncode == 0, done.stderr[-6000:]
    files = [f"{rank}-of-{request.param}.json" for rank in range(request.param)]
    return [json.loads((index_path.parent / file).read_text()) for file in files]


def test_the_losses_of_several_processes_are_those_of_one(alone, together):
    for found in together:
        assert found["losses"].keys() == alone["losses"].keys()
        for name, run in found["losses"].items():
            np.testing.assert_allclose(
                run["losses"], alone["losses"][name]["losses"], atol=1e-5, rtol=0, err_msg=name
            )


def test_all_processes_end_with_the_same_weights_to_the_bit(together):
    for found in together[1:]:
        for name, run in found["losses"].items():
            assert run["weights"] == together[0]["losses"][name]["weights"], name


def test_processes_see_disjoint_videos_and_all_of_them_and_as_many_steps(alone, together):
    for name, reference in alone["losses"].items():
        shares = [found["losses"][name]["seen"] for found in together]
        for step, batch in enumerate(reference["seen"]):
            parts = [share[step] for share in shares]
            assert sorted(chain(*parts)) == sorted(batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert [len(share) for share in shares] == [len(reference["seen"])] * len(shares)
        assert sorted(chain(*reference["seen"][:3])) == ROWS.tolist()


def test_processes_stopped_by_a_signal_to_one_of_them_go_on_to_the_same_bits(together):
    for found in together:
        assert found["resumed"] == dict.fromkeys(SMALL, True)


def pretraining(index_path, out, gpus, *more, **changes):
    """The words of a pretraining job."""
    settings = {
        "architecture": "logistic",
        "options": SMALL["logistic"],
        "features": [list(pair) for pair in FEATURES.items()],
        "max_frames": 25,
        "segment_frames": 5,
        "learning_rate": 0.01,
        "batch": 5,
        "epochs": 3,
        "average_epochs": 0,
        "decay": "linear",
        "least_steps": 0,
        "clip_norm": 1.0,
        "precision": "float32",
        "seed": 3,
        "video_loss": "mean",
        **changes,
    }
    (out.parent / "classes.csv").write_text("Index\n3\n8\n20\n")
    arguments = {
        "--config": json.dumps(settings),
        **{"--threads": 1, "--workers": 0, "--gpus": gpus},
        "--state-minutes": 1e-9,
        "--index": index_path,
        "--classes": out.parent / "classes.csv",
        "--out": out,
    }
    words = [word for pair in arguments.items() for word in pair]
    return ROOT / "workflow_scripts/pretrain.py", *words, *more


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_job_of_two_processes_leaves_one_result_and_one_log(index_path, tmp_path, gpus):
    """Promised GPUs where there are none, it is one process on the CPU."""
    done = torchrun(2, *pretraining(index_path, tmp_path / "weights.safetensors", gpus))
    assert done.returncode == 0, done.stderr[-6000:]
    said = done.stderr
    assert said.count("epoch 3 of 3") == 1
    assert ("no GPU here" in said) == (gpus > 0)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["classes.csv", "events", "weights.json", "weights.safetensors"]
    assert len(list((tmp_path / "events/weights").iterdir())) == 1


def test_compiling_with_several_processes_is_refused(index_path, tmp_path):
    out = tmp_path / "weights.safetensors"
    done = torchrun(2, *pretraining(index_path, out, 0, "--compile"))
    assert done.returncode == 1
    assert "error: compute.compile works with one GPU per job" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_launcher_that_gets_sigterm_passes_it_on_and_ends_quietly(index_path, tmp_path):
    out = tmp_path / "weights.safetensors"
    job = started(2, *pretraining(index_path, out, 0, epochs=10_000))
    waiting.until(lambda: list(tmp_path.glob(".weights.state/*.state")))
    job.terminate()
    _, said = job.communicate()
    assert job.returncode == 128 + signal.SIGTERM
    assert said.count("stopped by SIGTERM after step") == 1
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.part"))


def test_a_clip_of_nothing_has_no_weight_and_no_video(index_path):
    index = read_index([index_path])
    clips = Clips(FrameReader(index, 25), 5, None, False)
    batch = clips[np.array([], dtype=np.int64)]
    assert batch.rows.tolist() == []
    assert not batch.mask.any()
    assert not batch.segment_targets(1, 3)[1].any()


def test_the_sums_of_nccl_stay_out_of_the_switches_from_the_first_meeting_on(monkeypatch):
    """Unless the user names another way."""
    met = []
    monkeypatch.setattr(distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        distributed,
        "init_process_group",
        lambda backend: met.append((backend, os.environ["NCCL_ALGO"])),
    )
    monkeypatch.delenv("NCCL_ALGO", raising=False)
    processes.join(gpus=2)
    monkeypatch.setenv("NCCL_ALGO", "Ring")
    processes.join(gpus=2)
    assert met == [("cpu:gloo,cuda:nccl", "^NVLS"), ("cpu:gloo,cuda:nccl", "Ring")]


def test_fewer_gpus_than_promised_are_named_with_both_numbers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="needs 4 GPUs and sees 1"):
        compute.prepare(threads=1, gpus=4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_any_gpu_a_job_that_was_promised_some_runs_on_the_cpu():
    assert compute.prepare(threads=1, gpus=4).type == "cpu"


def test_a_job_that_asked_for_no_gpu_leaves_those_that_are_there_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert compute.prepare(threads=1, gpus=0).type == "cpu"
