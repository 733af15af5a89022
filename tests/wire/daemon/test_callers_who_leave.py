"""A caller may hang up at any moment: what it asked for is either wholly done or not at all, and the daemon goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest

from qubitd.core.job import JobStatus
from qubitd.server.store import job_reads
from qubitd.v1 import calibrations_pb2, jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


WHILE_WORKING = [0.0004 * n for n in range(1, 13)]
"""Seconds after which the caller hangs up: some before the answer is durable, some after."""


async def hang_up_on(call: Any, *also: grpc.StatusCode) -> None:
    code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED, *also)


async def until_earlier_writes_are_over(daemon: Any) -> None:
    """Ask for a change that can only be refused in its turn, behind the commits that nobody waits for."""
    request = calibrations_pb2.RollbackRequest(backend="line5", to_revision=1_000_000)
    assert await daemon.calibrations.Rollback(request).code() is grpc.StatusCode.NOT_FOUND


async def test_a_submit_that_was_given_up_can_be_sent_again(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        requests = [request_of() for _ in WHILE_WORKING]
        for request, seconds in zip(requests, WHILE_WORKING, strict=True):
            await hang_up_on(daemon.jobs.Submit(request, timeout=seconds))
        for request in requests:
            job_id = await daemon.submit(request)
            assert (await daemon.statuses(job_id))[-1] == "DONE"
        listed = await daemon.jobs.List(jobs_pb2.JobsListRequest())
    assert len(listed.jobs) == len(requests)


async def test_a_cancel_that_was_given_up_leaves_a_job_that_ends(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        for seconds in WHILE_WORKING:
            job_id = await daemon.submit(request_of())
            await hang_up_on(daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=job_id), timeout=seconds))
            last = (await daemon.statuses(job_id))[-1]
            assert (await daemon.job(job_id)).status is JobStatus(last)


async def test_a_commit_that_was_given_up_is_in_force_if_it_is_stored(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        for n, seconds in enumerate(WHILE_WORKING):
            parameter = calibrations_pb2.Parameter(name="q0.x.amplitude", value=0.2 + 0.001 * n)
            now = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5"))
            request = calibrations_pb2.CommitRequest(
                backend="line5", base_revision=now.revision.revision, parameters=[parameter]
            )
            await hang_up_on(daemon.calibrations.Commit(request, timeout=seconds), grpc.StatusCode.ABORTED)
        await until_earlier_writes_are_over(daemon)
        newest = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5"))
        history = await daemon.calibrations.History(
            calibrations_pb2.HistoryRequest(backend="line5", name="q0.x.amplitude")
        )
    assert history.entries[0].revision == newest.revision


async def test_a_watch_that_was_given_up_can_be_taken_up_again(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_reads, "EVENTS_AT_ONCE", 4)
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        whole = await daemon.events(job_id)
        seen: list[int] = []
        for _ in range(3):
            cursor = seen[-1] if seen else 0
            watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, after_sequence=cursor))
            async for message in watch:
                seen += [event.sequence for event in message.events]
                watch.cancel()
                break
        rest = await daemon.events(job_id, after=seen[-1])
    assert len(seen) == 12
    assert [event.sequence for event in whole] == seen + [event.sequence for event in rest]
