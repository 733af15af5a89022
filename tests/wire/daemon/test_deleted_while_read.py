"""A job may be deleted between two looks at the store: then it is gone, and nothing is damaged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest

from qubitd.server.store.job_reads import JobReads
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.watching.recent_jobs import RecentJobs
from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
DeleteBefore = Callable[[type[Any], str, str], None]


@pytest.fixture(autouse=True)
def taken_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a job is kept in memory."""
    monkeypatch.setattr(RecentJobs, "begin", lambda *_: None)


@pytest.fixture
def delete_before(monkeypatch: pytest.MonkeyPatch) -> DeleteBefore:
    """Have a job deleted just before a method of the store is called next."""
    opened: list[SqliteStore] = []
    open_store = SqliteStore.__init__

    def noted(store: SqliteStore, *arguments: Any, **named: Any) -> None:
        open_store(store, *arguments, **named)
        opened.append(store)

    def delete(reads: type[Any], name: str, job_id: str) -> None:
        read = getattr(reads, name)

        def deleted_first(*arguments: Any) -> Any:
            monkeypatch.setattr(reads, name, read)
            opened[0].write(lambda w: w.jobs.delete(owner="local", job_id=job_id, who="ann", time_ns=5)).result()
            return read(*arguments)

        monkeypatch.setattr(reads, name, deleted_first)

    monkeypatch.setattr(SqliteStore, "__init__", noted)
    return delete


async def done(daemon: Any, request: jobs_pb2.SubmitRequest) -> str:
    job_id = str(await daemon.submit(request))
    assert (await daemon.statuses(job_id))[-1] == "DONE"
    return job_id


def outcome_of(daemon: Any, job_id: str) -> Any:
    return daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, outcome=True))


def results_of(daemon: Any, job_id: str) -> Any:
    return daemon.jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id))


@pytest.mark.parametrize(("reads", "name"), [(SqliteStore, "blob"), (JobReads, "chunks")])
async def test_a_watch_of_it_ends_without_an_outcome(
    reads: type[Any],
    name: str,
    delete_before: DeleteBefore,
    serve: Serve,
    open_rack_of: MakeRack,
    request_of: MakeRequest,
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await done(daemon, request_of())
        delete_before(reads, name, job_id)
        told = [event async for message in outcome_of(daemon, job_id) for event in message.events]
    assert told[-1].status.status == jobs_pb2.STATUS_DONE
    assert not told[-1].status.HasField("outcome")


async def test_who_reads_its_results_is_told_that_it_is_unknown(
    delete_before: DeleteBefore, serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await done(daemon, request_of())
        delete_before(SqliteStore, "pieces", job_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(results_of(daemon, job_id)))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("ask", [outcome_of, results_of])
async def test_what_is_lost_of_a_job_that_is_still_there_is_told_as_damage(
    ask: Callable[[Any, str], Any],
    serve: Serve,
    open_rack_of: MakeRack,
    request_of: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await done(daemon, request_of())
        monkeypatch.setattr(SqliteStore, "_row", lambda _store, _digest: None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(ask(daemon, job_id)))
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS
