"""Waiting for something that another process is to do."""

import time

# Ends a test that hangs, nothing else: a second of an idle machine may be minutes of a busy one.
SECONDS = 600


def until(ready, missed=lambda: "", seconds=SECONDS, pause=0.05):
    """Return when ready() is true; fail with what missed() says once the seconds are over."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"not within {seconds} s: {missed()}"
        time.sleep(pause)
