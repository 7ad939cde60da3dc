"""The check of what jobs took names the job that is above, and never passes on nothing."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "benchmarks/job_costs.py"


def costs(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True
    )


def measured(folder):
    """Two jobs of one kind, in the form in which Snakemake writes them."""
    for chunk, megabytes in [("000", 300.0), ("001", 900.0)]:
        path = folder / "predictions" / f"{chunk}.benchmark.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n2.0\t{megabytes}\t1.5\n")
    return folder


def test_jobs_of_a_kind_are_added_up(tmp_path):
    done = costs(measured(tmp_path), "--limit-mb", 1000)
    assert done.returncode == 0
    assert "predictions     2      4.0          3.0      2.0    900.0" in done.stdout


def test_a_job_above_the_limit_is_named(tmp_path):
    done = costs(measured(tmp_path), "--limit-mb", 500)
    assert done.returncode == 1
    assert "predictions/001.benchmark.tsv: 900 MB, allowed are 500" in done.stdout


def test_nothing_measured_is_an_error(tmp_path):
    done = costs(tmp_path)
    assert done.returncode == 1
    assert "no *.benchmark.tsv" in done.stderr
