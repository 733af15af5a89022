"""For how long a backend was served is durable soon, though nothing else is written: a daemon may die at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.wire.daemon.conftest import PaperRack, Serve

from qubitd.server.queueing import served as served_module
from qubitd.server.store.connections import open_reader
from qubitd.server.store.database import Database
from qubitd.server.store.job_reads import JobReads
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import jobs_pb2


@pytest.fixture(autouse=True)
def short_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_module, "PERIOD", 0.01)


async def noted(connection: Database, backend: str, times: int) -> list[float]:
    """Wait until the store has told so many times anew for how long a backend had been served."""
    jobs, seen = JobReads(connection), [0.0]
    while len(seen) <= times:
        await asyncio.sleep(0.001)
        seconds = jobs.served(backend)
        if seconds != seen[-1]:
            seen.append(seconds)
    return seen


async def test_it_is_noted_while_jobs_wait(
    serve: Serve, request_of: Callable[..., jobs_pb2.SubmitRequest], shut_rack: PaperRack, tmp_path: Path
) -> None:
    async with serve(rack=shut_rack) as daemon:
        for _ in range(2):
            await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        with closing(open_reader(tmp_path / "data" / DATABASE)) as connection:
            seen = await noted(connection, "line5", 40)
        shut_rack.gate.set()
    assert seen == sorted(seen)


async def test_the_age_of_a_job_does_not_wait_for_a_note(
    serve: Serve,
    request_of: Callable[..., jobs_pb2.SubmitRequest],
    shut_rack: PaperRack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served_module, "PERIOD", 1000.0)
    async with serve(rack=shut_rack) as daemon:
        for _ in range(3):
            await daemon.submit(request_of())
        with closing(open_reader(tmp_path / "data" / DATABASE)) as connection:
            since = [job.served for job in JobReads(connection).alive()]
        shut_rack.gate.set()
    assert len(set(since)) == 3
    assert since == sorted(filter(None, since))


async def test_it_is_noted_for_the_other_daemons_of_a_group_though_no_job_waits(
    serve_fridge: Serve, store_url: str
) -> None:
    from qubitd.server.store.postgres import PostgresConnection

    async with serve_fridge("south"):
        with closing(PostgresConnection(store_url, read_only=True)) as connection:
            seen = await noted(connection, "south", 5)
    assert seen == sorted(seen)
