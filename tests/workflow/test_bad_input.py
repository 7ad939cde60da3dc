"""What goes wrong is said in a line, with a remedy; nothing half-written is left."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_runs import ROOT, snakemake

from segment_em.skipped import skipped_records

pytestmark = pytest.mark.slow

SCRIPTS = ROOT / "workflow_scripts"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def index(records, out, features='[["rgb",32],["audio",8]]', on_damage="stop"):
    config = f'{{"features":{features},"segment_frames":5,"on_damage":"{on_damage}"}}'
    return run("index_records.py", "--config", config, "--records", records, "--out", out)


@pytest.fixture
def record(tiny_run, tmp_path):
    return shutil.copy(tiny_run / "results/data/tiny/train-000.tfrecord", tmp_path)


def damage(path, how):
    data = bytearray(Path(path).read_bytes())
    if how == "cut":
        data = data[:-100]
    elif how == "flipped bit":
        data[len(data) // 2] ^= 4
    Path(path).write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "flipped bit"])
def test_a_damaged_record_is_named_and_nothing_is_written(record, tmp_path, how):
    damage(record, how)
    done = index(record, tmp_path / "out.h5")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {record}: record ")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*out*"))


def test_a_damaged_record_is_skipped_where_the_config_says_so(record, tmp_path):
    damage(record, "flipped bit")
    done = index(record, tmp_path / "out.h5", on_damage="skip")
    assert done.returncode == 0, done.stderr
    (skipped,) = skipped_records(tmp_path / "out.h5")
    assert f"skipped {skipped.bytes} bytes: {skipped}" in done.stderr


def test_features_of_another_size_are_named_with_both_numbers(record, tmp_path):
    done = index(record, tmp_path / "out.h5", features='[["rgb",64],["audio",8]]')
    assert done.returncode == 1
    assert "32" in done.stderr
    assert "64" in done.stderr


def test_a_missing_file_is_named(tmp_path):
    done = index(tmp_path / "none.tfrecord", tmp_path / "out.h5")
    assert done.returncode == 1
    assert "none.tfrecord" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_mistake_in_the_configuration_stops_before_any_job(tmp_path):
    done = snakemake(tmp_path, "--config", "trainig=1")
    assert done.returncode != 0
    assert "trainig: unknown key; did you mean 'training'?" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_class_list_that_does_not_fit_the_records_is_refused_before_anything_is_trained(
    tiny_run, tmp_path
):
    classes = tmp_path / "classes.csv"
    classes.write_text("Index\n3861\n")
    data = tiny_run / "results/data/tiny"
    done = snakemake(
        *(tmp_path, "--until", "pretrain", "--keep-going", "--config", "experiment=misfit"),
        f"data={{name: misfit, train: '{data}/train-*.tfrecord', "
        f"segments: '{data}/segments-*.tfrecord', test: '{data}/test-*.tfrecord', "
        f"segment_classes: '{classes}'}}",
    )
    assert done.returncode != 0
    assert "no video of the train split carries any of these 1 classes" in done.stdout
    assert not list((tmp_path / "results/misfit").rglob("pretrain.log"))


def test_a_video_for_fine_tuning_and_test_is_refused_before_anything_is_trained(tiny_run, tmp_path):
    data = tiny_run / "results/data/tiny"
    again = shutil.copy(data / "segments-000.tfrecord", tmp_path / "again.tfrecord")
    done = snakemake(
        *(tmp_path, "--until", "pretrain", "--config", "experiment=leak"),
        f"data={{name: leak, train: '{data}/train-*.tfrecord', "
        f"segments: '{data}/segments-*.tfrecord', test: '{again}', "
        f"segment_classes: '{data}/segment_label_ids.csv'}}",
    )
    assert done.returncode != 0
    assert f"is in data.segments ({data}/segments-000.tfrecord) and in data.test" in done.stdout
    assert "a video may be in one split only: remove it from one" in done.stdout
    assert not list((tmp_path / "results/leak").rglob("*.safetensors"))
