"""Mutated records: no crash, hang or large allocation, and never other frames than TensorFlow's."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import WIDTHS, mutated, originals
from workflow_runs import ROOT

from segment_em.errors import InputError
from segment_em.framing import framed
from segment_em.records import examples_in, frame_array

FIXTURES = Path(__file__).parent / "fixtures"
TENSORFLOW = ROOT / ".venv-bench/bin/python"  # made by make .venv-bench/installed


def verdict(number):
    """As fixtures/judge_with_tensorflow.py has it, from our decoder."""
    buffer = framed(mutated(number))
    try:
        (one,) = examples_in(buffer, "mutated", WIDTHS)
    except InputError:
        return "refused"
    found = {
        "id": one.id,
        "labels": one.labels.tolist(),
        "segment_start_times": one.ratings.start_second.tolist(),
        "segment_labels": one.ratings.class_id.tolist(),
        "scores": one.ratings.score.tobytes().hex(),
    }
    for name, width in WIDTHS.items():
        frames = frame_array(buffer, one.frames[name], width)
        found[name] = [len(frames), hashlib.sha256(frames.tobytes()).hexdigest()]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def compare(path):
    """Hold our decoder against the verdicts in a file."""
    judged = dict(line.split() for line in path.read_text(encoding="utf-8").splitlines())
    ours = {number: verdict(int(number)) for number in judged}
    read = {number for number, found in ours.items() if found != "refused"}
    agreed = {number for number in read if ours[number] == judged[number]}
    assert len(agreed) > len(judged) // 10, "the mutations hardly test anything"
    # We do not look into what nobody asks for: a broken key or value of another name. All else
    # that we read, TensorFlow reads, and finds the same in it.
    assert {judged[number] for number in read - agreed} <= {"refused"}
    assert len(read - agreed) < len(agreed) // 20


def test_what_is_read_of_mutated_records_is_what_tensorflow_reads():
    compare(FIXTURES / "mutated.txt")


@pytest.mark.faults
@pytest.mark.skipif(
    not TENSORFLOW.is_file(), reason="make .venv-bench/installed installs TensorFlow"
)
def test_what_is_read_of_many_more_is_what_tensorflow_reads(tmp_path):
    judge = [TENSORFLOW, FIXTURES / "judge_with_tensorflow.py", "3000", "103000", tmp_path / "out"]
    subprocess.run(list(map(str, judge)), check=True, capture_output=True)
    compare(tmp_path / "out")


def decode(first, last):
    """Decode in a process of its own; returns how many were read and refused."""
    paths = [str(ROOT / "workflow_scripts"), *filter(None, [os.environ.get("PYTHONPATH")])]
    script = [sys.executable, ROOT / "tests/decode_mutations.py", str(first), str(last)]
    done = subprocess.run(
        list(map(str, script)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read + refused == last - first
    return read, refused


def test_mutated_records_neither_crash_nor_hang_nor_allocate():
    read, refused = decode(0, 20_000)
    assert min(read, refused) > 1000


@pytest.mark.faults
def test_a_million_mutated_records_neither_crash_nor_hang_nor_allocate():
    read, refused = decode(0, 1_000_000)
    assert min(read, refused) > 50_000


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_gives_records_that_were_written_and_no_others(seed):
    written = {payload: number for number, payload in enumerate(originals())}
    content = b"".join(map(framed, written))
    draw, found = random.Random(seed), 0
    for _ in range(100):
        at, length = draw.randrange(len(content)), draw.choice((1, 7, 500))
        changed = [
            content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :],
            content[:at] + content[at + length :],
            content[:at] + draw.randbytes(length) + content[at:],
            content[:at] + content[at : at + length] + content[at:],
        ][draw.randrange(4)]
        damaged = []
        for one in examples_in(changed, "mutated", WIDTHS, damaged.append):
            assert changed[one.payload_offset :][: one.payload_bytes] in written
            found += 1
        assert damaged or changed == content
    assert found > 100
