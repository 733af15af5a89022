"""The forecast of a long queue stands for a moment: who submits and watches does not have it made anew each time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from qubitd.server.clocks import Clocks
from qubitd.server.front.quotas import Quotas
from qubitd.server.jobs.lifecycle import Lifecycle
from qubitd.server.queueing.book import Entry
from qubitd.server.queueing.dispatch import MOST_LEFT, Dispatch, Durations
from qubitd.server.queueing.fair_share import FairShare
from qubitd.server.queueing.served import ServedTime
from qubitd.server.queueing.slots import SlotBook
from qubitd.server.scheduling.forecast import REHEARSED
from qubitd.server.sessions.book import SessionBook
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.telemetry.meters import Meters
from qubitd.wire.jobs import QueuePlace
from qubitd.wire.terms import JobTerms


@dataclass(slots=True)
class Queue:
    """A dispatch of jobs that are all alike."""

    dispatch: Dispatch
    jobs: int = 0

    def add(self) -> str:
        entry = self._next()
        self.dispatch.add(entry)
        return entry.job_id

    def start(self, seconds: float) -> Entry:
        """A job that has the rack from now on, and is to take so long on the instruments."""
        entry = self._next()
        entry.instrument_estimate = seconds
        self.dispatch.started(entry)
        return entry

    def _next(self) -> Entry:
        self.jobs += 1
        lifecycle = Lifecycle(job_id=str(self.jobs))
        return Entry(
            number=self.jobs,
            lifecycle=lifecycle,
            shots=1,
            owner="ann",
            backend="line5",
            terms=JobTerms(),
            since=0.0,
        )

    def position(self, job_id: str) -> int:
        place = self.dispatch.place(job_id)
        assert isinstance(place, QueuePlace)
        return place.position


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def queue(sqlite: SqliteStore, now: list[float]) -> Queue:
    clocks = Clocks(wall=lambda: 0, steady=lambda: now[0])
    served = ServedTime(store=sqlite, clocks=clocks, backend="line5")
    return Queue(
        Dispatch(
            clocks=clocks,
            sessions=SessionBook(store=sqlite, clocks=clocks, quotas=Quotas(), served="line5"),
            slots=SlotBook(store=sqlite, clocks=clocks, served="line5"),
            durations=Durations(time="virtual"),
            meters=Meters(),
            fair_share=FairShare(store=sqlite, clocks=clocks, served=served, backend="line5", weights={}),
        )
    )


def test_a_newcomer_to_a_short_queue_is_told_its_place_at_once(queue: Queue) -> None:
    first = queue.add()
    assert queue.position(first) == 0
    assert queue.position(queue.add()) == 1


def test_a_newcomer_to_a_long_queue_leaves_the_forecast_as_it_is_for_a_moment(queue: Queue, now: list[float]) -> None:
    *_, last = (queue.add() for _ in range(REHEARSED))
    assert queue.position(last) == REHEARSED - 1
    forecast = queue.dispatch._places
    assert queue.position(queue.add()) == REHEARSED
    assert queue.dispatch._places is forecast
    now[0] += 1.0
    assert queue.position(last) == REHEARSED - 1
    assert queue.dispatch._places is not forecast


def test_whoever_only_asks_is_told_where_a_job_would_stand_and_leaves_no_trace(queue: Queue) -> None:
    *_, last = (queue.add() for _ in range(3))
    stands = queue.dispatch.place_of_newcomer("ann", 1.0)
    assert (stands.position, stands.expected_start_ns) == (3, round(3 * queue.dispatch.durations.overhead * 1e9))
    assert queue.position(last) == 2
    assert len(queue.dispatch) == 3
    assert queue.dispatch.place(queue.add()) == stands


def test_who_waits_behind_a_job_that_is_slow_is_told_its_end_by_the_pace_of_its_chunks(
    queue: Queue, now: list[float]
) -> None:
    slow = queue.start(10.0)
    now[0] = 2.5
    assert queue.dispatch.place_of_newcomer("ann", 1.0).expected_start_ns == 0
    slow.instrument_ns, slow.recorded = 1_000_000_000, 2.0
    now[0] = 3.1
    assert queue.dispatch.place_of_newcomer("ann", 1.0).expected_start_ns == round((2.0 + 9 * 2.0 - 3.1) * 1e9)


def test_a_first_chunk_that_is_nearly_nothing_of_a_job_does_not_put_its_end_off_for_years(
    queue: Queue, now: list[float]
) -> None:
    sweep = queue.start(10_000.0)
    sweep.instrument_ns, sweep.recorded = 1, 2.0
    now[0] = 2.0
    assert queue.dispatch.place_of_newcomer("ann", 1.0).expected_start_ns == round(MOST_LEFT * 2.0 * 1e9)


def test_a_project_that_is_owed_more_would_start_before_the_others(queue: Queue) -> None:
    queue.dispatch.scheduler.shares.add("ann", 100.0, at=0.0)
    for _ in range(3):
        queue.add()
    assert queue.dispatch.place_of_newcomer("bob", 1.0).position == 0


def test_behind_a_queue_that_is_too_long_to_rehearse_no_start_is_told(queue: Queue) -> None:
    for _ in range(REHEARSED + 1):
        queue.add()
    assert queue.dispatch.place_of_newcomer("ann", 1.0) == QueuePlace(position=REHEARSED + 1, expected_start_ns=0)


def test_in_a_long_queue_the_place_of_a_newcomer_is_rehearsed_once_in_a_while(queue: Queue, now: list[float]) -> None:
    for _ in range(REHEARSED + 1):
        queue.add()
    queue.dispatch.scheduler.shares.add("ann", 100.0, at=0.0)
    told = queue.dispatch.place_of_newcomer("bob", 1.0)
    queue.dispatch.scheduler.shares.add("bob", 200.0, at=0.0)
    assert queue.dispatch.place_of_newcomer("bob", 2.0) == told
    now[0] += 1.0
    assert queue.dispatch.place_of_newcomer("bob", 2.0).position == REHEARSED + 1
