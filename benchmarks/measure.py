"""What every benchmark shares: timing side by side, one JSON format, the circumstances.

A benchmark is a file with a function that takes `quick` (tiny sizes, to see that it works) and
gives rows; `run` turns it into a command that writes <out>/<name>.json. See docs/performance.md.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# So that each benchmark also runs alone; imported before anything of segment_em.
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from segment_em.files import write_json  # noqa: E402
from segment_em.provenance import circumstances, installed  # noqa: E402

REPEATS = 7
PACKAGES = ("torch", "numpy", "h5py", "crc32c", "snakemake")


@dataclass
class Row:
    """One figure. ratio: how many times better than the baseline, above 1 is better.

    figure, baseline: medians in `unit`; None where there is none. ratios: of each pair of repeats.
    judged: "ratio" or "figure", what at_least or at_most is about. why: why it is not measured.
    """

    what: str
    unit: str
    figure: float | None = None
    against: str = ""
    baseline: float | None = None
    ratio: float | None = None
    ratios: list[float] = field(default_factory=list)
    judged: str = "ratio"
    at_least: float | None = None
    at_most: float | None = None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the requirement holds; None without one, or where nothing was measured."""
        value = self.ratio if self.judged == "ratio" else self.figure
        if value is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of this process in one call: on a busy machine they mean more than the clock's.

    For work in one thread; what waits (for a disk, for a device) would look fast.
    """
    started = time.process_time()
    work()
    return time.process_time() - started


def side_by_side(
    timers: Sequence[Callable[[], float]], repeats: int = REPEATS
) -> list[list[float]]:
    """Seconds of each side, in turn, so that what slows the machine slows all of them.

    timers: each does its work once and returns its seconds. The first round warms up and does not
    count. Returns one list of `repeats` seconds a side.
    """
    rounds = [[timer() for timer in timers] for _ in range(repeats + 1)]
    return [list(side) for side in zip(*rounds[1:], strict=True)]


def compared(
    what: str, unit: str, amount: float, ours: list[float], against: str, theirs: list[float], **row
) -> Row:
    """A row of rates: `amount` of units done in the seconds of each side."""
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    return Row(
        what,
        unit,
        amount / statistics.median(ours),
        against,
        amount / statistics.median(theirs),
        statistics.median(ratios),
        ratios,
        **row,
    )


def run(
    benchmark: Callable[[bool], Iterable[Row]], text: str, sizes: Callable[[bool], dict]
) -> None:
    """Run one benchmark as a command. text: its docstring. sizes: what it measured, by `quick`."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--out", type=Path, default=ROOT / "results/benchmarks", help="a folder")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work?")
    args = parser.parse_args()
    name, started = Path(sys.argv[0]).stem, time.time()
    rows = []
    for row in benchmark(args.quick):
        rows.append(row)
        print(line(row), flush=True)
    content = {
        "name": name,
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "sizes": sizes(args.quick),
        "quick": args.quick,
        "command": f"python benchmarks/{name}.py" + (" --quick" if args.quick else ""),
        "machine": machine(),
        **circumstances("cuda" if _gpu() else "cpu"),
        "seconds": round(time.time() - started, 3),
        "versions": {package: installed(package) for package in PACKAGES},
    }
    write_json(args.out / f"{name}.json", content)


def machine() -> dict[str, Any]:
    """CPU model, cores that this process may use, GPU, and the load while it was measured."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": _gpu(),
        "load_a_minute": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
    }


def _cpu_model() -> str:
    for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.machine()


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def line(row: Row) -> str:
    """One row for people."""
    if row.figure is None:
        return f"{row.what}: not measured ({row.why})"
    parts = [f"{row.what}: {number(row.figure)} {row.unit}"]
    if row.baseline is not None:
        parts.append(f"against {number(row.baseline)} ({row.against})")
    if row.ratio is not None:
        parts.append(f"= {row.ratio:.2f}x [{min(row.ratios):.2f} to {max(row.ratios):.2f}]")
    return " ".join([*parts, wanted(row)])


def wanted(row: Row) -> str:
    """The requirement, and whether it is met."""
    if row.met is None:
        return ""
    bound = f"at least {row.at_least:g}" if row.at_most is None else f"at most {row.at_most:g}"
    return f"{bound}: {'yes' if row.met else 'NO'}"


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
