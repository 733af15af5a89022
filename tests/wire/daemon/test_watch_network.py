"""Watches over a network that is cut, away for a while, or gives one byte at a time: nothing is lost or told twice."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.network import network

from qubitd.client import Bookmark, JobEvent, QubitdClient, QueuePlace, StatusChange
from qubitd.client.streams import Stream
from qubitd.core.job import JobSpec
from qubitd.server.auth.identity import LOCAL
from qubitd.server.watching import watches
from qubitd.v1 import backends_pb2, calibrations_pb2, jobs_pb2
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.specs import decode_spec
from qubitd.wire.terms import JobTerms

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


def told_until(watched: Stream[JobEvent], last_job: str) -> list[JobEvent]:
    """Read events until a job has ended."""
    told = list[JobEvent]()
    for event in watched:
        if isinstance(event.what, Bookmark):
            continue
        told.append(event)
        if event.job_id == last_job and isinstance(event.what, StatusChange) and event.what.status.is_final:
            break
    watched.cancel()
    return told


def submit(client: QubitdClient, spec: JobSpec, session_id: str) -> str:
    return client.submit(spec, "line5", terms=JobTerms(session_id=session_id))


async def test_a_watch_goes_on_after_a_network_that_was_away_while_jobs_ended(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    spec = decode_spec(request_of().spec)
    async with serve(rack=shut_rack) as daemon, network(daemon.address) as (between, address):
        with QubitdClient(daemon.address) as near, QubitdClient(address) as far:
            asked = SessionTerms(key=secrets.token_hex(8), backend="line5")
            session_id = (await asyncio.to_thread(near.sessions.open, asked)).session_id
            first = await asyncio.to_thread(submit, near, spec, session_id)
            last = await asyncio.to_thread(submit, near, spec, session_id)
            begun = far.watch_session(session_id)
            seen = await asyncio.to_thread(next, begun)
            watching = asyncio.create_task(asyncio.to_thread(told_until, begun, last))
            between.is_away = True
            between.cut()
            await between.refused.wait()
            shut_rack.gate.set()
            whole = await asyncio.to_thread(told_until, near.watch_session(session_id), last)
            between.is_away = False
            rest = await watching
    assert between.made >= 2
    assert [seen, *rest] == whole
    assert {event.job_id for event in whole} == {first, last}


async def test_a_watch_that_comes_byte_by_byte_is_the_same_watch(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon, network(daemon.address, most=1) as (_, address):
        job_id = await daemon.submit(request_of())
        with QubitdClient(daemon.address) as near, QubitdClient(address) as far:
            slowly = await asyncio.to_thread(lambda: list(far.watch(job_id)))
            directly = await asyncio.to_thread(lambda: list(near.watch(job_id)))
    assert kept(slowly) == kept(directly)


def kept(events: list[JobEvent]) -> list[JobEvent]:
    """Leave out the places in the queue and the bookmarks, which are told only to those who are there."""
    return [event for event in events if not isinstance(event.what, QueuePlace | Bookmark)]


async def is_open(call: Any) -> bool:
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    return True


def of_a_job(daemon: Any, job_id: str) -> Callable[[], Any]:
    return lambda: daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id))


def of_a_backend(daemon: Any, _: str) -> Callable[[], Any]:
    return lambda: daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name="line5"))


def of_a_calibration(daemon: Any, _: str) -> Callable[[], Any]:
    return lambda: daemon.calibrations.Watch(calibrations_pb2.CalibrationsWatchRequest(backend="line5"))


@pytest.mark.parametrize("watch_of", [of_a_job, of_a_backend, of_a_calibration])
async def test_a_project_has_so_many_watches_and_a_closed_one_makes_room(
    serve: Serve,
    shut_rack: Any,
    request_of: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    watch_of: Callable[[Any, str], Callable[[], Any]],
) -> None:
    for limit in ("MOST", "MOST_OF_BACKENDS"):
        monkeypatch.setattr(watches, limit, 2)
    async with serve(rack=shut_rack) as daemon:
        watch = watch_of(daemon, await daemon.submit(request_of()))
        with monkeypatch.context() as as_another:
            as_another.setattr(watches, "LOCAL", replace(LOCAL, project="another"))
            calls = [watch() for _ in range(2)]
            assert [await is_open(call) for call in calls] == [True, True]
            assert not await is_open(watch())
            calls[0].cancel()
            async with asyncio.timeout(10):
                while not await is_open(again := watch()):
                    pass
            assert not await is_open(watch())
        more = [watch() for _ in range(3)]
        assert [await is_open(call) for call in more] == [True] * 3
        for call in [calls[1], again, *more]:
            call.cancel()
        shut_rack.gate.set()
