"""Jobs whose session or slot is over wait with everybody's; a session goes on after a restart where it stood; and no
session takes the rack from one that holds it.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import grpc.aio
import pytest
from tests.wire.daemon.conftest import PaperRack, Passed, Serve, Served, taken_late

from qubitd.compiler.device_file import load_device
from qubitd.core.job import JobStatus
from qubitd.server import composition
from qubitd.server.clocks import Clocks
from qubitd.server.queueing import book as book_module
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import jobs_pb2, lab_pb2, lab_pb2_grpc, sessions_pb2, sessions_pb2_grpc, slots_pb2, slots_pb2_grpc
from qubitd.wire.jobs import LogLine, StatusChange, decode_events
from qubitd.wire.terms import JobTerms

MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
MakeRack = Callable[..., PaperRack]
_KEYS = (f"own-{n}" for n in itertools.count())


@dataclass(slots=True)
class Skipping:
    """Both clocks, which a test puts forward together."""

    ahead: float = 0.0

    def steady(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> int:
        return time.time_ns() + round(self.ahead * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Skipping:
    skipping = Skipping()
    monkeypatch.setattr(composition, "Clocks", lambda: Clocks(wall=skipping.wall, steady=skipping.steady))
    return skipping


def sessions(daemon: Served) -> sessions_pb2_grpc.SessionsAsyncStub:
    return sessions_pb2_grpc.SessionsStub(daemon.channel)


def lab(daemon: Served) -> lab_pb2_grpc.LabAsyncStub:
    return lab_pb2_grpc.LabStub(daemon.channel)


async def opened(daemon: Served, *, max_seconds: float = 0.0, idle_seconds: float = 0.0) -> str:
    request = sessions_pb2.OpenRequest(
        key=next(_KEYS), backend="line5", max_seconds=max_seconds, idle_seconds=idle_seconds
    )
    return str((await sessions(daemon).Open(request)).session.session_id)


async def session_of(daemon: Served, session_id: str) -> sessions_pb2.Session:
    return (await sessions(daemon).Get(sessions_pb2.SessionsGetRequest(session_id=session_id))).session


async def reserved(daemon: Served, clock: Skipping, *, seconds: float, ahead: float = 3600.0) -> str:
    """Reserve time for calibration that begins in an hour, or in so many seconds."""
    request = slots_pb2.ReserveRequest(
        key=next(_KEYS),
        backend="line5",
        kind=slots_pb2.SLOT_KIND_CALIBRATION,
        start_ns=clock.wall() + round(ahead * 1e9),
        seconds=seconds,
    )
    return str((await slots_pb2_grpc.SlotsStub(daemon.channel).Reserve(request)).slot.slot_id)


async def first_of(daemon: Served, job_id: str, fits: Callable[[object], bool]) -> object:
    """Wait for an event of a job."""
    watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id))
    async for message in watch:
        for event in decode_events(message):
            if fits(event.what):
                watch.cancel()
                return event.what
    raise AssertionError("the job ended without it")


async def told(daemon: Served, job_id: str) -> str:
    """Wait for the first line that is told of a job."""
    line = await first_of(daemon, job_id, lambda what: isinstance(what, LogLine))
    assert isinstance(line, LogLine)
    return line.text


async def queued(daemon: Served, request: jobs_pb2.SubmitRequest) -> str:
    """Submit a job and wait until it is queued."""
    job_id = await daemon.submit(request)
    await first_of(daemon, job_id, lambda what: isinstance(what, StatusChange) and what.status is JobStatus.QUEUED)
    return job_id


@pytest.mark.both_stores
async def test_what_left_a_session_whose_time_was_over_runs_after_a_restart(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=shut_rack) as daemon:
        session = await opened(daemon, max_seconds=100.0)
        running = await daemon.submit(request_of(terms=JobTerms(session_id=session)))
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await queued(daemon, request_of(terms=JobTerms(session_id=session)))
        await lab(daemon).Drain(lab_pb2.DrainRequest())
        clock.ahead += 200.0
        shut_rack.gate.set()
        assert (await daemon.statuses(running))[-1] == "DONE"
        assert await told(daemon, waiting) == "its session is over: it waits with everybody's"
        assert (await session_of(daemon, session)).state == sessions_pb2.SESSION_STATE_CLOSED
    async with serve(rack=shut_rack) as daemon:
        await lab(daemon).Resume(lab_pb2.ResumeRequest())
        assert (await daemon.statuses(waiting))[-1] == "DONE"


@pytest.mark.parametrize(("at_expiry", "end"), [("cancel", "CANCELLED"), ("requeue", "DONE")])
async def test_what_a_daemon_had_no_time_to_do_with_the_jobs_of_an_ended_session_the_next_one_does(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest, tmp_path: Path, at_expiry: str, end: str
) -> None:
    async with serve(rack=shut_rack) as daemon:
        session = await opened(daemon)
        await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await queued(daemon, request_of(terms=JobTerms(session_id=session)))
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection, connection:
        connection.execute("UPDATE session SET closed_ns = 1, accepting = 0, at_expiry = ?", (at_expiry,))
    async with serve(rack=shut_rack) as daemon:
        assert (await daemon.statuses(waiting))[-1] == end


async def test_a_job_that_a_new_calibration_made_longer_than_its_session_is_refused_after_a_restart(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest
) -> None:
    file = load_device("line5")
    slower = tuple(replace(p, value=p.value * 10) if p.name == "q0.reset.duration" else p for p in file.first_values)
    async with serve(rack=shut_rack) as daemon:
        session = await opened(daemon, max_seconds=1.0)
        await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await queued(daemon, request_of(shots=1000, terms=JobTerms(session_id=session)))
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    async with serve(rack=shut_rack, device=replace(file, first_values=slower, digest="slower")) as daemon:
        assert (await daemon.statuses(waiting))[-1] == "ERROR"
        assert "lasts 1 s at most, and the job takes 2." in (await daemon.job(waiting)).message


async def test_jobs_of_a_slot_that_is_released_wait_with_everybodys(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        slot = await reserved(daemon, clock, seconds=60.0)
        job_id = await queued(daemon, request_of(terms=JobTerms(slot_id=slot)))
        await slots_pb2_grpc.SlotsStub(daemon.channel).Release(slots_pb2.ReleaseRequest(slot_id=slot))
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        assert await told(daemon, job_id) == "its slot is over: it waits with everybody's"


async def test_jobs_of_a_slot_whose_time_is_over_wait_with_everybodys(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        slot = await reserved(daemon, clock, seconds=60.0)
        job_id = await queued(daemon, request_of(terms=JobTerms(slot_id=slot)))
        clock.ahead += 4000.0
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_jobs_of_a_slot_that_ended_while_no_daemon_was_there_wait_with_everybodys(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        slot = await reserved(daemon, clock, seconds=60.0)
        job_id = await queued(daemon, request_of(terms=JobTerms(slot_id=slot)))
    clock.ahead += 4000.0
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_jobs_of_a_slot_of_a_backend_that_is_not_served_wait_for_it_when_the_slot_is_over(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        slot = await reserved(daemon, clock, seconds=60.0)
        job_id = await queued(daemon, request_of(terms=JobTerms(slot_id=slot)))
    file, rack = load_device("line5"), open_rack_of()
    other = replace(file, device=replace(file.device, name="other"))
    async with serve(rack=rack, device=other) as daemon:
        clock.ahead += 4000.0
        for _ in range(2):
            assert (await daemon.statuses(await daemon.submit(request_of(backend="other"))))[-1] == "DONE"
        assert (await daemon.job(job_id)).status is JobStatus.QUEUED
    assert rack.log.count("start") == 2
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_a_slot_of_a_backend_that_is_not_served_reserves_no_other_rack(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        slot = await reserved(daemon, clock, ahead=0.0, seconds=3600.0)
    file = load_device("line5")
    other = replace(file, device=replace(file.device, name="other"))
    async with serve(rack=open_rack_of(), device=other) as daemon:
        assert (await daemon.statuses(await daemon.submit(request_of(backend="other"))))[-1] == "DONE"
        with pytest.raises(grpc.aio.AioRpcError, match="slot_id: is of backend 'line5', and the job is for 'other'"):
            await daemon.submit(request_of(backend="other", terms=JobTerms(slot_id=slot)))
    async with serve(rack=open_rack_of()) as daemon:
        waiting = await queued(daemon, request_of())
        assert (await daemon.statuses(await daemon.submit(request_of(terms=JobTerms(slot_id=slot)))))[-1] == "DONE"
        assert (await daemon.job(waiting)).status is JobStatus.QUEUED


async def test_a_long_job_of_an_earlier_process_starts_only_if_it_ends_before_the_next_slot(
    serve: Serve, shut_rack: PaperRack, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=shut_rack) as daemon:
        await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        long = await queued(daemon, request_of(shots=100_000, rep_delay=1e-3))
        await reserved(daemon, clock, ahead=90.0, seconds=60.0)
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(await daemon.submit(request_of(shots=1))))[-1] == "DONE"
        assert (await daemon.job(long)).status is JobStatus.QUEUED
        clock.ahead += 200.0
        await daemon.submit(request_of(shots=1))
        assert (await daemon.statuses(long))[-1] == "DONE"


async def test_a_session_nobody_uses_ends_when_its_only_job_is_cancelled_after_long(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=shut_rack) as daemon:
        session = await opened(daemon)
        running = await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await queued(daemon, request_of(terms=JobTerms(session_id=session)))
        await lab(daemon).Drain(lab_pb2.DrainRequest())
        shut_rack.gate.set()
        assert (await daemon.statuses(running))[-1] == "DONE"
        clock.ahead += 4000.0
        await daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=waiting))
        while (await session_of(daemon, session)).state != sessions_pb2.SESSION_STATE_CLOSED:
            continue


async def test_a_job_that_is_refused_for_its_key_does_not_keep_its_session_open(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        terms = JobTerms(session_id=await opened(daemon))
        may_write = taken_late(monkeypatch)
        is_there_too = Passed(monkeypatch, book_module, "job.accepting", nth=2)
        requests = [request_of(key="k", shots=shots, terms=terms) for shots in (1, 2)]
        calls = [asyncio.ensure_future(daemon.submit(request)) for request in requests]
        await is_there_too.wait()
        may_write.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        [job_id] = [answer for answer in answers if isinstance(answer, str)]
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        closed = await sessions(daemon).Close(sessions_pb2.CloseRequest(session_id=terms.session_id))
        assert closed.session.state == sessions_pb2.SESSION_STATE_CLOSED


@pytest.mark.both_stores
async def test_a_session_that_holds_the_rack_holds_it_after_a_restart_for_its_patience(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        session = await opened(daemon, max_seconds=3600.0, idle_seconds=100.0)
        mine = JobTerms(session_id=session)
        await daemon.events(await daemon.submit(request_of(terms=mine)))
        stranger = await queued(daemon, request_of())
    async with serve(rack=open_rack_of()) as daemon:
        assert (await session_of(daemon, session)).holds_rack
        assert (await daemon.statuses(await daemon.submit(request_of(terms=mine))))[-1] == "DONE"
        assert (await daemon.job(stranger)).status.value == "QUEUED"
        clock.ahead += 101.0
        other = await daemon.submit(request_of())
        assert [(await daemon.statuses(job_id))[-1] for job_id in (stranger, other)] == ["DONE", "DONE"]


async def test_a_session_of_a_backend_that_is_not_served_waits_for_it_and_holds_no_other_rack(
    serve: Serve, open_rack_of: MakeRack, shut_rack: PaperRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=shut_rack) as daemon:
        session = await opened(daemon, max_seconds=1e5, idle_seconds=50.0)
        mine = JobTerms(session_id=session)
        running = await daemon.submit(request_of(terms=mine))
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await queued(daemon, request_of(terms=mine))
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    file = load_device("line5")
    other = replace(file, device=replace(file.device, name="other"))
    async with serve(rack=open_rack_of(), device=other) as daemon:
        assert (await daemon.statuses(await daemon.submit(request_of(backend="other"))))[-1] == "DONE"
        with pytest.raises(grpc.aio.AioRpcError, match="session_id: is of backend 'line5', and the job is for 'other'"):
            await daemon.submit(request_of(backend="other", terms=mine))
        clock.ahead += 2e5
        assert (await daemon.statuses(await daemon.submit(request_of(backend="other"))))[-1] == "DONE"
        assert (await session_of(daemon, session)).state == sessions_pb2.SESSION_STATE_ACTIVE
    async with serve(rack=open_rack_of()) as daemon:
        stranger = await daemon.submit(request_of())
        assert [(await daemon.statuses(job_id))[-1] for job_id in (running, waiting)] == ["DONE", "DONE"]
        assert (await session_of(daemon, session)).holds_rack
        assert (await daemon.job(stranger)).status.value != "DONE"


async def test_the_time_of_a_session_runs_on_after_a_restart(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, clock: Skipping
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        session = await opened(daemon, max_seconds=100.0)
        await daemon.events(await daemon.submit(request_of(terms=JobTerms(session_id=session))))
        clock.ahead += 60.0
    clock.ahead += 1000.0
    async with serve(rack=open_rack_of()) as daemon:
        assert (await session_of(daemon, session)).state == sessions_pb2.SESSION_STATE_ACTIVE
        clock.ahead += 41.0
        await daemon.events(await daemon.submit(request_of()))
        assert (await session_of(daemon, session)).state == sessions_pb2.SESSION_STATE_CLOSED


async def test_a_session_that_gave_the_rack_back_does_not_take_it_from_one_that_holds_it(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        early = await opened(daemon, max_seconds=3600.0, idle_seconds=0.0)
        late = await opened(daemon, max_seconds=3600.0, idle_seconds=1000.0)
        for session in (early, late):
            await daemon.events(await daemon.submit(request_of(terms=JobTerms(session_id=session))))
        woken = await queued(daemon, request_of(terms=JobTerms(session_id=early)))
        assert (await daemon.statuses(await daemon.submit(request_of(terms=JobTerms(session_id=late)))))[-1] == "DONE"
        assert (await daemon.job(woken)).status.value == "QUEUED"
        await sessions(daemon).Close(sessions_pb2.CloseRequest(session_id=late))
        assert (await daemon.statuses(woken))[-1] == "DONE"
