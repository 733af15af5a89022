"""What a forecast knows of sessions, and of those who come meanwhile."""

from __future__ import annotations

import math

import pytest

from qubitd.server.scheduling.forecast import Stretch, places
from qubitd.server.scheduling.scheduler import Scheduler
from qubitd.server.scheduling.waiting import QueueClass, Waiting, Window


def job(number: int, *, session: str = "", estimate: float = 10.0) -> Waiting:
    kind = QueueClass.SESSION if session else QueueClass.NORMAL
    return Waiting(
        job_id=f"job-{number}", accepted=number, project="a", queue_class=kind, estimate=estimate, session=session
    )


def starts(*jobs: Waiting, window: Window, busy_until: float = 0.0, running: str = "") -> list[float]:
    scheduler = Scheduler(windows=(window,))
    for waiting in jobs:
        scheduler.lanes.add(waiting)
    found = places(scheduler, now=0.0, busy_until=busy_until, running_session=running)
    return [found[one.job_id].start for one in jobs]


def test_a_job_behind_a_session_that_waits_starts_when_that_has_had_its_jobs_and_its_patience() -> None:
    window = Window(session="s", opened=1, needs=900.0, patience=60.0)
    assert starts(job(1, session="s"), job(2, session="s"), job(3), window=window) == [0.0, 10.0, 80.0]


def test_a_job_behind_a_session_that_runs_does_not_wait_for_the_end_of_its_time() -> None:
    window = Window(session="s", opened=1, needs=900.0, holds_until=900.0, patience=60.0)
    assert starts(job(1), window=window, busy_until=5.0, running="s") == [65.0]
    ends_soon = Window(session="s", opened=1, needs=20.0, holds_until=20.0, patience=60.0)
    assert starts(job(1), window=ends_soon, busy_until=5.0, running="s") == [20.0]


def test_a_job_behind_a_session_that_thinks_starts_when_it_gives_the_rack_back() -> None:
    assert starts(job(1), window=Window(session="s", opened=1, holds_until=30.0, patience=60.0)) == [30.0]


def test_a_batch_and_a_session_that_was_closed_keep_the_rack_for_no_longer_than_their_jobs() -> None:
    window = Window(session="s", opened=1, needs=0.0, holds_until=-math.inf, patience=0.0)
    assert starts(job(1, session="s"), job(2), window=window) == [0.0, 10.0]


@pytest.mark.parametrize(("longer", "factor"), [(1.2, 1.2), (0.5, 1.0), (9.0, 1.5)])
def test_waits_are_told_as_long_as_they_turn_out(longer: float, factor: float) -> None:
    stretch = Stretch()
    for _ in range(200):
        stretch.learn(rehearsed=10.0, waited=10.0 * longer)
    assert stretch.factor == pytest.approx(factor, abs=0.006)


def test_one_wait_in_ten_that_is_very_long_changes_little() -> None:
    stretch = Stretch()
    for n in range(500):
        stretch.learn(rehearsed=10.0, waited=500.0 if n % 10 == 0 else 10.0)
    assert stretch.factor < 1.02


def test_a_short_wait_tells_nothing() -> None:
    stretch = Stretch()
    stretch.learn(rehearsed=0.1, waited=5.0)
    assert stretch.factor == 1.0
