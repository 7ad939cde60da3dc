"""A job that a signal stops says so in a line and cleans up; wrong arguments are refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import waiting

from segment_em import command_line

ROOT = Path(__file__).parent.parent
JOB = """
import sys, time
from segment_em import command_line
from segment_em.files import replacing

def main():
    with replacing(sys.argv[1]) as temporary:
        temporary.write_text("half")
        time.sleep(60)

command_line.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_job_leaves_nothing_and_says_one_line(tmp_path, number):
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, str(tmp_path / "a.txt")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")},
        stderr=subprocess.PIPE,
        text=True,
    )
    waiting.until(lambda: list(tmp_path.iterdir()), pause=0.01)
    job.send_signal(number)
    _, said = job.communicate(timeout=30)
    assert job.returncode == 128 + number
    assert said == f"stopped by {number.name}; the same command starts this job again\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"), [("{", "not JSON: Expecting"), ("none.json", "none.json: no such file")]
)
def test_settings_that_are_none_are_refused(capsys, given, message):
    with pytest.raises(SystemExit):
        command_line.parser("").parse_args(["--config", given])
    assert f"argument --config: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("--videos", "-3", "-3 is below 1"),
        ("--threads", "0", "0 is below 1"),
        ("--gpus", "x", "invalid integer value"),
    ],
)
def test_numbers_below_what_makes_sense_are_refused(capsys, argument, value, message):
    with pytest.raises(SystemExit):
        command_line.applying_parser("").parse_args([argument, value])
    said = capsys.readouterr().err
    assert f"argument {argument}: " in said
    assert message in said


def test_a_result_with_a_percent_sign_names_its_lines(capsys):
    code = (
        "import logging; from argparse import Namespace; from segment_em import command_line;"
        "args = Namespace(out='top 50%/found.csv', config={}, threads=1, workers=0, gpus=0);"
        "command_line.run(lambda: (command_line.job(args, []), logging.warning('seen')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "top 50%/found: seen\n"
