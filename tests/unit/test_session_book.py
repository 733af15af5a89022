"""Sessions that are open cost nothing at a decision but for those that have to do with it, and end by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qubitd.core.errors import InvalidInputError
from qubitd.core.job import JobStatus
from qubitd.server.clocks import Clocks
from qubitd.server.errors import QuotaExceededError
from qubitd.server.front.quotas import Quotas
from qubitd.server.sessions.book import SessionBook
from qubitd.server.sessions.rules import LEASE, UNUSED, Outcome
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.wire.sessions import MAX_SECONDS, SessionState, SessionTerms, encode_terms


@dataclass(slots=True)
class Desk:
    """A book on a clock of the test's."""

    store: SqliteStore
    now: float = 0.0
    book: SessionBook = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self, *, longest: float = MAX_SECONDS) -> None:
        """Start as a new process does."""
        clocks = Clocks(wall=lambda: 1, steady=lambda: self.now)
        self.book = SessionBook(
            store=self.store, clocks=clocks, quotas=Quotas(sessions=3, session_seconds=longest), served="line5"
        )

    async def open(self, key: str, owner: str = "local", idle_seconds: float = 60.0) -> str:
        terms = SessionTerms(key=key, backend="line5", max_seconds=1000.0, idle_seconds=idle_seconds)
        return (await self.book.open(encode_terms(terms), owner=owner, author=owner)).session_id

    def run(self, session: str) -> None:
        """Let a job of a session begin and end."""
        self.book.admit(session, owner="local")
        self.book.moved(session, JobStatus.QUEUED, JobStatus.RUNNING, qpu_seconds=0.0)
        self.book.moved(session, JobStatus.RUNNING, JobStatus.DONE, qpu_seconds=1.0)

    def in_play(self) -> set[str]:
        return {window.session for window in self.book.windows()}

    def state(self, session: str) -> SessionState:
        return self.book.info(session, owner="local").state


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        desk = Desk(store)
        yield desk
        await desk.book.settle_all()


async def test_the_scheduler_hears_of_sessions_that_want_the_rack_or_hold_it_alone(desk: Desk) -> None:
    idle, wanting, holding = [await desk.open(key) for key in "abc"]
    assert desk.in_play() == set()
    desk.book.admit(wanting, owner="local")
    desk.run(holding)
    assert desk.in_play() == {wanting, holding}
    desk.now = 60.0
    assert desk.book.expired() == []
    assert desk.in_play() == {wanting}
    desk.book.withdraw(wanting)
    assert desk.in_play() == set()
    assert desk.state(idle) is SessionState.PENDING


async def test_a_decision_looks_only_at_sessions_whose_time_has_come(desk: Desk) -> None:
    used = await desk.open("used", idle_seconds=10.0)
    unused = await desk.open("unused")
    assert desk.book.next_look() == UNUSED
    desk.run(used)
    assert desk.book.next_look() == 10.0
    desk.now = 10.0
    assert desk.book.expired() == []
    assert desk.book.next_look() == 1000.0
    desk.now = 1000.0
    assert desk.book.expired() == [(used, Outcome.REQUEUE)]
    assert (desk.state(used), desk.state(unused)) == (SessionState.CLOSED, SessionState.PENDING)
    assert desk.book.next_look() == UNUSED
    desk.now = UNUSED
    assert desk.book.expired() == [(unused, Outcome.REQUEUE)]
    assert len(desk.book) == 0


async def test_an_unused_session_lives_while_its_client_does_and_ends_after_a_restart_too(desk: Desk) -> None:
    session = await desk.open("a")
    desk.now = UNUSED - 1.0
    await desk.book.renew(session, owner="local")
    desk.now = UNUSED
    assert desk.book.expired() == []
    desk.begin()
    desk.book.load([])
    desk.now = 2 * UNUSED
    assert desk.book.expired() == [(session, Outcome.REQUEUE)]


async def test_an_unused_session_whose_only_job_waited_for_long_and_did_not_run_ends_with_it(desk: Desk) -> None:
    session = await desk.open("a")
    desk.book.admit(session, owner="local")
    desk.now = UNUSED + 1.0
    assert desk.book.expired() == []
    desk.book.moved(session, JobStatus.QUEUED, JobStatus.CANCELLED, qpu_seconds=0.0)
    assert desk.book.next_look() == desk.now
    assert desk.book.expired() == [(session, Outcome.REQUEUE)]
    assert desk.state(session) is SessionState.CLOSED


async def test_a_session_that_a_silent_client_left_gives_the_rack_back_in_time(desk: Desk) -> None:
    session = await desk.open("a", idle_seconds=600.0)
    desk.run(session)
    desk.now = LEASE + 1.0
    await desk.book.renew(session, owner="local")
    desk.now = 601.0
    assert desk.book.expired() == []
    assert not desk.book.info(session, owner="local").holds_rack


async def test_no_session_lasts_longer_than_an_operator_allows(desk: Desk) -> None:
    before = await desk.open("before", owner="ann")
    desk.begin(longest=999.0)
    desk.book.load([])
    assert await desk.open("before", owner="ann") == before
    limit = "max_seconds: is 1000 s; the limit that the operator set is 999 s"
    with pytest.raises(InvalidInputError, match=limit):
        await desk.open("a", owner="ann")
    assert await desk.open("a")


async def test_a_project_has_so_many_sessions_open_and_no_more(desk: Desk) -> None:
    sessions = [await desk.open(key, owner="ann") for key in "abc"]
    limit = "project ann has 3 sessions that are not over; the limit is 3; close one, or ask the operator for more"
    with pytest.raises(QuotaExceededError, match=limit):
        await desk.open("d", owner="ann")
    assert await desk.open("c", owner="ann") == sessions[2]
    await desk.open("d", owner="bob")
    await desk.book.close(sessions[0], owner="ann")
    await desk.open("d", owner="ann")
    for key in "abcd":
        await desk.open(key)
