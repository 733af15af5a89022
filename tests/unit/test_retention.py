"""Results go some time after they were read first, then the trace of the job; what was never read stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubitd.core.job import JobStatus
from qubitd.server.clocks import Clocks
from qubitd.server.errors import ExpiredJobError, KeyReusedError, UnknownJobError
from qubitd.server.retention import BATCH, Caretaker, Retention
from qubitd.server.store.rows import Change, NewChunk, NewJob, Span
from qubitd.server.store.store import BLOBS, Store

DAY = 86_400 * 10**9
BIG = bytes(100_000)
"""Bytes that go into a file of their own."""
NEW = NewJob(
    job_id="job-1",
    owner="ann",
    key="key-1",
    backend="line5",
    request_digest="aa",
    spec=b"spec",
    shots=1,
    circuits=1,
    programs=1,
    tags=("t",),
    created_ns=1,
)
STORY = (JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def done(store: Store, new: NewJob) -> int:
    """Take a job through its life; gives its number."""
    number = store.write(lambda w: w.jobs.accept(new)).result().number
    for version in range(4):
        step = Change(
            job_id=new.job_id, before=STORY[version], version=version, after=STORY[version + 1], time_ns=2, message=""
        )
        if step.after is JobStatus.RUNNING:
            store.write(lambda w, step=step: w.jobs.start(step, attempt=1)).result()  # type: ignore[misc]
            span = Span(first_program=0, programs=1, first_shot=0, shots=1)
            chunk = NewChunk(n=0, span=span, pieces=(new.job_id.encode() + BIG,), instrument_ns=0)
            store.write(lambda w, c=chunk: w.jobs.record_chunk(new.job_id, c, attempt=1, events=())).result()  # type: ignore[misc]
        else:
            store.write(lambda w, step=step: w.jobs.change(step)).result()  # type: ignore[misc]
    return number


def caretaker(store: Store, days: float) -> Caretaker:
    clocks = Clocks(wall=lambda: round(days * DAY))
    return Caretaker(store=store, clocks=clocks, retention=Retention(results_days=30, tombstones_days=90))


async def test_results_go_thirty_days_after_they_were_read_and_the_job_says_so(store: Store, tmp_path: Path) -> None:
    number = done(store, NEW)
    unread = done(store, replace(NEW, job_id="job-2", key="key-2"))
    assert store.jobs.is_unread(number)
    store.write(lambda w: w.jobs.mark_read(number, time_ns=DAY)).result()
    assert not store.jobs.is_unread(number)
    assert await caretaker(store, 30.9).tidy() == 0
    assert len(list((tmp_path / BLOBS).rglob("*"))) >= 2
    files = {path for path in (tmp_path / BLOBS).rglob("*") if path.is_file()}
    assert await caretaker(store, 31.1).tidy() == 1
    assert len(files - {path for path in (tmp_path / BLOBS).rglob("*") if path.is_file()}) == 1
    with pytest.raises(ExpiredJobError, match="job job-1 ended DONE; its results were kept for a while"):
        store.jobs.get(owner="ann", job_id="job-1")
    with pytest.raises(UnknownJobError):
        store.jobs.get(owner="bob", job_id="job-1")
    assert store.jobs.is_unread(unread)


async def test_id_and_key_stay_taken_for_ninety_days_more(store: Store) -> None:
    number = done(store, NEW)
    store.write(lambda w: w.jobs.mark_read(number, time_ns=DAY)).result()
    await caretaker(store, 40).tidy()
    again = store.write(lambda w: w.jobs.accept(replace(NEW, job_id="other"))).result()
    assert (again.job_id, again.is_new) == ("job-1", False)
    with pytest.raises(KeyReusedError):
        store.write(lambda w: w.jobs.accept(replace(NEW, job_id="other", request_digest="bb"))).result()
    await caretaker(store, 129).tidy()
    assert store.jobs.is_known(owner="ann", key="key-1")
    await caretaker(store, 131).tidy()
    assert not store.jobs.is_known(owner="ann", key="key-1")


async def test_many_jobs_go_in_batches(store: Store) -> None:
    for i in range(BATCH + 3):
        number = done(store, replace(NEW, job_id=f"j{i}", key=f"k{i}"))
        store.write(lambda w, n=number: w.jobs.mark_read(n, time_ns=DAY)).result()  # type: ignore[misc]
    assert await caretaker(store, 50).tidy() == BATCH + 3
    assert await caretaker(store, 50).tidy() == 0
