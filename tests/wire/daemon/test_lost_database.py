"""A daemon whose database server dies ends with the reason; nothing that it acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.postgres_server import PostgresServer

from qubitd.server.errors import DatabaseLostError
from qubitd.v1 import jobs_pb2

pytest.importorskip("psycopg")
Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


@pytest.fixture
def store_kind() -> str:
    return "postgres"


@pytest.fixture
def fallible(postgres: PostgresServer) -> Any:
    """A server that a test may kill; the next test finds it up."""
    yield postgres
    postgres.kill()
    postgres.start()


@pytest.mark.parametrize("call", ["submit", "get"])
async def test_a_daemon_ends_when_its_database_dies_and_goes_on_when_it_is_back(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest, fallible: PostgresServer, call: str
) -> None:
    kept: list[str] = []

    async def lose_the_database() -> None:
        async with serve(rack=shut_rack) as daemon:
            kept.extend([await daemon.submit(request_of()), await daemon.submit(request_of())])
            await asyncio.to_thread(shut_rack.running.wait)
            await asyncio.to_thread(fallible.kill)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (daemon.submit(request_of()) if call == "submit" else daemon.job(kept[0]))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            shut_rack.gate.set()
            await daemon.task

    with pytest.raises(DatabaseLostError, match="start the daemon again"):
        await lose_the_database()
    assert shut_rack.log[-2:] == ["stop", "close"]
    fallible.start()
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(kept[0]))[-1] == "ERROR"
        assert "interrupted at program 0" in (await daemon.job(kept[0])).message
        assert (await daemon.statuses(kept[1]))[-1] == "DONE"
        page = await daemon.jobs.List(jobs_pb2.JobsListRequest())
        assert {job.job_id for job in page.jobs} == set(kept)
