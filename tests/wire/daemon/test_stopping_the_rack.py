"""Whoever wants the rack to stop gets it: wherever the job is, and whatever else takes its time."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.wire.daemon.conftest import CompiledLate, Hold, written_late

from qubitd.drivers.errors import InstrumentNotFoundError
from qubitd.server.instruments import rack as rack_thread
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import jobs_pb2, lab_pb2, lab_pb2_grpc, sessions_pb2_grpc
from qubitd.wire.lab import LabHealth, LabState, decode_health
from qubitd.wire.sessions import SessionTerms, encode_terms
from qubitd.wire.uploads import encode_upload, upload_messages, upload_of

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
NOT_THERE = InstrumentNotFoundError(resource="paper", what="nobody answers")
STOPPED = "the lab was stopped by an operator: hands in the rack; ask when it resumes"


class Operator:
    """Whoever has the switches."""

    def __init__(self, daemon: Any) -> None:
        channel: grpc.aio.Channel = daemon.channel
        self._lab: lab_pb2_grpc.LabAsyncStub = lab_pb2_grpc.LabStub(channel)

    async def stop(self) -> None:
        await self._lab.Stop(lab_pb2.StopRequest(reason="hands in the rack"))

    async def drain(self) -> None:
        await self._lab.Drain(lab_pb2.DrainRequest(reason="hands in the rack"))

    async def resume(self) -> None:
        await self._lab.Resume(lab_pb2.ResumeRequest())

    async def health(self) -> LabHealth:
        return decode_health(await self._lab.Health(lab_pb2.HealthRequest()))

    async def becomes(self, *, operational: bool) -> None:
        """Wait until the rack answers, or does so no longer."""
        while (await self.health()).operational is not operational:
            continue

    async def begin_stop(self) -> asyncio.Task[None]:
        """Ask for a stop; on return the daemon knows of it."""
        stopping = asyncio.ensure_future(self.stop())
        while (await self.health()).state is not LabState.STOPPED:
            continue
        return stopping


async def test_a_stop_between_two_chunks_is_not_forgotten(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    fetching, loads = Hold(nth=2), itertools.count(1)
    rack = open_rack_of(before={"fetch": fetching, "load": lambda: next(loads)})
    async with serve(rack=rack) as daemon:
        job_id = await daemon.submit(request_of(shots=5000))
        await asyncio.to_thread(fetching.reached.wait)
        stopping = await Operator(daemon).begin_stop()
        fetching.go_on.set()
        await stopping
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        assert (await daemon.job(job_id)).message == STOPPED
        assert [result.first_shot for result in await daemon.results(job_id)] == [0, 1000]
    assert rack.log.count("start") == 2
    assert next(loads) == 3


async def test_a_stop_while_a_chunk_is_loaded_keeps_it_from_starting(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    loading = Hold()
    rack = open_rack_of(before={"load": loading})
    async with serve(rack=rack) as daemon:
        job_id = await daemon.submit(request_of())
        await asyncio.to_thread(loading.reached.wait)
        stopping = await Operator(daemon).begin_stop()
        loading.go_on.set()
        await stopping
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
    assert "start" not in rack.log


async def test_a_stop_while_the_attempt_is_being_written_makes_the_rack_safe_first(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = written_late(monkeypatch, "start")
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        before = rack.log.count("stop")
        taken = asyncio.ensure_future(daemon.submit(request_of()))
        await asyncio.to_thread(writing.reached.wait)
        stopping = await Operator(daemon).begin_stop()
        while rack.log.count("stop") == before:
            await asyncio.sleep(0)
        writing.go_on.set()
        await stopping
        assert (await daemon.statuses(await taken))[-1] == "ERROR"
    assert "start" not in rack.log


@pytest.mark.parametrize("switch", [Operator.stop, Operator.drain])
async def test_a_job_that_was_being_compiled_when_the_lab_closed_waits_until_it_resumes(
    switch: Callable[[Operator], Any],
    serve: Serve,
    open_rack_of: MakeRack,
    request_of: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled_late = CompiledLate(monkeypatch)
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        operator = Operator(daemon)
        job_id = await daemon.submit(request_of())
        await compiled_late.begun.wait()
        await switch(operator)
        compiled_late.go_on.set()
        while (await operator.health()).queued == 0 and not (await daemon.job(job_id)).status.is_final:
            continue
        assert "start" not in rack.log
        await operator.resume()
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_a_cancel_by_force_while_a_chunk_is_loaded_keeps_it_from_starting(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    loading = Hold()
    rack = open_rack_of(before={"load": loading})
    async with serve(rack=rack) as daemon:
        job_id = await daemon.submit(request_of())
        await asyncio.to_thread(loading.reached.wait)
        await daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=job_id, force=True))
        loading.go_on.set()
        assert (await daemon.statuses(job_id))[-1] == "CANCELLED"
    assert "start" not in rack.log


async def test_a_cancel_by_force_stops_the_rack_before_the_last_result_is_recorded(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = written_late(monkeypatch, "record_chunk")
    rack = open_rack_of()
    rack.before["fetch"] = rack.gate.clear
    async with serve(rack=rack) as daemon:
        before = rack.log.count("stop")
        job_id = await daemon.submit(request_of(shots=3000))
        await asyncio.to_thread(recording.reached.wait)
        while rack.log.count("start") < 2:
            await asyncio.sleep(0)
        cancelling = asyncio.ensure_future(
            daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=job_id, force=True)).code()
        )
        while rack.log.count("stop") == before:
            await asyncio.sleep(0)
        recording.go_on.set()
        assert await cancelling is grpc.StatusCode.OK
        assert (await daemon.statuses(job_id))[-1] == "CANCELLED"
        assert [result.first_shot for result in await daemon.results(job_id)] == [0]


async def test_a_stop_is_kept_and_tried_until_it_is_done_though_its_caller_hangs_up(
    serve: Serve, open_rack_of: MakeRack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rack_thread, "RETRY_SECONDS", 0.0)
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        operator = Operator(daemon)
        rack.connect_faults += [NOT_THERE] * 1_000_000
        stopping = await operator.begin_stop()
        await operator.becomes(operational=False)
        stopping.cancel()
        await asyncio.wait([stopping])
        with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as other:
            while not (lines := other.execute("SELECT who, what FROM audit").fetchall()):
                await asyncio.sleep(0)
        assert lines == [("local", "stopped the lab: hands in the rack")]
        rack.connect_faults.clear()
        await operator.becomes(operational=True)
    assert "start" not in rack.log


@pytest.mark.both_stores
@pytest.mark.parametrize(
    ("switch", "state"), [(Operator.stop, LabState.STOPPED), (Operator.drain, LabState.DRAINED)], ids=["stop", "drain"]
)
async def test_a_lab_that_was_closed_stays_so_in_the_next_daemon_until_an_operator_resumes(
    switch: Callable[[Operator], Any],
    state: LabState,
    serve: Serve,
    open_rack_of: MakeRack,
    shut_rack: Any,
    request_of: MakeRequest,
) -> None:
    async with serve(rack=shut_rack) as daemon:
        await daemon.submit(request_of())
        waiting = await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        await switch(Operator(daemon))
        shut_rack.gate.set()
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        operator = Operator(daemon)
        health = await operator.health()
        assert (health.state, health.reason, health.queued) == (state, "hands in the rack", 1)
        assert "start" not in rack.log
        await operator.resume()
        assert (await daemon.statuses(waiting))[-1] == "DONE"
    async with serve(rack=open_rack_of()) as daemon:
        assert (await Operator(daemon).health()).state is LabState.SERVING


@pytest.mark.parametrize("switch", [Operator.stop, Operator.drain])
async def test_a_job_whose_answer_was_lost_is_recognised_though_the_lab_is_closed(
    switch: Callable[[Operator], Any], serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    request = request_of()
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request)
        await switch(Operator(daemon))
        assert await daemon.submit(request) == job_id
        data = request.SerializeToString()
        upload = upload_of(data, "again")
        await daemon.jobs.Upload(upload_messages(upload, data, first=0))
        assert await daemon.submit(jobs_pb2.SubmitRequest(upload=encode_upload(upload))) == job_id
        with pytest.raises(grpc.aio.AioRpcError, match="hands in the rack") as caught:
            await daemon.submit(request_of())
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("switch", [Operator.stop, Operator.drain])
async def test_a_session_whose_answer_was_lost_is_given_again_though_the_lab_is_closed(
    switch: Callable[[Operator], Any], serve: Serve, open_rack_of: MakeRack
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        channel: grpc.aio.Channel = daemon.channel
        stub = sessions_pb2_grpc.SessionsStub(channel)
        first, other = (encode_terms(SessionTerms(key=key, backend="line5")) for key in ("first", "other"))
        opened = await stub.Open(first)
        await switch(Operator(daemon))
        assert (await stub.Open(first)).session.session_id == opened.session.session_id
        with pytest.raises(grpc.aio.AioRpcError, match="hands in the rack") as caught:
            await stub.Open(other)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_job_whose_answer_was_lost_is_recognised_though_the_disk_is_full(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of()
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        assert await daemon.submit(request) == job_id
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await daemon.submit(request_of())
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
