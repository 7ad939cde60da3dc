"""The report with 2,000 videos of 1,000 classes and two iterations: its size, and whether keys lag.

A key press is timed in the browser, from the event until the strips that it leads to are laid out:
what the page itself takes, without waiting for the screen's next frame.
"""

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from measure import ROOT, Row, run

sys.path.insert(0, str(ROOT / "tests"))
from browser import chromium, missing
from small_report import PAGE, SmallReport, large

# A key that is held down repeats 30 times a second.
MS_BETWEEN_REPEATS = 33
# [ms of each press], a frame apart, as the browser tidies up between them; the first ones warm up.
TIMED = """
const [key, presses] = arguments, taken = [], list = document.getElementById("video-list");
const pressed = () => list.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
for (let n = 0; n < presses + 5; n += 1) {
  await new Promise(requestAnimationFrame);
  const started = performance.now();
  pressed();
  document.body.getBoundingClientRect();
  taken.push(performance.now() - started);
}
return taken.slice(5);
"""
LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
WHAT = {"j": "a key press to the next video", "ArrowLeft": "a key press to another model's scores"}


def sizes(quick: bool) -> dict:
    shown = large(10 if quick else 1000)
    return {
        "videos": sum(shown.videos.values()),
        "classes": len(shown.class_ids),
        "classes_a_video": 12,
        "presses": 10 if quick else 500,
    }


def measured(quick: bool) -> Iterator[Row]:
    size = sizes(quick)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        settings = replace(PAGE, classes_a_video=size["classes_a_video"])
        path = SmallReport(settings, size=large(size["classes"])).write()
        what = f"report of {size['videos']:,} videos"
        megabytes = path.stat().st_size / 1e6
        yield Row(f"{what}, size", "MB", megabytes, judged="figure", at_most=10)
        yield from in_browser(path, what, size["presses"])


def in_browser(path: Path, what: str, presses: int) -> Iterator[Row]:
    if missing():
        for done in ("opened", *WHAT.values()):
            yield Row(f"{what}, {done}", "ms", why=missing())
        return
    with chromium() as page:
        yield Row(f"{what}, opened", "ms", page.open(path).run(LOADED))
        for key, done in WHAT.items():
            taken = page.run(TIMED, key, presses)
            middle, slow = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
            limit = {"judged": "figure", "at_most": MS_BETWEEN_REPEATS}
            yield Row(f"{what}, {done}", "ms", middle, **limit)
            yield Row(f"{what}, {done}: 99 of 100 take less than", "ms", slow)


if __name__ == "__main__":
    run(measured, __doc__, sizes)
