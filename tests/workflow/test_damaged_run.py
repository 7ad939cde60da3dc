"""A run on damaged records: it stops before anything is learned, or leaves them out and says so."""

import struct

import left_behind
import pytest
from workflow_runs import snakemake

from segment_em.index_files import read_index
from segment_em.skipped import skipped_records

pytestmark = pytest.mark.faults

SHORT = ["em={iterations: [[logistic@video_prior]]}", "controls=false"]
SPLITS = ("train", "test")
RECORD = 2  # the third of its file


def offsets(path):
    """Where the records of a TFRecord file begin: length, its checksum, data, their checksum."""
    data, found, position = path.read_bytes(), [], 0
    while position < len(data):
        found.append(position)
        position += 12 + struct.unpack("<Q", data[position : position + 8])[0] + 4
    return found


def flip_a_bit(path):
    """Damage the data of one record; returns where the record begins."""
    offset = offsets(path)[RECORD]
    data = bytearray(path.read_bytes())
    data[offset + 100] ^= 4
    path.write_bytes(data)
    return offset


def run(folder, policy, *arguments):
    return snakemake(folder, "--config", *SHORT, f"data={{on_damage: {policy}}}", *arguments)


def indexed(folder):
    return sorted((folder / "results/index").rglob("*.h5"))


def test_damaged_records_stop_a_run_or_are_left_out_of_it_and_shown(tmp_path):
    files = {split: f"results/data/tiny/{split}-000.tfrecord" for split in SPLITS}
    made = run(tmp_path, "stop", "--", *files.values())
    assert made.returncode == 0, made.stdout
    damage = {file: flip_a_bit(tmp_path / file) for file in files.values()}

    stopped = run(tmp_path, "stop", "--keep-going")
    assert stopped.returncode == 1
    for file, offset in damage.items():
        (line,) = [
            line for line in stopped.stdout.splitlines() if line.startswith(f"error: {file}")
        ]
        assert f"record {RECORD}" in line
        assert str(offset) in line
    assert "Traceback" not in stopped.stdout
    whole = indexed(tmp_path)
    assert whole, "the chunks without damage stand"
    assert damage.keys().isdisjoint(file for path in whole for file in read_index([path]).files)
    assert not list((tmp_path / "results").rglob("*.safetensors")), "learned on damaged records"
    assert not left_behind.hidden(tmp_path / "results")

    done = run(tmp_path, "skip")
    assert done.returncode == 0, done.stdout
    found = [record for path in indexed(tmp_path) for record in skipped_records(path)]
    assert {(r.file, r.record, r.offset) for r in found} == {
        (file, RECORD, offset) for file, offset in damage.items()
    }
    page = (tmp_path / "results/tiny/report.html").read_text()
    shown = page[page.index('id="skipped"') :]
    assert "2 damaged records were left out" in shown
    assert all(file in shown and str(offset) in shown for file, offset in damage.items())
