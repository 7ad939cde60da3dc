"""Work in a process of its own, to see its time and its peak memory alone."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_LOOKS = 0.02


@dataclass(frozen=True)
class Cost:
    """What a process took. peak_bytes: all resident memory. own_bytes: without mapped files."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_bytes: int


def cost_of(command: list[Any], log: Path, **environment: str) -> Cost:
    """Run a command that writes what it prints to `log`. Raises RuntimeError if it fails.

    environment: variables that the command has beside ours.
    """
    started = time.perf_counter()
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=errors,
            stderr=errors,
            env=os.environ | environment,
        )
    watch = _Watch(process.pid)
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.join()
    if process.returncode:
        raise RuntimeError(f"{process.args}: {log.read_text(errors='replace')[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(elapsed, cpu, usage.ru_maxrss * 1024, watch.own_bytes)


class _Watch(threading.Thread):
    """Looks at a process until it ends; the kernel keeps no peak of anonymous memory alone."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.status, self.own_bytes = Path(f"/proc/{pid}/status"), 0

    def run(self) -> None:
        while True:
            try:
                text = self.status.read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                return
            found = [line for line in text.splitlines() if line.startswith("RssAnon:")]
            if not found:  # it has ended
                return
            self.own_bytes = max(self.own_bytes, int(found[0].split()[1]) * 1024)
            time.sleep(SECONDS_BETWEEN_LOOKS)
