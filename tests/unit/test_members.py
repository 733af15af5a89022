"""Owners of backends in either database, under a clock of the test: who may own, write, and act for another."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests import store_life

from qubitd.core.job import JobStatus
from qubitd.server.errors import BackendTakenError, FencedError
from qubitd.server.membership import ABANDONED, FORSAKEN, OFFLINE, Claim, Notice
from qubitd.server.store.blobs import BlobFolder
from qubitd.server.store.database import Database
from qubitd.server.store.group_jobs import GroupJobReads, Held
from qubitd.server.store.job_reads import JobReads
from qubitd.server.store.members import ErrandKind, check_fence
from qubitd.server.store.rows import Change
from qubitd.server.store.schema import migrate
from qubitd.server.store.store import Writes, writes_on
from qubitd.wire.jobs import LogLine
from qubitd.wire.lab import LabState
from qubitd.wire.terms import JobTerms

MOVES = JobTerms(equivalents=("east", "north"))
NEW = replace(store_life.NEW, owner="me", backend="south", spec=b"spec", shots=100)


@dataclass(slots=True, kw_only=True, eq=False)
class Table:
    """A store's connection, and the time."""

    connection: Database
    writes: Writes
    jobs: JobReads
    group_jobs: GroupJobReads
    now: float = 1000.0
    """Seconds."""

    def take(self, backend: str, daemon: str) -> int:
        return self.writes.members.take(Claim(backend=backend, daemon=daemon))

    def accept(self, name: str, *, backend: str = "south", terms: JobTerms | None = None) -> None:
        new = replace(NEW, job_id=name, key=name, backend=backend, terms=terms or JobTerms())
        self.writes.group_jobs.accept(new)

    def step(self, name: str, *path: JobStatus) -> None:
        for version, (before, after) in enumerate(itertools.pairwise(path)):
            change = Change(job_id=name, before=before, version=version, after=after, time_ns=1)
            if after is JobStatus.RUNNING:
                self.writes.jobs.start(change, attempt=1)
            else:
                self.writes.jobs.change(change)


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    connection: Database
    if request.param == "sqlite":
        file = sqlite3.connect(tmp_path / "db", isolation_level=None)
        migrate(file, path=tmp_path)
        connection = file
    else:
        server = request.getfixturevalue("postgres")
        from qubitd.server.store import postgres_schema
        from qubitd.server.store.postgres import PostgresConnection

        link = PostgresConnection(server.new_schema(), read_only=False)
        postgres_schema.migrate(link)
        connection = link
    blobs = BlobFolder(tmp_path / "blobs")
    made = Table(
        connection=connection,
        writes=writes_on(connection, blobs, lambda: round(made.now * 1e9)),
        jobs=JobReads(connection),
        group_jobs=GroupJobReads(connection),
    )
    yield made
    connection.close()


def test_each_ownership_of_a_backend_has_a_number_of_its_own(table: Table) -> None:
    assert table.take("south", "one") == 1
    assert table.take("north", "two") == 1
    assert table.take("south", "one") == 2
    check_fence(table.connection, "south", 2)
    with pytest.raises(FencedError, match="south"):
        check_fence(table.connection, "south", 1)


def test_another_daemon_takes_a_backend_only_once_its_owner_is_silent_for_long(table: Table) -> None:
    table.take("south", "one")
    table.writes.members.tell("south", address="127.0.0.1:5", notice=Notice(description=b"d"))
    table.now += ABANDONED - 0.1
    with pytest.raises(BackendTakenError, match=r"127\.0\.0\.1:5, which was there 9\.9 s ago"):
        table.take("south", "two")
    table.now += 0.1
    assert table.take("south", "two") == 2


def test_a_backend_that_was_left_is_free_at_once_and_says_why_it_is_offline(table: Table) -> None:
    table.take("south", "one")
    table.writes.members.tell(
        "south", address="127.0.0.1:5", notice=Notice(description=b"d", lab=LabState.DRAINED, lab_reason="leak")
    )
    [member] = table.writes.members.reads.all()
    assert (member.is_online, member.trouble, member.notice.lab_reason) == (True, "", "leak")
    table.writes.members.leave("south", "was stopped")
    [member] = table.writes.members.reads.all()
    assert not member.is_online
    assert member.trouble == "its daemon at 127.0.0.1:5 was stopped; jobs for it wait"
    assert table.take("south", "two") == 2
    assert table.writes.members.reads.all()[0].trouble == "its daemon is starting; jobs for it wait"


def test_a_silent_backend_is_offline_soon_and_says_since_when(table: Table) -> None:
    table.take("south", "one")
    table.writes.members.tell("south", address="127.0.0.1:5", notice=Notice(description=b"d"))
    table.now += OFFLINE
    [member] = table.writes.members.reads.all()
    assert not member.is_online
    assert not member.is_abandoned
    assert member.trouble == "its daemon at 127.0.0.1:5 was heard of last at 1970-01-01 00:16:40 UTC; jobs for it wait"


def test_a_backend_is_forsaken_after_a_month_however_its_daemon_left(table: Table) -> None:
    for backend in ("south", "north"):
        table.take(backend, "one")
    table.writes.members.leave("north", "was stopped")
    table.now += FORSAKEN - 1
    assert not any(member.is_forsaken for member in table.writes.members.reads.all())
    table.now += 1
    assert all(member.is_forsaken for member in table.writes.members.reads.all())


def test_who_acts_for_an_abandoned_backend_takes_its_number_away_once(table: Table) -> None:
    fence = table.take("south", "one")
    with pytest.raises(BackendTakenError):
        table.writes.members.evict("south")
    with pytest.raises(BackendTakenError):
        table.writes.members.evict("nowhere")
    table.now += ABANDONED
    table.writes.members.evict("south")
    with pytest.raises(FencedError):
        check_fence(table.connection, "south", fence)
    table.writes.members.evict("south")
    assert table.take("south", "one") == fence + 2


def test_an_errand_is_for_one_backend_and_is_there_until_it_is_done(table: Table) -> None:
    table.accept("job-1")
    table.accept("job-1")
    table.accept("job-2", backend="north")
    table.writes.members.send("job-1", ErrandKind.BREAK_OFF)
    errands = table.writes.members.reads.errands("south")
    assert [(e.job_id, e.kind) for e in errands] == [("job-1", ErrandKind.ADOPT), ("job-1", ErrandKind.BREAK_OFF)]
    table.writes.members.done(errands[:1])
    assert table.writes.members.reads.errands("south") == errands[1:]
    assert len(table.writes.members.reads.errands("north")) == 1


def test_only_jobs_that_never_started_and_whose_user_allowed_it_can_move(table: Table) -> None:
    table.take("south", "one")
    for name, terms in {
        "stays": JobTerms(),
        "moves": MOVES,
        "ran": MOVES,
        "other": JobTerms(equivalents=("west",)),
    }.items():
        table.accept(name, terms=terms)
    table.step(
        "ran", JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.QUEUED
    )
    [job] = table.group_jobs.movable("south", to="north")
    assert job.job_id == "moves"
    with pytest.raises(BackendTakenError):
        table.writes.group_jobs.move(job, to="north", because="of a test", time_ns=5)
    table.now += ABANDONED
    assert table.writes.group_jobs.move(job, to="north", because="of a test", time_ns=5)
    moved = table.jobs.get(owner="me", job_id="moves")
    assert (moved.backend, moved.submitted_to) == ("north", "south")
    events = table.jobs.events(table.jobs.number(owner="me", job_id="moves"), after=0)
    assert events[-1].what == LogLine(text="goes to north, as was allowed: of a test")
    assert not table.writes.group_jobs.move(job, to="east", because="too late", time_ns=6)
    assert table.group_jobs.movable("south", to="north") == []


@pytest.mark.parametrize("served_there", [None, 20.0, 9000.0])
def test_a_job_that_moves_is_as_old_as_before(table: Table, served_there: float | None) -> None:
    table.take("south", "one")
    table.writes.jobs.note_served("south", 500.0)
    table.accept("moves", terms=MOVES)
    table.writes.jobs.note_served("south", 530.0)
    if served_there is not None:
        table.writes.jobs.note_served("north", served_there)
    table.now += ABANDONED
    [job] = table.group_jobs.movable("south", to="north")
    assert table.writes.group_jobs.move(job, to="north", because="of a test", time_ns=5)
    moved = table.group_jobs.find("moves", backend="north")
    assert moved is not None
    assert moved.served is not None
    assert table.jobs.served("north") - moved.served == 30.0


def test_a_watch_of_the_backend_that_a_job_was_submitted_to_goes_on_when_it_moves(table: Table) -> None:
    table.take("south", "one")
    table.accept("moves", terms=MOVES)
    table.now += ABANDONED
    [job] = table.group_jobs.movable("south", to="north")
    table.writes.group_jobs.move(job, to="north", because="of a test", time_ns=5)
    for backend in ("south", "north"):
        events = table.jobs.events_of_many(owner="me", session_id="", backend=backend, after=0)
        assert [event.job_id for event in events] == 3 * ["moves"]


def test_a_cancel_for_an_abandoned_backend_ends_what_waits_and_marks_what_ran(table: Table) -> None:
    table.take("south", "one")
    for name in ("waits", "runs", "gone"):
        table.accept(name)
        table.writes.members.send(name, ErrandKind.CANCEL)
    table.step("runs", JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING)
    table.step("gone", JobStatus.INITIALIZING, JobStatus.CANCELLED)
    table.now += ABANDONED
    table.writes.group_jobs.cancel("south", time_ns=7)
    assert table.jobs.get(owner="me", job_id="waits").status is JobStatus.CANCELLED
    assert table.jobs.get(owner="me", job_id="runs").status is JobStatus.RUNNING
    assert [job.cancelling for job in table.jobs.alive("south")] == [True]
    assert {e.kind for e in table.writes.members.reads.errands("south")} == {ErrandKind.ADOPT}


def test_a_cancel_that_was_on_its_way_goes_with_a_job_that_moves(table: Table) -> None:
    table.take("south", "one")
    table.accept("moves", terms=MOVES)
    table.now += ABANDONED
    [job] = table.group_jobs.movable("south", to="north")
    table.writes.members.send("moves", ErrandKind.CANCEL)
    assert table.writes.group_jobs.move(job, to="north", because="of a test", time_ns=5)
    table.writes.members.send("moves", ErrandKind.BREAK_OFF)
    table.writes.group_jobs.cancel("south", time_ns=7)
    kinds = [e.kind for e in table.writes.members.reads.cancels("north")]
    assert kinds == [ErrandKind.CANCEL, ErrandKind.BREAK_OFF]


def test_recovery_sees_the_jobs_of_its_own_backend_alone(table: Table) -> None:
    table.accept("here")
    table.accept("there", backend="north")
    assert [job.job_id for job in table.jobs.alive("south")] == ["here"]
    assert [job.job_id for job in table.jobs.alive()] == ["here", "there"]
    assert table.group_jobs.find("there", backend="south") is None
    found = table.group_jobs.find("there", backend="north")
    assert found is not None
    assert found.job_id == "there"


def test_news_are_of_the_jobs_of_others_since_the_last_look(table: Table) -> None:
    table.accept("here")
    table.accept("there", backend="north")
    first = table.group_jobs.news(after=0, besides="south")
    assert first.jobs == (("there", "me"),)
    assert table.group_jobs.news(after=first.last, besides="south").jobs == ()
    table.step("there", JobStatus.INITIALIZING, JobStatus.CANCELLED)
    assert table.group_jobs.news(after=first.last, besides="south").jobs == (("there", "me"),)


def test_what_a_project_has_on_other_backends_counts_until_it_ends(table: Table) -> None:
    table.accept("here")
    table.accept("there", backend="north")
    assert table.group_jobs.held(owner="me", besides="south") == Held(jobs=1, bytes=4)
    assert table.group_jobs.held(owner="you", besides="south") == Held()
    table.step("there", JobStatus.INITIALIZING, JobStatus.CANCELLED)
    assert table.group_jobs.held(owner="me", besides="south") == Held()
