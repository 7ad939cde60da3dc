"""While an ancient input is made again, what depends on it is still looked at for changes.

Snakemake looks no further behind a job that it will run, since all that follows would run anyway.
What only waits for an ancient input would not: a setting that changed along with a record file was
found by the next run alone.
"""

from collections.abc import Iterator
from functools import wraps
from typing import Any

from snakemake.dag import DAG


def look_behind_ancient_inputs() -> None:
    """Let Snakemake not pass over jobs that wait for what it will run and do not depend on it.

    It has no hook for this: `DAG.update_needrun` skips what `DAG.bfs` reaches from a job.
    """
    update_needrun, bfs = DAG.update_needrun, DAG.bfs
    deciding: set[int] = set()  # the graphs that decide what to run at this moment

    @wraps(update_needrun)
    async def deciding_so(self: DAG, *args: Any, **options: Any) -> None:
        deciding.add(id(self))
        try:
            await update_needrun(self, *args, **options)
        finally:
            deciding.discard(id(self))

    @wraps(bfs)
    def what_follows(self: DAG, direction: Any, *jobs: Any, **options: Any) -> Iterator[Any]:
        if id(self) in deciding and direction is self.depending:
            direction = _Depending(direction)
        return bfs(self, direction, *jobs, **options)

    DAG.update_needrun, DAG.bfs = deciding_so, what_follows


class _Depending:
    """{job: {job that depends on it: files}} without those that only wait for it."""

    def __init__(self, depending: Any) -> None:
        self.depending = depending

    def __getitem__(self, job: Any) -> dict[Any, Any]:
        found = self.depending[job]
        return {j: files for j, files in found.items() if not all(f.is_ancient for f in files)}
