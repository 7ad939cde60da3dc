"""Peak memory of each kind of job on some records and on ten times as many."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jobs
from child import Cost, cost_of
from measure import Row, run
from synthetic import SHORTEST_OF_245_KB, frame_counts, write_videos

MANY, GROWTH = 10, 1.1
# malloc gives back what is freed. Otherwise it keeps some of it for later, the more the more often,
# which looks like growth with the data.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576"}


def sizes(quick: bool) -> dict:
    return {"videos": 4 if quick else 128, "times": MANY, "repeats": 1 if quick else 5}


def measured(quick: bool) -> Iterator[Row]:
    size = sizes(quick)
    few, many = (costs(size["videos"] * times, size["repeats"]) for times in (1, MANY))
    for name in few:
        yield grown(
            f"{name}, memory of its own",
            [c.own_bytes for c in few[name]],
            [c.own_bytes for c in many[name]],
            at_most=GROWTH,
        )
        yield grown(
            f"{name}, with the files that it maps",
            [c.peak_bytes for c in few[name]],
            [c.peak_bytes for c in many[name]],
        )


def costs(videos: int, repeats: int) -> dict[str, list[Cost]]:
    """Kind of job -> what it took each time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_videos(folder / "videos.tfrecord", frame_counts(videos, SHORTEST_OF_245_KB))
        jobs.write_classes(folder)
        commands = jobs.commands(folder)
        return {
            name: [cost_of(command, folder / "log", **GIVEN_BACK) for _ in range(repeats)]
            for name, command in commands.items()
        }


def grown(what: str, few: list[int], many: list[int], **bound) -> Row:
    """Peak on the many records in MB; the ratio says how far it grew."""
    ratios = [more / one for one, more in zip(few, many, strict=True)]
    return Row(
        what,
        "MB",
        statistics.median(many) / 1e6,
        f"a {MANY}th of the records",
        statistics.median(few) / 1e6,
        statistics.median(ratios),
        ratios,
        **bound,
    )


if __name__ == "__main__":
    run(measured, __doc__, sizes)
