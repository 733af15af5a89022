"""A chunk's result is on the disk before the next but one begins, and a job is DONE when all of them are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]


def count(database: Path, what: str) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])


async def test_the_result_before_the_last_is_kept_when_a_chunk_begins(
    serve: Serve,
    open_rack_of: Callable[..., Any],
    request_of: Callable[..., jobs_pb2.SubmitRequest],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    database, rack = tmp_path / "data" / DATABASE, open_rack_of()
    kept_at_start: list[int] = []
    recorded_attempts: list[int] = []
    start = type(rack).start

    def look_and_start(self: Any) -> None:
        kept_at_start.append(count(database, "chunk"))
        recorded_attempts.append(count(database, "attempt"))
        start(self)

    monkeypatch.setattr(type(rack), "start", look_and_start)
    async with serve(rack=rack) as daemon:
        job_id = await daemon.submit(request_of(shots=6_000))
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id))
        kept_when_done = [
            count(database, "chunk")
            async for message in watch
            if any(event.status.status == jobs_pb2.STATUS_DONE for event in message.events)
        ]
    assert kept_when_done == [6]
    assert len(kept_at_start) == 6
    assert [kept >= number - 1 for number, kept in enumerate(kept_at_start)] == [True] * 6
    assert recorded_attempts == [1] * 6


async def test_a_result_that_came_with_the_last_event_counts_as_read(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: Callable[..., jobs_pb2.SubmitRequest], tmp_path: Path
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        for outcome in (False, True):
            job_id = await daemon.submit(request_of())
            async for _ in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, outcome=outcome)):
                pass
    assert count(tmp_path / "data" / DATABASE, "job WHERE read_ns > 0") == 1
    assert count(tmp_path / "data" / DATABASE, "job WHERE read_ns = 0") == 1


async def test_that_a_result_was_read_is_noted_once_however_it_is_read(
    serve: Serve,
    open_rack_of: Callable[..., Any],
    request_of: Callable[..., jobs_pb2.SubmitRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[int] = []
    monkeypatch.setattr(JobWrites, "mark_read", lambda _self, number, *, time_ns: noted.append(number))
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        for _ in range(2):
            async for _ in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, outcome=True)):
                pass
            assert await daemon.results(job_id)
    assert noted == [1]
