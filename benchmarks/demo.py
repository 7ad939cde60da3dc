"""`make demo` for the second time: how much of it is neither training, inference nor scoring.

The jobs log how long they trained, scored and ranked. Overhead is the rest of the cores' time:
process starts, imports, scheduling, and cores that wait for a job.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import ROOT, Row, run

CORES = 2
INSIDE = re.compile(r"^(?:.*: )?(?:trained|scored \d+ videos|ranked): ([\d.]+) s$", re.M)


def sizes(quick: bool) -> dict:
    return {"config": "tests/workflow/tiny.yaml" if quick else None, "cores": CORES}


def measured(quick: bool) -> Iterator[Row]:
    repeats = 1 if quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = sizes(quick)["config"]
        snakemake(folder, config, "--until", "index", "simulate_vocabulary")
        times = [again(folder, config) for _ in range(repeats)]
    shares = [1 - inside / (CORES * elapsed) for elapsed, inside in times]
    elapsed = statistics.median(elapsed for elapsed, _ in times)
    yield Row(
        "demo again, overhead",
        "of the cores' time",
        statistics.median(shares),
        judged="figure",
        at_most=0.35,
    )
    yield Row("demo again, whole run", "s", elapsed)


def again(folder: Path, config: str | None) -> tuple[float, float]:
    """Seconds of a run on records that are there and indexed, and of those inside the jobs."""
    for results in folder.glob("results/*"):
        if results.name not in ("data", "index"):
            shutil.rmtree(results)
    started = time.perf_counter()
    snakemake(folder, config)
    return time.perf_counter() - started, seconds_inside(folder / "results")


def snakemake(folder: Path, config: str | None, *arguments: str) -> None:
    overlay = ["--configfile", str(ROOT / config)] if config else []
    binaries = Path(sys.executable).parent
    subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", str(CORES)),
            *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
            *(*overlay, *arguments),
        ],
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def seconds_inside(results: Path) -> float:
    """The sum of what the logs say of training, inference and scoring."""
    logs = (path.read_text(encoding="utf-8") for path in results.rglob("*.log"))
    return sum(float(found) for text in logs for found in INSIDE.findall(text))


if __name__ == "__main__":
    run(measured, __doc__, sizes)
