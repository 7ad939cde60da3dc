"""Runs of the whole workflow on tiny data, each in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests/workflow/tiny.yaml"


def snakemake(folder, *arguments, configs=(TINY,), snakefile=ROOT / "Snakefile"):
    """Run the workflow in a folder; returns the finished process with all that it printed."""
    binaries = Path(sys.executable).parent
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "2"),
            *("--snakefile", str(snakefile), "--directory", str(folder)),
            *("--configfile", *map(str, configs), *arguments),
        ],
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
