"""How far a job is: a bar on a terminal, elsewhere a plain line every few seconds."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Videos that are done, how fast they go, and the time that is left.

    Where log lines are not wanted (all processes of a job but the first), there is no bar either.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        """total: videos to go through, more than once where there are epochs; done: before now."""
        self.total, self.resumed = total, done
        self.started = self.last = time.monotonic()
        shown = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)
        self.bar = (
            tqdm(total=total, initial=done, unit=" videos", leave=False, dynamic_ncols=True)
            if shown
            else None
        )

    def show(self, done: int, what: str) -> None:
        """done: videos by now. what: such as "epoch 2 of 6: loss 0.41234"."""
        if self.bar is not None:
            self.bar.set_description_str(what, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES and done < self.total:
            return
        self.last = now
        rate = (done - self.resumed) / max(now - self.started, 1e-9)
        left = (self.total - done) / rate if rate else float("inf")
        count = f"{done} of {self.total} videos"
        log.info("%s, %s, %.0f videos/s, %.0f s left", what, count, rate, left)

    def close(self) -> None:
        """Take the bar away, so that what is written next has a line of its own."""
        if self.bar is not None:
            self.bar.close()
