"""The client for asyncio does all that the blocking one does, and holds up no loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from tests.network import network

from qubitd.client import Bookmark, ClosedError, JobEvent, NotFoundError, QubitdClient, QueuePlace, StatusChange
from qubitd.client.aio import AsyncLabCalls, AsyncQubitdClient, AsyncSessionCalls, AsyncSlotCalls, AsyncStream
from qubitd.client.client import LabCalls, SessionCalls, SlotCalls
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


async def test_a_wait_that_is_cancelled_loses_nothing_and_hangs_up(
    serve: Serve, shut_rack: Any, request_of: Callable[..., Any]
) -> None:
    spec = decode_spec(request_of().spec)
    told = list[JobEvent]()
    async with serve(rack=shut_rack) as daemon, AsyncQubitdClient(daemon.address) as client:
        job_id = await client.submit(spec, "line5")
        stream = client.watch(job_id)

        async def follow() -> None:
            async for event in stream:
                told.append(event)

        for _ in range(3):
            waiting = asyncio.create_task(follow())
            while not told or not shut_rack.running.is_set() or stream._call is None:
                await asyncio.sleep(0)
            call = stream._call
            await asyncio.sleep(0)  # lets the call begin
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert call.cancelled()
        shut_rack.gate.set()
        await follow()
        whole = await rest_of(client.watch(job_id))
    assert kept(told) == kept(whole)


async def test_a_watch_goes_on_after_a_network_that_was_away(
    serve: Serve, shut_rack: Any, request_of: Callable[..., Any]
) -> None:
    spec = decode_spec(request_of().spec)
    async with (
        serve(rack=shut_rack) as daemon,
        network(daemon.address) as (between, address),
        AsyncQubitdClient(daemon.address) as near,
        AsyncQubitdClient(address) as far,
    ):
        job_id = await near.submit(spec, "line5")
        stream = far.watch(job_id)
        seen = [await anext(stream)]
        between.is_away = True
        between.cut()
        following = asyncio.ensure_future(rest_of(stream))
        await between.refused.wait()
        shut_rack.gate.set()
        whole = await rest_of(near.watch(job_id))
        between.is_away = False
        seen += await following
    assert between.made >= 2
    assert kept(seen) == kept(whole)


async def test_a_hundred_watches_take_no_thread_and_end_with_their_client(
    serve: Serve, shut_rack: Any, request_of: Callable[..., Any]
) -> None:
    spec = decode_spec(request_of().spec)
    async with serve(rack=shut_rack) as daemon, AsyncQubitdClient(daemon.address) as client:
        job_id = await client.submit(spec, "line5")
        async with client.watch(job_id) as first:
            await anext(first)
        before = threading.active_count()
        streams = [client.watch(job_id) for _ in range(100)]
        await asyncio.gather(*map(anext, streams))
        assert threading.active_count() <= before
        waiting = asyncio.gather(*map(rest_of, streams))
        asking = asyncio.ensure_future(client.list_jobs())
        await asyncio.sleep(0)
        await client.close()
        await client.close()
        with pytest.raises(ClosedError):
            await asking
        assert not any(
            isinstance(e.what, StatusChange) and e.what.status.is_final for one in await waiting for e in one
        )
        with pytest.raises(ClosedError):
            client.watch(job_id)


def test_a_client_is_made_where_an_event_loop_runs() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncQubitdClient("127.0.0.1:1")


async def rest_of(stream: AsyncStream[JobEvent]) -> list[JobEvent]:
    return [event async for event in stream]


def kept(events: list[JobEvent]) -> list[JobEvent]:
    """Leave out what is told only to those who are there."""
    return [event for event in events if not isinstance(event.what, QueuePlace | Bookmark)]
