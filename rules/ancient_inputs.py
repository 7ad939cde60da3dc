"""A file that is made again does not make again what only waits for it, and hides no other change.

Snakemake runs what depends on an ancient input again where that input is missing, as it is after a
job that failed; and it looks no further behind a job that it will run, since all that follows would
run anyway. What only waits for an ancient input would not: a setting that changed along with a
record file was found by the next run alone.
"""

from functools import wraps
from typing import Any

from snakemake.dag import DAG


def look_behind_ancient_inputs() -> None:
    """Let Snakemake decide what to run as if nothing depended on its ancient inputs.

    It has no hook for this: `DAG.update_needrun` looks up what depends on a job.
    """
    update_needrun = DAG.update_needrun

    @wraps(update_needrun)
    async def deciding_so(self: DAG, *args: Any, **options: Any) -> None:
        depending = self.depending
        self.depending = _Depending(depending)
        try:
            await update_needrun(self, *args, **options)
        finally:
            self.depending = depending

    DAG.update_needrun = deciding_so


class _Depending:
    """{job: {job that depends on it: files}} without those that only wait for it."""

    def __init__(self, depending: Any) -> None:
        self.depending = depending

    def __getitem__(self, job: Any) -> dict[Any, Any]:
        found = self.depending[job]
        return {j: files for j, files in found.items() if not all(f.is_ancient for f in files)}
