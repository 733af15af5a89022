"""Commands that share a commit: what each is told, and what the store holds, is as if each had one of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from types import NoneType
from typing import Any

import pytest
from tests import store_life
from tests.postgres_server import PostgresServer

from qubitd.core.job import JobStatus
from qubitd.server.errors import ImpossibleWriteError, KeyReusedError, StaleWriteError, UnknownJobError
from qubitd.server.jobs.events import Dated
from qubitd.server.store.audit import verify
from qubitd.server.store.rows import Change, NewChunk, NewJob, Span
from qubitd.server.store.store import Store, Writes
from qubitd.wire.jobs import LogLine

Command = Callable[[Writes], Any]
PATH = (JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE)
LINE = Dated(time_ns=7, what=LogLine(text="a line"))
CHUNK = NewChunk(n=0, span=Span(first_program=0, programs=1, first_shot=0, shots=1), pieces=(b"one",), instrument_ns=5)


def job(name: str, *, owner: str = "ann") -> NewJob:
    return replace(store_life.NEW, job_id=name, key=name, owner=owner, backend=f"of {name}")


def accept(name: str, *, owner: str = "ann") -> Command:
    return lambda w: w.jobs.accept(job(name, owner=owner)).events


def change(name: str, version: int) -> Change:
    return Change(job_id=name, before=PATH[version], version=version, after=PATH[version + 1], time_ns=9)


def step(name: str, version: int) -> Command:
    return lambda w: w.jobs.change(change(name, version))


def start(name: str) -> Command:
    return lambda w: w.jobs.start(change(name, 2), attempt=1)


def say(name: str) -> Command:
    return lambda w: w.jobs.append(name, [LINE])


def together(store: Store, *commands: Command) -> list[Future[Any]]:
    """Have commands written in one commit, and wait for it."""
    futures = [store.write(command, hurried=False) for command in commands]
    store.hurry()
    for future in futures:
        future.exception()
    assert verify(store.audit._connection).broken is None
    return futures


def told(future: Future[Any]) -> list[int]:
    return [event.sequence for event in future.result()]


def kept(store: Store, name: str, *, owner: str = "ann") -> list[int]:
    number = store.jobs.number(owner=owner, job_id=name)
    return [event.sequence for event in store.jobs.events(number, after=0)]


def test_the_numbers_of_a_projects_events_follow_each_other_within_a_commit_and_across(store: Store) -> None:
    first = together(store, accept("a"), step("a", 0), step("a", 1), start("a"))
    assert [told(future) for future in first] == [[1, 2], [3], [4], [5]]
    second = together(store, say("a"), accept("b"))
    assert [told(future) for future in second] == [[6], [7, 8]]
    assert (kept(store, "a"), kept(store, "b"), store.jobs.newest_of("ann")) == ([1, 2, 3, 4, 5, 6], [7, 8], 8)
    assert verify(store.audit._connection).lines == 5


def test_projects_that_share_a_commit_count_for_themselves(store: Store) -> None:
    commands = (accept("a"), accept("b", owner="bob"), say("a"), step("b", 0), say("a"), accept("c", owner="bob"))
    futures = together(store, *commands)
    assert [told(future) for future in futures] == [[1, 2], [1, 2], [3], [3], [4], [4, 5]]
    assert kept(store, "a") == [1, 2, 3, 4]
    assert (kept(store, "b", owner="bob"), kept(store, "c", owner="bob")) == ([1, 2, 3], [4, 5])
    assert [store.jobs.newest_of(owner) for owner in ("ann", "bob")] == [4, 5]


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda w: w.jobs.accept(replace(job("a"), request_digest="other")), KeyReusedError),
        (step("a", 3), StaleWriteError),
        (say("nobody"), UnknownJobError),
        (lambda w: (w.jobs.append("a", [LINE]), w.jobs.start(change("a", 2), attempt=1)), StaleWriteError),
        (lambda w: (accept("d", owner="bob")(w), w.jobs.accept(replace(job("b"), key="x"))), ImpossibleWriteError),
    ],
)
def test_what_a_refused_command_would_have_told_is_told_by_the_next(
    store: Store, refused: Command, error: type[Exception]
) -> None:
    together(store, accept("a"))
    commands = (accept("b"), step("a", 0), refused, say("a"), accept("c", owner="bob"))
    futures = together(store, *commands)
    assert [type(future.exception()) for future in futures] == [NoneType, NoneType, error, NoneType, NoneType]
    assert [told(future) for future in futures if future.exception() is None] == [[3, 4], [5], [6], [1, 2]]
    assert (kept(store, "a"), kept(store, "b"), kept(store, "c", owner="bob")) == ([1, 2, 5, 6], [3, 4], [1, 2])
    assert [store.jobs.newest_of(owner) for owner in ("ann", "bob")] == [6, 2]
    assert verify(store.audit._connection).lines == 4


def test_a_job_may_end_and_be_deleted_in_one_commit_with_events_of_others(store: Store) -> None:
    cancel = replace(change("a", 0), after=JobStatus.CANCELLED)
    futures = together(
        store,
        accept("a"),
        accept("b"),
        lambda w: w.jobs.change(cancel),
        lambda w: w.jobs.delete(owner="ann", job_id="a", who="ann", time_ns=10),
        say("b"),
    )
    assert [told(futures[n]) for n in (0, 1, 2, 4)] == [[1, 2], [3, 4], [5], [6]]
    assert kept(store, "b") == [3, 4, 6]
    assert store.jobs.removed_of("ann", session_id="") == 5
    seen = store.jobs.events_of_many(owner="ann", session_id="", backend="of a", after=0)
    assert seen == []


def test_a_job_of_which_something_is_told_just_now_is_not_forgotten(store: Store) -> None:
    together(store, accept("a"), lambda w: w.jobs.change(replace(change("a", 0), after=JobStatus.CANCELLED)))
    together(store, lambda w: w.jobs.delete(owner="ann", job_id="a", who="ann", time_ns=10))
    futures = together(store, accept("b"), say("a"), lambda w: w.jobs.forget(20, limit=9), say("b"))
    assert [type(future.exception()) for future in futures] == [NoneType, NoneType, ImpossibleWriteError, NoneType]
    assert [told(futures[n]) for n in (0, 1, 3)] == [[4, 5], [6], [7]]
    assert kept(store, "b") == [4, 5, 7]


def test_a_last_chunk_and_the_last_step_leave_what_they_leave_one_by_one(store: Store) -> None:
    for name in ("a", "b"):
        together(store, accept(name), step(name, 0), step(name, 1), start(name))
    last = replace(change("a", 3), message="well", revision=4, events=(LINE,))
    (at_once,) = together(store, lambda w: w.jobs.record_chunk("a", CHUNK, attempt=1, events=[LINE, LINE], then=last))
    apart = together(
        store,
        lambda w: w.jobs.record_chunk("b", CHUNK, attempt=1, events=[LINE, LINE]),
        lambda w: w.jobs.change(replace(last, job_id="b")),
    )
    assert [event.what for event in at_once.result()] == [event.what for future in apart for event in future.result()]
    assert (told(at_once), told(apart[0]) + told(apart[1])) == ([11, 12, 13, 14], [15, 16, 17, 18])
    jobs = [store.jobs.get(owner="ann", job_id=name) for name in ("a", "b")]
    alike = [replace(one, job_id="", backend="", last_sequence=0) for one in jobs]
    assert alike[0] == alike[1]
    chunks = [store.jobs.chunks(store.jobs.number(owner="ann", job_id=name)) for name in ("a", "b")]
    assert chunks[0] == chunks[1] != []


@pytest.mark.parametrize(
    ("attempt", "version", "expected", "found"),
    [
        (2, 3, "RUNNING (attempt 2)", "RUNNING (attempt 1)"),
        (2, 4, "RUNNING (attempt 2)", "RUNNING (attempt 1)"),
        (1, 4, "RUNNING (version 4)", "RUNNING (version 3)"),
    ],
)
def test_a_last_chunk_that_comes_too_late_is_dropped_with_its_step(
    store: Store, attempt: int, version: int, expected: str, found: str
) -> None:
    together(store, accept("a"), step("a", 0), step("a", 1), start("a"))
    last = replace(change("a", 3), version=version)
    (late,) = together(store, lambda w: w.jobs.record_chunk("a", CHUNK, attempt=attempt, events=(), then=last))
    error = late.exception()
    assert isinstance(error, StaleWriteError)
    assert (error.expected, error.found) == (expected, found)
    number = store.jobs.number(owner="ann", job_id="a")
    assert (store.jobs.chunks(number), kept(store, "a")) == ([], [1, 2, 3, 4, 5])
    assert store.jobs.get(owner="ann", job_id="a").instrument_seconds == 0.0


def test_two_daemons_that_write_at_once_count_the_events_of_one_project(postgres: PostgresServer) -> None:
    from qubitd.server.store.postgres_store import PostgresStore

    url = postgres.new_schema()
    stores = (PostgresStore(url), PostgresStore(url))
    futures = [
        store.write(command, hurried=n % 3 == 0)
        for n in range(40)
        for who, store in enumerate(stores)
        for command in (accept(f"{who}-{n}"), step(f"{who}-{n}", 0))
    ]
    for store in stores:
        store.hurry()
    numbers = [number for future in futures for number in told(future)]
    assert sorted(numbers) == list(range(1, 241))
    assert stores[0].jobs.newest_of("ann") == 240
    assert verify(stores[0].audit._connection).lines == 160
    for store in stores:
        store.close()
