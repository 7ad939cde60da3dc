"""Progress: lines in a log, a bar on a terminal, nothing where lines are not wanted."""

import io
import logging
import time

import pytest

from segment_em import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """The time as the module sees it, in a list that a test may change."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_in_a_log_there_is_a_line_every_five_seconds_and_at_the_end(clock, caplog):
    caplog.set_level(logging.INFO)
    shown = progress.Progress(100)
    for done, now in [(10, 101.0), (30, 103.0), (50, 105.0), (60, 106.0), (100, 108.0)]:
        clock[0] = now
        shown.show(done, f"epoch {done}")
    assert [record.message for record in caplog.records] == [
        "epoch 50, 50 of 100 videos, 10 videos/s, 5 s left",
        "epoch 100, 100 of 100 videos, 12 videos/s, 0 s left",
    ]


def test_what_was_done_before_a_stop_does_not_count_as_speed(clock, caplog):
    caplog.set_level(logging.INFO)
    shown = progress.Progress(100, done=60)
    clock[0] = 110.0
    shown.show(80, "x")
    assert caplog.records[0].message == "x, 80 of 100 videos, 2 videos/s, 10 s left"


def test_on_a_terminal_there_is_a_bar_that_goes_when_it_is_closed(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    shown = progress.Progress(100, done=20)
    time.sleep(shown.bar.mininterval)
    shown.show(70, "epoch 2 of 6: loss 0.41234")
    drawn = screen.getvalue()
    assert "epoch 2 of 6: loss 0.41234" in drawn
    assert "70/100" in drawn
    assert "videos/s" in drawn
    shown.close()
    assert screen.getvalue().endswith("\r")
    assert not caplog.records


def test_where_lines_are_not_wanted_there_is_no_bar(monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    shown = progress.Progress(10)
    shown.show(10, "x")
    shown.close()
    assert screen.getvalue() == ""
