"""What a watch of jobs tells beside their states, for who asks: what came of them, and no stages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.server.watching import event_pages
from qubitd.server.watching.recent_jobs import RecentJobs
from qubitd.v1 import jobs_pb2

pytestmark = pytest.mark.both_stores
Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


async def told_of(daemon: Any, job_id: str, *, after: int = 0) -> list[jobs_pb2.JobEvent]:
    of = jobs_pb2.JobsWatchRequest(job_id=job_id, after_sequence=after, outcome=True)
    return [event async for message in daemon.jobs.Watch(of) for event in message.events]


@pytest.mark.parametrize("shots", [1, 3_000])
async def test_what_became_durable_lately_is_told_as_the_store_holds_it(
    shots: int, serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_pages, "_KEPT", 0)
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(shots=shots))
        await daemon.events(job_id)
        lately = await told_of(daemon, job_id)
        middle = lately[len(lately) // 2].sequence
        later = await told_of(daemon, job_id, after=middle)
        monkeypatch.setattr(RecentJobs, "events", lambda *_, **__: None)
        monkeypatch.setattr(RecentJobs, "ended", lambda *_: None)
        kept = await told_of(daemon, job_id)
    assert lately == kept
    assert later == [event for event in kept if event.sequence > middle]
    assert lately[-1].status.outcome.results.results


@pytest.mark.parametrize("kind", ["one", "some"])
async def test_a_watch_tells_what_came_of_a_small_job_to_who_asks(
    kind: str, serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(shots=3_000))
        of = jobs_pb2.JobsWatchRequest(job_id=job_id)
        if kind == "some":
            of = jobs_pb2.JobsWatchRequest(jobs=[jobs_pb2.JobCursor(job_id=job_id)])
        await daemon.events(job_id)
        silent = [event async for message in daemon.jobs.Watch(of) for event in message.events]
        of.outcome = True
        told = [event async for message in daemon.jobs.Watch(of) for event in message.events]
        results = [
            piece
            async for message in daemon.jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id))
            for piece in message.results
        ]
        job = await daemon.job(job_id)
    outcome = told[-1].status.outcome
    assert len(results) == 3
    assert list(outcome.results.results) == results
    assert outcome.job_id == job_id
    assert (outcome.backend, outcome.revision, outcome.shots) == (job.backend, job.revision, job.shots)
    assert outcome.instrument_seconds == job.instrument_seconds
    told[-1].status.ClearField("outcome")
    assert told == silent


@pytest.mark.parametrize("kind", ["one", "some"])
@pytest.mark.parametrize("is_over", [True, False])
async def test_a_watch_leaves_stages_out_for_who_asks(
    is_over: bool, kind: str, serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(shots=3_000))
        if is_over:
            await daemon.events(job_id)
        of = jobs_pb2.JobsWatchRequest(job_id=job_id, without_stages=True)
        if kind == "some":
            of = jobs_pb2.JobsWatchRequest(jobs=[jobs_pb2.JobCursor(job_id=job_id)], without_stages=True)
        told = [event async for message in daemon.jobs.Watch(of) for event in message.events]
        everything = [
            event
            async for message in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id))
            for event in message.events
        ]
    kept = [event for event in told if not event.HasField("queue")]
    assert kept == [event for event in everything if not event.HasField("stage")]
    assert len(kept) < len(everything)


async def test_a_watch_tells_no_outcome_that_is_big_or_not_there(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    far = CircuitBuilder(name="far", num_qubits=5, num_clbits=1).add("cz", 0, 2).measure(0, 0)
    async with serve(rack=open_rack_of()) as daemon:
        big = await daemon.submit(request_of(shots=70_000))
        bad = await daemon.submit(request_of(batch=pack([far])))
        of = jobs_pb2.JobsWatchRequest(jobs=[jobs_pb2.JobCursor(job_id=job_id) for job_id in (big, bad)], outcome=True)
        events = [event async for message in daemon.jobs.Watch(of) for event in message.events]
    ends = [event.status for event in events if event.status.status in (jobs_pb2.STATUS_DONE, jobs_pb2.STATUS_ERROR)]
    assert [end.HasField("outcome") for end in ends] == [False, False]
