"""A scheduler of Snakemake has one look ahead, however often it is asked to look again."""

import threading
from types import SimpleNamespace

import pytest
from rescheduling import look_again_once
from snakemake.scheduling.job_scheduler import JobScheduler


@pytest.fixture
def scheduler(monkeypatch):
    """All of a scheduler that is asked: what wakes it, and how it is asked."""
    # So that Snakemake's own is back after the test; fails where it has it no longer.
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", None)
    look_again_once()
    woken = SimpleNamespace(_open_jobs=threading.Semaphore(0))
    woken.ask = lambda delay: JobScheduler._schedule_reevalutation(woken, delay)
    woken.looks_within = lambda seconds: woken._open_jobs.acquire(timeout=seconds)
    return woken


def test_many_requests_make_one_look(scheduler):
    for _ in range(100):
        scheduler.ask(0.05)
    assert scheduler.looks_within(10)
    assert not scheduler.looks_within(0.3)


def test_after_a_look_the_next_one_can_be_asked_for(scheduler):
    for _ in range(50):
        scheduler.ask(0.001)
        assert scheduler.looks_within(10)


def test_a_later_look_does_not_keep_an_earlier_one_away(scheduler):
    scheduler.ask(3600)
    scheduler.ask(0.01)
    assert scheduler.looks_within(10)


def test_one_scheduler_does_not_keep_another_waiting(scheduler):
    before = timers()
    other = SimpleNamespace(_open_jobs=threading.Semaphore(0))
    JobScheduler._schedule_reevalutation(other, 3600)
    scheduler.ask(3600)
    waiting = timers() - before
    assert len(waiting) == 2
    assert all(timer.daemon for timer in waiting)
    for timer in waiting:
        timer.cancel()


def timers():
    return {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}
