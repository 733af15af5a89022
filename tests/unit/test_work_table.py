"""The table of work on a real SQLite and a real PostgreSQL: nothing is done under two numbers or waits for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qubitd.server.membership import ABANDONED, OFFLINE
from qubitd.server.store.database import Database
from qubitd.server.store.schema import migrate
from qubitd.server.store.work import LEASE, MOST_CLAIMS, SKIP_LOCKED, NewWork, Piece, WorkKind, WorkReads, WorkWrites

NEW = NewWork(kind=WorkKind.VALIDATE, version="1", content=b"device and rack", spec_digest="aa")


@dataclass
class Clock:
    """The database's, as the test has it."""

    seconds: float = 1000.0

    def __call__(self) -> int:
        return round(self.seconds * 1e9)


@dataclass
class Table:
    reads: WorkReads
    writes: WorkWrites
    clock: Clock

    def claim(self, worker: str = "one", version: str = "1") -> Piece:
        piece = self.writes.claim(worker, version)
        assert piece is not None
        return piece


def _table(connection: Database, locking: str = "") -> Table:
    clock = Clock()
    return Table(WorkReads(connection, clock), WorkWrites(connection, clock, locking=locking), clock)


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "sqlite":
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrate(connection, path=Path("memory"))
            yield _table(connection)
        return
    server = request.getfixturevalue("postgres")
    from qubitd.server.store import postgres_schema
    from qubitd.server.store.postgres import PostgresConnection

    with closing(PostgresConnection(server.new_schema(), read_only=False)) as opened:
        postgres_schema.migrate(opened)
        yield _table(opened, SKIP_LOCKED)


def test_a_piece_is_done_once_and_its_answer_is_read_by_its_key(table: Table) -> None:
    table.writes.ask(NEW)
    piece = table.claim()
    assert (piece.kind, piece.content, piece.spec_digest, piece.fence) == (NEW.kind, NEW.content, "aa", 1)
    assert table.writes.claim("two", "1") is None
    assert table.reads.standings([NEW.key])[NEW.key].answer is None
    assert table.writes.answer(piece, b"found")
    assert table.reads.standings([NEW.key, "unknown"]).keys() == {NEW.key}
    assert table.reads.standings([NEW.key])[NEW.key].answer == b"found"
    table.clock.seconds += 2 * LEASE
    assert table.writes.claim("two", "1") is None


def test_what_was_asked_for_first_is_claimed_first_and_asking_twice_is_asking_once(table: Table) -> None:
    other = replace(NEW, content=b"another")
    table.writes.ask(other)
    table.clock.seconds += 1
    for _ in range(2):
        table.writes.ask(NEW)
    assert [table.claim().key, table.claim().key] == [other.key, NEW.key]
    assert table.writes.claim("one", "1") is None


@pytest.mark.parametrize("field", ["kind", "version", "content", "spec_digest"])
def test_whatever_goes_into_a_piece_goes_into_its_key(field: str) -> None:
    other = NewWork(kind=WorkKind.EXPLAIN, version="2", content=b"another", spec_digest="bb")
    assert replace(NEW, **{field: getattr(other, field)}).key != NEW.key


def test_the_work_of_a_lost_worker_is_anothers_and_its_late_answer_is_dropped(table: Table) -> None:
    table.writes.ask(NEW)
    lost = table.claim("lost")
    table.clock.seconds += LEASE - 0.1
    assert table.writes.claim("two", "1") is None
    table.clock.seconds += 0.2
    second = table.claim("two")
    assert (second.key, second.fence) == (lost.key, 2)
    assert not table.writes.answer(lost, b"late")
    assert table.writes.answer(second, b"found")
    assert not table.writes.answer(second, b"found again")
    assert table.reads.standings([NEW.key])[NEW.key].answer == b"found"


def test_a_sign_of_life_is_one_for_all_that_a_worker_has_in_hand_and_for_no_more(table: Table) -> None:
    table.writes.ask(NEW)
    table.claim("slow")
    for _ in range(4):
        table.clock.seconds += LEASE / 2
        table.writes.beat("slow", "1")
    assert table.writes.claim("two", "1") is None
    table.clock.seconds += 1.1 * LEASE
    second = table.claim("two")
    table.writes.beat("slow", "1")
    table.clock.seconds += 1.1 * LEASE
    assert table.claim("three").fence == second.fence + 1


def test_a_worker_that_leaves_gives_back_what_it_has_in_hand_at_once(table: Table) -> None:
    table.writes.ask(NEW)
    table.writes.beat("one", "1")
    left = table.claim("one")
    table.writes.leave("one")
    assert table.reads.workers("1") == 0
    assert table.claim("two").fence == left.fence + 1
    assert not table.writes.answer(left, b"late")


def test_what_three_workers_did_not_survive_is_given_up(table: Table) -> None:
    table.writes.ask(NEW)
    for n in range(1, MOST_CLAIMS + 1):
        assert not table.reads.standings([NEW.key])[NEW.key].is_given_up
        assert table.claim(f"worker {n}").fence == n
        table.clock.seconds += 1.1 * LEASE
    assert table.writes.claim("one more", "1") is None
    assert table.reads.standings([NEW.key])[NEW.key].is_given_up


def test_what_nobody_managed_is_done_by_nobody_for_a_day_whatever_the_calibration(table: Table) -> None:
    table.writes.ask(NEW)
    held = table.claim()
    assert not table.reads.is_forsaken(NEW)
    table.writes.forsake(NEW.key)
    assert not table.writes.answer(held, b"late")
    assert table.reads.standings([NEW.key])[NEW.key].is_given_up
    recalibrated = replace(NEW, content=b"another calibration")
    other_job = replace(NEW, spec_digest="bb")
    other_version = replace(recalibrated, version="2")
    explained = replace(NEW, kind=WorkKind.EXPLAIN, spec_digest="")
    table.writes.ask(NEW)
    assert table.writes.claim("two", "1") is None
    for new, forsaken in ((NEW, True), (recalibrated, True), (other_job, False), (other_version, False)):
        assert table.reads.is_forsaken(new) is forsaken
    table.writes.ask(explained)
    table.writes.forsake(explained.key)
    assert table.reads.is_forsaken(explained)
    assert not table.reads.is_forsaken(replace(explained, content=b"another"))
    table.clock.seconds += 86_401
    table.writes.ask(other_job)
    assert not table.reads.is_forsaken(NEW)


def test_a_sign_of_life_says_what_a_worker_still_has_in_hand(table: Table) -> None:
    table.writes.ask(NEW)
    assert table.writes.beat("one", "1") == set()
    piece = table.claim()
    assert table.writes.beat("one", "1") == {piece.key}
    assert table.writes.beat("two", "1") == set()
    table.writes.withdraw(piece.key)
    assert table.writes.beat("one", "1") == set()


def test_what_is_withdrawn_is_claimed_by_nobody_and_its_answer_is_dropped(table: Table) -> None:
    table.writes.ask(NEW)
    piece = table.claim()
    table.writes.withdraw(NEW.key)
    assert not table.writes.answer(piece, b"late")
    assert table.reads.standings([NEW.key]) == {}
    table.writes.ask(NEW)
    assert table.claim("two").fence == 1
    assert not table.writes.answer(piece, b"later still")


def test_what_a_daemon_asked_for_and_never_fetched_is_forgotten_after_a_day(table: Table) -> None:
    table.writes.ask(NEW)
    table.clock.seconds += 86_401
    table.writes.ask(replace(NEW, content=b"another"))
    assert table.reads.standings([NEW.key]) == {}


def test_workers_of_another_version_neither_count_nor_claim(table: Table) -> None:
    table.writes.ask(NEW)
    table.writes.beat("other", "2")
    assert (table.reads.workers("1"), table.reads.workers("2")) == (0, 1)
    assert table.writes.claim("other", "2") is None


def test_a_silent_worker_does_not_count_and_is_forgotten(table: Table) -> None:
    table.writes.beat("one", "1")
    table.clock.seconds += OFFLINE - 0.1
    assert table.reads.workers("1") == 1
    table.clock.seconds += 0.2
    assert table.reads.workers("1") == 0
    table.clock.seconds += ABANDONED
    table.writes.beat("two", "1")
    table.clock.seconds -= ABANDONED
    assert table.reads.workers("1") == 1


@dataclass
class Two:
    """Two connections to one table, as of two workers or of a worker and a daemon."""

    first: Database
    one: Table
    two: Table


@pytest.fixture
def both(request: pytest.FixtureRequest) -> Iterator[Two]:
    server = request.getfixturevalue("postgres")
    from qubitd.server.store import postgres_schema
    from qubitd.server.store.postgres import PostgresConnection

    url = server.new_schema()
    with (
        closing(PostgresConnection(url, read_only=False)) as first,
        closing(PostgresConnection(url, read_only=False)) as second,
    ):
        postgres_schema.migrate(first)
        second.execute("SET lock_timeout = '5s'")
        yield Two(first, _table(first, SKIP_LOCKED), _table(second, SKIP_LOCKED))


def test_two_workers_that_claim_at_the_same_moment_neither_wait_nor_get_the_same(both: Two) -> None:
    one, two = both.one, both.two
    one.writes.ask(NEW)
    one.writes.ask(replace(NEW, content=b"another"))
    both.first.execute("BEGIN")
    mine = one.claim()
    theirs = two.claim("two")
    assert two.writes.claim("two", "1") is None
    both.first.execute("COMMIT")
    assert mine.key != theirs.key


@pytest.mark.parametrize("sign", ["beat", "leave"])
def test_a_worker_does_not_wait_for_a_daemon_that_withdraws_what_it_has_in_hand(both: Two, sign: str) -> None:
    daemon, worker = both.one, both.two
    for content in (b"withdrawn", b"stays"):
        daemon.writes.ask(replace(NEW, content=content))
    withdrawn, stays = (worker.claim() for _ in range(2))
    before = worker.reads.standings([stays.key])[stays.key].lease_ns
    both.first.execute("BEGIN")
    daemon.writes.withdraw(withdrawn.key)
    worker.clock.seconds += 1
    if sign == "beat":
        worker.writes.beat("one", "1")
    else:
        worker.writes.leave("one")
    lease = worker.reads.standings([stays.key])[stays.key].lease_ns
    assert lease == (before + 10**9 if sign == "beat" else 0)
    both.first.execute("COMMIT")
    assert worker.reads.standings([withdrawn.key, stays.key]).keys() == {stays.key}


def test_a_worker_does_not_wait_for_another_that_forgets_the_silent_ones_too(both: Two) -> None:
    both.one.writes.beat("silent", "1")
    for table in (both.one, both.two):
        table.clock.seconds += 2 * ABANDONED
    both.first.execute("BEGIN")
    both.one.writes.beat("one", "1")
    both.two.writes.beat("two", "1")
    both.first.execute("COMMIT")
    assert both.two.reads.workers("1") == 2
