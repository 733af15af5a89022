"""The client for asyncio does all that the blocking one does, and holds up no loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from qubitd.client import NotFoundError, QubitdClient, StatusChange
from qubitd.client.aio import AsyncLabCalls, AsyncQubitdClient, AsyncSessionCalls, AsyncSlotCalls
from qubitd.client.lab import LabCalls
from qubitd.client.sessions import SessionCalls
from qubitd.client.slots import SlotCalls
from qubitd.core.job import JobStatus
from qubitd.wire.lab import LabState
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.specs import decode_spec

Serve = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize(
    ("mine", "blocking"),
    [
        (AsyncQubitdClient, QubitdClient),
        (AsyncSessionCalls, SessionCalls),
        (AsyncSlotCalls, SlotCalls),
        (AsyncLabCalls, LabCalls),
    ],
)
def test_it_has_every_method_of_the_blocking_client(mine: type, blocking: type) -> None:
    names = {name for name, _ in inspect.getmembers(blocking, callable) if not name.startswith("_")}
    assert names - {name for name in dir(mine) if not name.startswith("_")} == set()


async def test_jobs_run_side_by_side_and_their_events_come_in_order(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: Callable[..., Any]
) -> None:
    spec = decode_spec(request_of().spec)

    async def follow(client: AsyncQubitdClient) -> list[JobStatus]:
        job_id = await client.submit(spec, "line5")
        events = [event.what async for event in client.watch(job_id)]
        shots = sum([result.shots async for result in client.results(job_id)])
        assert shots == 100
        return [what.status for what in events if isinstance(what, StatusChange)]

    async with serve(rack=open_rack_of()) as daemon, AsyncQubitdClient(daemon.address) as client:
        assert client.address == daemon.address
        found = await asyncio.gather(*(follow(client) for _ in range(5)))
        session = await client.sessions.open(SessionTerms(key="k", backend="line5"))
        assert (await client.sessions.close(session.session_id)).closed_ns > 0
        assert await client.slots.list() == ()
        assert (await client.lab.health()).state is LabState.SERVING
        with pytest.raises(NotFoundError):
            await client.get_job("nobody")
    assert [statuses[-1] for statuses in found] == [JobStatus.DONE] * 5


async def test_a_cancelled_wait_ends_its_stream_and_its_thread(
    serve: Serve, shut_rack: Any, request_of: Callable[..., Any]
) -> None:
    spec = decode_spec(request_of().spec)
    async with serve(rack=shut_rack) as daemon, AsyncQubitdClient(daemon.address) as client:
        job_id = await client.submit(spec, "line5")

        async def to_the_end() -> None:
            async for _ in client.watch(job_id):
                pass

        waiting = asyncio.create_task(to_the_end())
        while not shut_rack.running.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with client.watch(job_id) as events:
            assert (await anext(events)).sequence > 0
    streams = [thread for thread in threading.enumerate() if thread.name.startswith("qubitd-stream")]
    for thread in streams:
        thread.join(5.0)
        assert not thread.is_alive()
