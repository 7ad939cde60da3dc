"""A process of TensorFlow's own environment that does a piece of work when asked."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import ROOT

PYTHON = ROOT / ".venv-bench/bin/python"
WHY_NOT = "no TensorFlow in .venv-bench: make .venv-bench/installed"


def installed() -> bool:
    """Whether .venv-bench holds a TensorFlow."""
    if not PYTHON.exists():
        return False
    command = [PYTHON, "-c", "import importlib.util as u; assert u.find_spec('tensorflow')"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


@contextmanager
def timers(records: Path, videos: int) -> Iterator[Callable[[str], Callable[[], float]]]:
    """Yield a function from a command of tensorflow_reader.py to a timer of that work."""
    script = Path(__file__).with_name("tensorflow_reader.py")
    command = [str(part) for part in (PYTHON, script, records, videos)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()  # its version: TensorFlow is loaded

        def timer(work: str) -> Callable[[], float]:
            def seconds() -> float:
                process.stdin.write(work + "\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            return seconds

        yield timer
        process.stdin.close()
