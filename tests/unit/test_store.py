"""The store on a real SQLite file and a real PostgreSQL: what is acknowledged stays, states move only as they may."""

from __future__ import annotations

import dataclasses
import itertools
import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from tests import store_life

from qubitd.core.errors import Problem, QubitdError
from qubitd.core.job import JobStatus
from qubitd.server.errors import (
    KeyReusedError,
    NotEndedError,
    StaleWriteError,
    StoreBrokenError,
    StoreCorruptError,
    StoreError,
    StoreTooNewError,
    UnknownJobError,
)
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.posix import file_system_of
from qubitd.server.store import connections
from qubitd.server.store.blobs import FILE_THRESHOLD
from qubitd.server.store.database import Database
from qubitd.server.store.event_rows import Events
from qubitd.server.store.frames import join, split
from qubitd.server.store.rows import Accepted, Change, JobQuery, NewChunk, NewJob, Span
from qubitd.server.store.sqlite_store import BLOBS, DATABASE, SqliteStore
from qubitd.server.store.store import Store, Writes
from qubitd.wire.jobs import ExecutionSpan, LogLine, Progress, StageTime, StatusChange

NEW = dataclasses.replace(
    store_life.NEW,
    job_id="job-1",
    owner="local",
    key="key-1",
    spec=b"spec",
    shots=100,
    circuits=2,
    programs=4,
    tags=("bell", "today"),
    created_ns=1_000,
)
SPAN = Span(first_program=0, programs=4, first_shot=0, shots=100)
PLAYED = ExecutionSpan(first_program=0, programs=4, first_shot=0, shots=100, began_ns=1_000, ended_ns=2_000)
CHUNK = NewChunk(n=0, span=SPAN, pieces=(b"one", b"", b"three"), instrument_ns=2_000_000_000)


def submitted(store: Store, new: NewJob = NEW) -> Future[Accepted]:
    return store.write(lambda w: w.jobs.accept(new))


def accept(store: Store, new: NewJob = NEW) -> Accepted:
    return submitted(store, new).result()


def change(before: JobStatus, after: JobStatus, *, version: int, job_id: str = "job-1", message: str = "") -> Change:
    return Change(job_id=job_id, before=before, version=version, after=after, time_ns=2_000, message=message)


def stepped(store: Store, step: Change) -> Future[Events]:
    if step.after is JobStatus.RUNNING:
        return store.write(lambda w: w.jobs.start(step, attempt=1))
    return store.write(lambda w: w.jobs.change(step))


def walk(store: Store, *path: JobStatus, job_id: str = "job-1") -> None:
    for version, (before, after) in enumerate(itertools.pairwise(path)):
        stepped(store, change(before, after, version=version, job_id=job_id)).result()


TO_RUNNING = (JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING)


def test_an_accepted_job_is_described_with_its_tags_and_first_events(store: Store) -> None:
    assert accept(store) == Accepted(job_id="job-1", number=1, is_new=True)
    job = store.jobs.get(owner="local", job_id="job-1")
    assert (job.status, job.shots, job.num_circuits, job.num_programs) == (JobStatus.INITIALIZING, 100, 2, 4)
    assert job.tags == ("bell", "today")
    assert job.timeline == (StageTime(stage="accepted", time_ns=1_000),)
    assert job.last_sequence == 2


def test_an_accepted_job_is_there_after_the_store_is_opened_again(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    accept(first)
    first.close()
    second = SqliteStore(tmp_path)
    assert [job.job_id for job in second.jobs.alive()] == ["job-1"]
    assert second.blob(second.jobs.spec_digest("job-1")) == b"spec"
    second.close()


def test_the_same_key_with_the_same_content_gives_the_same_job(store: Store) -> None:
    accept(store)
    again = accept(store, dataclasses.replace(NEW, job_id="job-2"))
    assert again == Accepted(job_id="job-1", number=1, is_new=False)


def test_the_same_key_with_other_content_is_refused_and_names_the_job(store: Store) -> None:
    accept(store)
    with pytest.raises(KeyReusedError, match=r"key 'key-1' already stands for job job-1"):
        accept(store, dataclasses.replace(NEW, job_id="job-2", request_digest="bb"))


def test_another_owner_may_use_the_same_key(store: Store) -> None:
    accept(store)
    assert accept(store, dataclasses.replace(NEW, job_id="job-2", owner="other")).is_new


def test_a_refused_command_undoes_itself_and_leaves_its_neighbours(store: Store) -> None:
    accept(store)
    futures = [
        store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-2", request_digest="bb"))),
        store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-3", key="key-3"))),
    ]
    assert isinstance(futures[0].exception(), KeyReusedError)
    assert futures[1].result().number == 2


def test_in_one_commit_a_refused_command_undoes_itself_and_its_neighbours_are_done_once(store: Store) -> None:
    accept(store)
    again = dataclasses.replace(NEW, job_id="job-2", request_digest="bb")
    stale = change(JobStatus.QUEUED, JobStatus.RUNNING, version=2)
    futures: list[Future[Any]] = [
        store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-3", key="key-3")), hurried=False),
        store.write(lambda w: w.jobs.accept(again), hurried=False),
        store.write(lambda w: w.jobs.append("job-3", [Dated(time_ns=1, what=LogLine(text="a line"))]), hurried=False),
        store.write(lambda w: w.jobs.change(stale), hurried=False),
        store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-4", key="key-4"))),
    ]
    assert [type(future.exception()) for future in futures] == [
        NoneType,
        KeyReusedError,
        NoneType,
        StaleWriteError,
        NoneType,
    ]
    numbers = (1, futures[0].result().number, futures[-1].result().number)
    assert [job.number for job in store.jobs.alive()] == list(numbers)
    assert [job.job_id for job in store.jobs.alive()] == ["job-1", "job-3", "job-4"]
    told = [[event.sequence for event in store.jobs.events(number, after=0)] for number in numbers]
    assert told == [[1, 2], [3, 4, 5], [6, 7]]


def test_a_change_appends_its_events_and_then_the_new_state(store: Store) -> None:
    accept(store)
    step = dataclasses.replace(
        change(JobStatus.INITIALIZING, JobStatus.ERROR, version=0, message="no such gate"),
        problems=(Problem(where="circuit 0", what="no such gate", circuit=0, operation=3),),
        events=(reached(Stage.DECODING, 1_500), Dated(time_ns=1_600, what=LogLine(text="a line"))),
    )
    store.write(lambda w: w.jobs.change(step)).result()
    events = store.jobs.events(1, after=2)
    assert [event.what for event in events] == [
        StageTime(stage="decoding", time_ns=1_500),
        LogLine(text="a line"),
        StatusChange(status=JobStatus.ERROR, message="no such gate"),
    ]
    assert store.jobs.get(owner="local", job_id="job-1").problems == step.problems


def test_steps_that_are_written_together_leave_what_they_leave_one_by_one(store: Store) -> None:
    steps = (
        dataclasses.replace(
            change(JobStatus.INITIALIZING, JobStatus.VALIDATING, version=0, message="looks"), revision=7
        ),
        dataclasses.replace(
            change(JobStatus.VALIDATING, JobStatus.QUEUED, version=1), events=(reached(Stage.QUEUED, 1_700),)
        ),
    )
    accept(store)
    store.write(lambda w: w.jobs.change(*steps)).result()
    accept(store, dataclasses.replace(NEW, job_id="job-2", key="key-2"))
    for step in steps:
        stepped(store, dataclasses.replace(step, job_id="job-2")).result()
    together, apart = (store.jobs.get(owner="local", job_id=name) for name in ("job-1", "job-2"))
    assert (together.status, together.message) == (apart.status, apart.message) == (JobStatus.QUEUED, "")
    assert together.revision == apart.revision == 7
    assert [event.what for event in store.jobs.events(1, after=0)] == [
        event.what for event in store.jobs.events(2, after=0)
    ]
    stepped(store, change(JobStatus.QUEUED, JobStatus.CANCELLED, version=2)).result()


def test_a_late_write_is_dropped(store: Store) -> None:
    accept(store)
    walk(store, JobStatus.INITIALIZING, JobStatus.VALIDATING)
    late = store.write(
        lambda w: w.jobs.change(change(JobStatus.INITIALIZING, JobStatus.CANCELLED, version=0))
    ).exception()
    assert isinstance(late, StaleWriteError)
    assert late.found == "VALIDATING (version 1)"


def test_the_database_itself_refuses_to_leave_a_final_state(store: Store) -> None:
    accept(store)
    walk(store, JobStatus.INITIALIZING, JobStatus.CANCELLED)
    refused = store.write(lambda w: w.jobs.change(change(JobStatus.CANCELLED, JobStatus.QUEUED, version=1))).exception()
    assert refused is not None
    assert "a final state never changes" in str(refused)
    assert store.jobs.get(owner="local", job_id="job-1").status is JobStatus.CANCELLED


def test_two_jobs_never_run_on_one_backend(store: Store) -> None:
    for n in (1, 2):
        accept(store, dataclasses.replace(NEW, job_id=f"job-{n}", key=f"key-{n}"))
        walk(store, *TO_RUNNING[:3], job_id=f"job-{n}")
    running = [
        stepped(store, change(JobStatus.QUEUED, JobStatus.RUNNING, version=2, job_id=f"job-{n}")) for n in (1, 2)
    ]
    assert running[0].exception() is None
    assert "unique" in str(running[1].exception()).lower()


def test_a_chunk_is_kept_with_its_pieces_progress_and_instrument_time(store: Store) -> None:
    accept(store)
    walk(store, *TO_RUNNING)
    events = (Dated(time_ns=3_000, what=Progress(done=400, total=400, span=PLAYED)),)
    store.write(lambda w: w.jobs.record_chunk("job-1", CHUNK, attempt=1, events=events)).result()
    (row,) = store.jobs.chunks(1)
    assert (row.span, row.pieces) == (SPAN, 3)
    assert list(split(store.blob(row.digest))) == [b"one", b"", b"three"]
    assert store.jobs.get(owner="local", job_id="job-1").instrument_seconds == 2.0
    assert store.jobs.events(1, after=0)[-1].what == Progress(done=400, total=400, span=PLAYED)


def test_a_chunk_of_an_earlier_attempt_is_dropped(store: Store) -> None:
    accept(store)
    walk(store, *TO_RUNNING)
    late = store.write(lambda w: w.jobs.record_chunk("job-1", CHUNK, attempt=2, events=())).exception()
    assert isinstance(late, StaleWriteError)
    assert store.jobs.chunks(1) == []


def test_events_are_counted_within_their_project_and_no_number_comes_twice(store: Store) -> None:
    accept(store)
    accept(store, dataclasses.replace(NEW, job_id="job-2", owner="loud"))
    walk(store, JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.CANCELLED, job_id="job-2")
    walk(store, JobStatus.INITIALIZING, JobStatus.CANCELLED)
    number = store.jobs.number(owner="local", job_id="job-1")
    assert [event.sequence for event in store.jobs.events(number, after=0)] == [1, 2, 3]
    assert store.jobs.get(owner="local", job_id="job-1").last_sequence == 3
    assert [store.jobs.newest_of(owner) for owner in ("local", "loud", "silent")] == [3, 4, 0]
    store.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).result()
    accept(store, dataclasses.replace(NEW, job_id="job-3", key="key-3"))
    seen = store.jobs.events_of_many(owner="local", session_id="", backend=NEW.backend, after=3)
    assert [(event.sequence, event.job_id) for event in seen] == [(4, "job-3"), (5, "job-3")]


def test_pages_go_from_the_newest_job_down_and_filter(store: Store) -> None:
    for n in range(1, 6):
        accept(store, dataclasses.replace(NEW, job_id=f"job-{n}", key=f"key-{n}", tags=(f"parity-{n % 2}", "all")))
    walk(store, JobStatus.INITIALIZING, JobStatus.CANCELLED, job_id="job-3")

    def page(**conditions: object) -> list[str]:
        query = JobQuery(owner="local", limit=2)
        return [job.job_id for job in store.jobs.page(dataclasses.replace(query, **conditions)).jobs]  # type: ignore[arg-type]

    assert page() == ["job-5", "job-4"]
    assert page(below="job-4") == ["job-3", "job-2"]
    assert store.jobs.had(owner="local", job_id="job-4")
    assert not store.jobs.had(owner="another", job_id="job-4")
    assert page(statuses=(JobStatus.CANCELLED,)) == ["job-3"]
    assert page(tags=("parity-1", "all")) == ["job-5", "job-3"]
    assert page(backend="other") == []
    assert page(owner="other") == []


def test_another_owner_sees_nothing(store: Store) -> None:
    accept(store)
    for ask in (store.jobs.get, store.jobs.number):
        with pytest.raises(UnknownJobError, match="job-1"):
            ask(owner="other", job_id="job-1")


def test_a_big_blob_is_a_file_and_a_small_one_a_row(sqlite: SqliteStore, tmp_path: Path) -> None:
    big = dataclasses.replace(NEW, spec=b"x" * (FILE_THRESHOLD + 1))
    accept(sqlite, big)
    accept(sqlite, dataclasses.replace(NEW, job_id="job-2", key="key-2", spec=b"x" * FILE_THRESHOLD))
    files = [path.name for path in (tmp_path / BLOBS).iterdir()]
    assert files == [sqlite.jobs.spec_digest("job-1")]
    assert sqlite.blob(files[0]) == big.spec


def test_a_damaged_blob_is_noticed(sqlite: SqliteStore, tmp_path: Path) -> None:
    accept(sqlite, dataclasses.replace(NEW, spec=b"x" * (FILE_THRESHOLD + 1)))
    digest = sqlite.jobs.spec_digest("job-1")
    (tmp_path / BLOBS / digest).write_bytes(b"y" * (FILE_THRESHOLD + 1))
    with pytest.raises(StoreCorruptError, match="does not match its name"):
        sqlite.blob(digest)
    (tmp_path / BLOBS / digest).unlink()
    with pytest.raises(StoreCorruptError, match="gone"):
        sqlite.blob(digest)
    with pytest.raises(StoreCorruptError, match="no row"):
        sqlite.blob("00")


def test_files_that_no_row_names_are_swept_at_the_start(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    accept(first, dataclasses.replace(NEW, spec=b"x" * (FILE_THRESHOLD + 1)))
    first.close()
    (tmp_path / BLOBS / "half.part").write_bytes(b"half")
    second = SqliteStore(tmp_path)
    assert [path.name for path in (tmp_path / BLOBS).iterdir()] == [second.jobs.spec_digest("job-1")]
    second.close()


def test_deleting_removes_content_but_keeps_the_key_taken(sqlite: SqliteStore, tmp_path: Path) -> None:
    accept(sqlite, dataclasses.replace(NEW, spec=b"x" * (FILE_THRESHOLD + 1)))
    running = sqlite.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).exception()
    assert isinstance(running, NotEndedError)
    walk(sqlite, JobStatus.INITIALIZING, JobStatus.CANCELLED)
    digests = sqlite.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).result()
    sqlite.write(lambda w: w.jobs.remove_files(digests)).result()
    assert list((tmp_path / BLOBS).iterdir()) == []
    with pytest.raises(UnknownJobError):
        sqlite.jobs.get(owner="local", job_id="job-1")
    assert isinstance(
        sqlite.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).exception(),
        UnknownJobError,
    )
    assert accept(sqlite).job_id == "job-1"


def test_a_blob_that_another_job_uses_survives_a_delete(store: Store) -> None:
    spec = b"x" * (FILE_THRESHOLD + 1)
    for n in (1, 2):
        accept(store, dataclasses.replace(NEW, job_id=f"job-{n}", key=f"key-{n}", spec=spec))
    walk(store, JobStatus.INITIALIZING, JobStatus.CANCELLED)
    digests = store.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).result()
    store.write(lambda w: w.jobs.remove_files(digests)).result()
    assert store.blob(store.jobs.spec_digest("job-2")) == spec


def test_sequence_numbers_are_not_reused_after_a_delete(store: Store) -> None:
    accept(store)
    walk(store, JobStatus.INITIALIZING, JobStatus.CANCELLED)
    last = store.jobs.get(owner="local", job_id="job-1").last_sequence
    store.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).result()
    accept(store, dataclasses.replace(NEW, job_id="job-2", key="key-2"))
    assert store.jobs.events(2, after=0)[0].sequence == last + 1


def test_a_project_knows_up_to_which_number_its_events_went_with_their_jobs(store: Store) -> None:
    def removed(owner: str) -> int:
        return store.jobs.removed_of(owner, session_id="")

    def remove(job_id: str) -> None:
        store.write(lambda w: w.jobs.delete(owner="local", job_id=job_id, who="ann", time_ns=5)).result()

    accept(store)
    accept(store, dataclasses.replace(NEW, job_id="job-2", key="key-2"))
    for job_id in ("job-1", "job-2"):
        walk(store, JobStatus.INITIALIZING, JobStatus.CANCELLED, job_id=job_id)
    assert [event.sequence for event in store.jobs.events(2, after=0)] == [3, 4, 6]
    assert removed("local") == 0
    for job_id in ("job-2", "job-1"):  # the later one's events are the newest that went
        remove(job_id)
        assert (removed("local"), removed("another")) == (6, 0)
    assert store.jobs.newest_of("local") == 6


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(StoreTooNewError, match="schema version 99"):
        SqliteStore(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == before


def test_a_damaged_store_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"this is no database, and it is long enough to be looked at" * 100)
    with pytest.raises(QubitdError, match=DATABASE):
        SqliteStore(tmp_path)


def test_a_store_with_a_damaged_page_is_refused_by_name(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for n in range(200):
        accept(store, dataclasses.replace(NEW, job_id=f"job-{n}", key=f"key-{n}", spec=b"%d" % n * 500))
    store.close()
    path = tmp_path / DATABASE
    damaged = bytearray(path.read_bytes())
    for start in range(8 * 4096, len(damaged), 4096):
        damaged[start : start + 64] = b"\xff" * 64
    path.write_bytes(damaged)
    with pytest.raises(StoreCorruptError, match=DATABASE):
        SqliteStore(tmp_path)


def test_a_cancelled_write_is_left_out_and_its_neighbours_are_kept(store: Store) -> None:
    held, entered = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        held.wait()

    store.write(hold)
    entered.wait()
    left_out = store.write(lambda w: w.jobs.accept(NEW))
    kept = store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-2", key="key-2")))
    assert left_out.cancel()
    held.set()
    assert kept.result().number == 1


def test_many_waiting_writes_are_all_durable_in_order(store: Store) -> None:
    futures = [submitted(store, dataclasses.replace(NEW, job_id=f"job-{n}", key=f"key-{n}")) for n in range(600)]
    assert [future.result().number for future in futures] == list(range(1, 601))


def test_a_write_that_nobody_waits_for_shares_the_commit_of_the_next(store: Store) -> None:
    done: list[str] = []
    unhurried = store.write(lambda _: done.append("unhurried"), hurried=False)
    accepted = store.write(lambda w: w.jobs.accept(NEW))
    assert accepted.result().number == 1
    assert unhurried.done()
    late = store.write(lambda _: done.append("late"), hurried=False)
    assert done == ["unhurried"]
    store.hurry()
    late.result()
    assert done == ["unhurried", "late"]
    store.hurry()


def test_a_write_that_nobody_waits_for_waits_and_is_not_lost(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    unhurried = store.write(lambda w: w.jobs.accept(NEW), hurried=False)
    assert store.jobs.alive() == []
    store.close()
    assert unhurried.result().number == 1
    assert isinstance(store.write(lambda w: w.jobs.accept(NEW), hurried=False).exception(), StoreBrokenError)


def test_a_write_that_nobody_waits_for_is_refused_with_the_rest_when_the_disk_failed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    (tmp_path / BLOBS).rmdir()
    held, entered = threading.Event(), threading.Event()

    def fail(writes: Writes) -> None:
        entered.set()
        held.wait()
        writes.jobs.accept(dataclasses.replace(NEW, spec=b"x" * (FILE_THRESHOLD + 1)))

    failed = store.write(fail)
    entered.wait()
    unhurried = store.write(lambda w: w.jobs.accept(NEW), hurried=False)
    held.set()
    assert isinstance(failed.exception(), StoreBrokenError)
    assert isinstance(unhurried.exception(), StoreBrokenError)
    store.close()


@pytest.mark.parametrize("is_between", [False, True])
def test_a_mistake_in_a_command_breaks_the_store_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_between: bool
) -> None:
    told: list[StoreBrokenError] = []
    raised: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda hook: raised.append(hook.exc_type))
    store = SqliteStore(tmp_path, on_broken=told.append)
    mistaken = store._writer.between(lambda _: 1 // 0) if is_between else store.write(lambda _: 1 // 0)
    assert isinstance(mistaken.exception(20), StoreBrokenError)
    store.close()
    assert len(told) == 1
    assert raised == [ZeroDivisionError]


def test_a_mistake_as_a_store_is_opened_is_raised_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(SqliteStore, "_prepare", mistaken)
    with pytest.raises(ZeroDivisionError):
        SqliteStore(tmp_path)


def test_a_directory_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path)


def test_the_running_writer_has_synchronous_full(sqlite: SqliteStore) -> None:
    def pragmas(jobs: Database) -> tuple[int, str]:
        return (
            jobs.execute("PRAGMA synchronous").fetchone()[0],
            jobs.execute("PRAGMA journal_mode").fetchone()[0],
        )

    assert sqlite.write(lambda w: pragmas(w.jobs._connection)).result() == (2, "wal")


def test_a_writer_that_would_not_be_durable_is_refused(tmp_path: Path) -> None:
    connection = connections.open_writer(tmp_path / "loose.sqlite")
    connections.assert_durable(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    with pytest.raises(StoreError, match="synchronous=1"):
        connections.assert_durable(connection)
    connection.close()


def test_readers_cannot_write(sqlite: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        sqlite._connection.execute("DELETE FROM job")


def test_nothing_is_written_after_the_disk_failed(tmp_path: Path) -> None:
    told: list[StoreBrokenError] = []
    store = SqliteStore(tmp_path, on_broken=told.append)
    (tmp_path / BLOBS).rmdir()
    first = store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, spec=b"x" * (FILE_THRESHOLD + 1))))
    assert isinstance(first.exception(), StoreBrokenError)
    later = store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-2", key="key-2")))
    assert isinstance(later.exception(), StoreBrokenError)
    assert len(told) == 1
    store.close()


def test_a_write_after_closing_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.close()
    refused = store.write(lambda w: w.jobs.accept(NEW)).exception()
    assert isinstance(refused, StoreBrokenError)
    assert "closed" in str(refused)


@pytest.mark.parametrize("pieces", [(), (b"",), (b"a", b"", b"c" * 1000)])
def test_frames_come_out_as_they_went_in(pieces: tuple[bytes, ...]) -> None:
    assert tuple(split(join(pieces))) == pieces


def test_a_directory_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    share = tmp_path / "a share"
    (share / "data").mkdir(parents=True)
    name = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/home {name} nfs4 rw 0 0\n")
    assert [file_system_of(path, mounts) for path in (share / "data", tmp_path, share)] == ["nfs4", "ext4", "nfs4"]
    assert file_system_of(tmp_path, tmp_path / "nowhere") == ""
    monkeypatch.setattr(connections, "file_system_of", lambda path: file_system_of(path, mounts))
    with pytest.raises(StoreError, match=r"a share/data is on a network file system \(nfs4\)"):
        SqliteStore(share / "data")
    assert list((share / "data").iterdir()) == []
    SqliteStore(tmp_path / "mine").close()
