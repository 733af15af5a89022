"""Who used one fridge of a group stands behind at the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.wire.daemon.conftest import PaperRack, Serve, Served

from qubitd.core.job import JobStatus
from qubitd.server.auth.identity import LOCAL
from qubitd.server.queueing.fair_share import FairShare
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import StatusChange, decode_events

pytest.importorskip("psycopg")

Requests = Callable[..., jobs_pb2.SubmitRequest]


async def started(daemon: Served, job_id: str) -> int:
    """Give when a job got the rack, ns."""
    (began,) = [
        event.time_ns
        for event in await daemon.events(job_id)
        if isinstance(event.what, StatusChange) and event.what.status is JobStatus.RUNNING
    ]
    return began


async def submitted(daemon: Served, request: jobs_pb2.SubmitRequest) -> str:
    """Submit a job and watch it until it waits for the rack."""
    job_id = await daemon.submit(request)
    watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id))
    async for message in watch:
        told = [event.what for event in decode_events(message)]
        if any(isinstance(what, StatusChange) and what.status is JobStatus.QUEUED for what in told):
            break
    watch.cancel()
    return job_id


async def test_a_project_that_used_one_fridge_waits_at_the_other_for_one_that_used_none(
    serve_fridge: Serve,
    request_of: Requests,
    open_rack_of: Callable[..., PaperRack],
    shut_rack: PaperRack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts: list[FairShare] = []
    begin = FairShare.__init__

    def made(account: FairShare, **parts: Any) -> None:
        begin(account, **parts)
        accounts.append(account)

    def call_as(project: str) -> None:
        monkeypatch.setattr("qubitd.server.auth.gate.LOCAL", replace(LOCAL, project=project))

    monkeypatch.setattr(FairShare, "__init__", made)
    async with serve_fridge("south", rack=open_rack_of()) as south, serve_fridge("north", rack=shut_rack) as north:
        call_as("ann")
        await south.events(await south.submit(request_of(backend="south")))
        async with asyncio.timeout(30):
            while accounts[1].shares.standing("ann") == 0.0:
                await asyncio.sleep(0.01)
        call_as("eve")
        await north.submit(request_of(backend="north"))
        await asyncio.to_thread(shut_rack.running.wait)
        call_as("ann")
        first = await submitted(north, request_of(backend="north"))
        call_as("bob")
        second = await submitted(north, request_of(backend="north"))
        shut_rack.gate.set()
        of_bob = await started(north, second)
        call_as("ann")
        assert of_bob < await started(north, first)
