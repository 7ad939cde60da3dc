"""Snakemake looks for jobs to start when one ends, and besides once a second, not ever more often.

As long as jobs wait for a core, each look of its scheduler asks for another one a second later, and
so does each of those: after n jobs it looks n times a second and stats the inputs of all that wait.
An ablation of 1,400 jobs spent a quarter of a core on that after 200 of them.
"""

import threading
from functools import wraps

from snakemake.scheduling.job_scheduler import JobScheduler


def look_again_once() -> None:
    """Let a scheduler that is asked to look again after so many seconds have one such look ahead.

    It has no setting for this but the limit of jobs a timespan, which cannot be switched off.
    """
    ahead: set[tuple[int, float]] = set()

    @wraps(JobScheduler._schedule_reevalutation)  # an error where Snakemake has it no more
    def schedule(self: JobScheduler, delay: float) -> None:
        which = id(self), delay

        def look() -> None:
            ahead.discard(which)  # before the look, which may ask for the next one
            self._open_jobs.release()

        if which in ahead:
            return
        ahead.add(which)
        timer = threading.Timer(delay, look)
        timer.daemon = True  # a run that has ended waits for no look
        timer.start()

    JobScheduler._schedule_reevalutation = schedule
