"""When the jobs of a run ran and on which device, from the .json beside each result."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from segment_em.files import read_json
from segment_em.provenance import inside

# A longer time in which nothing ran lies between two runs, and is taken out.
PAUSE_SECONDS = 60.0
# The script of a job -> the stage as the paper has it.
STAGE_OF_SCRIPT = {
    "simulate": "data",
    "simulate_vocabulary": "data",
    "index_records": "data",
    "pretrain": "training",
    "finetune": "training",
    "maximise": "training",
    "estimate": "E-step",
    "calibrate": "E-step",
    "label_set": "E-step",
}


def timeline(how_paths: Iterable[str | Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The jobs that made some results, and how busy each device was.

    how_paths: the .json beside each result, see provenance.beside. Jobs, by start: job (its script
    and what it made), stage (data, training, E-step, other), device (host and cpu or gpu n; a job
    with several GPUs has a row for each), lane (number of the row on its device, from 0; jobs of
    one lane do not overlap), start and end in seconds from the first start, where pauses of more
    than PAUSE_SECONDS are cut to none, and paused, the seconds cut just before.
    Devices: device, jobs, busy (share of the time in which a job held it), at_once (mean jobs).
    """
    jobs = pd.DataFrame(_jobs(how_paths), columns=["job", "stage", "device", "start", "end"])
    jobs = jobs.sort_values(["start", "end", "job"], ignore_index=True)
    jobs = _without_pauses(jobs)
    jobs["lane"] = _lanes(jobs)
    return jobs, _devices(jobs)


def _jobs(how_paths: Iterable[str | Path]) -> list[tuple[str, str, str, float, float]]:
    seen: dict[tuple, tuple[str, str, float, float]] = {}
    for path in how_paths:
        head = read_json(path)
        now = head["circumstances"]
        script = next((Path(n).stem for n in head["stamp"]["code"] if "/" not in n), "unknown")
        start = pd.Timestamp(now["started"]).timestamp()
        for device in _names(now):
            # A job with several results tells of itself beside each; the last one lasted longest.
            # Results from before processes were told apart have none.
            key = (script, now["host"], now.get("process"), now["started"], device)
            end = max(start + now["seconds"], seen[key][-1] if key in seen else start)
            name = seen[key][0] if key in seen else f"{script} {_shown(path)}"
            seen[key] = (name, STAGE_OF_SCRIPT.get(script, "other"), start, end)
    return [(name, stage, key[-1], start, end) for key, (name, stage, start, end) in seen.items()]


def _names(circumstances: dict) -> list[str]:
    host, gpus = circumstances["host"], circumstances["gpus"]
    return [f"{host} gpu {name}" for name in gpus] or [f"{host} cpu"]


def _shown(path: str | Path) -> str:
    """results/<experiment>/em/iteration-1/x.how.json -> em/iteration-1/x."""
    return inside(path).removesuffix(".json").removesuffix(".how")


def _without_pauses(jobs: pd.DataFrame) -> pd.DataFrame:
    """Seconds from the first start, with what is longer than a pause cut out."""
    start, end = jobs["start"].to_numpy(), jobs["end"].to_numpy()
    reached = np.maximum.accumulate(end)
    gap = np.zeros(len(jobs))
    gap[1:] = np.maximum(0, start[1:] - reached[:-1])
    paused = np.where(gap > PAUSE_SECONDS, gap, 0.0)
    shift = paused.cumsum() + (start[0] if len(jobs) else 0.0)
    return jobs.assign(
        start=(start - shift).round(3), end=(end - shift).round(3), paused=paused.round(3)
    )


def _lanes(jobs: pd.DataFrame) -> list[int]:
    """For each job, in the order of their starts, the first row of its device that is free."""
    free: dict[str, list[float]] = {}
    lanes = []
    for device, start, end in zip(jobs["device"], jobs["start"], jobs["end"], strict=True):
        ends = free.setdefault(device, [])
        lane = next((n for n, until in enumerate(ends) if until <= start), len(ends))
        ends[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def _devices(jobs: pd.DataFrame) -> pd.DataFrame:
    span = float(jobs["end"].max()) if len(jobs) else 0.0
    rows = []
    for device, of_device in jobs.groupby("device", sort=True):
        held = _covered(of_device["start"].to_numpy(), of_device["end"].to_numpy())
        total = float((of_device["end"] - of_device["start"]).sum())
        rows.append((device, len(of_device), held / span, total / span))
    return pd.DataFrame(rows, columns=["device", "jobs", "busy", "at_once"])


def _covered(start: Sequence[float], end: Sequence[float]) -> float:
    """Length of the union of the spans, which are ordered by start."""
    total, reached = 0.0, -np.inf
    for begin, until in zip(start, end, strict=True):
        total += max(0.0, until - max(begin, reached))
        reached = max(reached, until)
    return total
