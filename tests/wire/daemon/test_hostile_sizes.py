"""Requests of legal shape and absurd size: each is refused by name before it takes memory, beyond its limit only."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.snapshot import Parameter
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.server import failure
from qubitd.server.front import receiving
from qubitd.server.front.rpc import MAX_BYTES
from qubitd.server.revisions import calibrations
from qubitd.server.services import jobs
from qubitd.server.store import paging, sqlite_store
from qubitd.v1 import calibrations_pb2, jobs_pb2, jobs_pb2_grpc, lab_pb2, lab_pb2_grpc
from qubitd.wire.calibrations import encode_parameter

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


def wide(name: str, bits: int) -> CircuitBuilder:
    return CircuitBuilder(name=name, num_qubits=1, num_clbits=bits).measure(0, 0)


async def test_a_request_may_have_its_most_bytes_and_no_more(serve: Serve, open_rack_of: MakeRack) -> None:
    def ask(size: int) -> jobs_pb2.JobsGetRequest:
        request = jobs_pb2.JobsGetRequest(job_id="x" * (size - 4))
        assert request.ByteSize() == size
        return request

    async with serve(rack=open_rack_of()) as daemon:
        code, _ = await refused(daemon.jobs.Get(ask(MAX_BYTES)))
        assert code is grpc.StatusCode.NOT_FOUND
        code, why = await refused(daemon.jobs.Get(ask(MAX_BYTES + 1)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why == "JobsGetRequest, bytes: is 65537; the limits are 0 and 65536"


async def test_a_flood_of_tiny_fields_is_counted_before_it_is_parsed(serve: Serve, open_rack_of: MakeRack) -> None:
    operations = b"\x0a\x00" * 550_000
    batch = b"\x12" + varint(len(operations)) + operations
    spec = b"\x1a" + varint(len(batch)) + batch
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.channel.unary_unary("/qubitd.v1.Jobs/Submit")(spec))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why == "SubmitRequest: holds more than 200000 fields; split the request"


def varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low]) if number < 128 else bytes([low | 0x80]) + varint(number >> 7)


async def test_a_wide_register_times_many_shots_is_refused_with_the_bytes(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    request = request_of(batch=pack([wide(str(n), 65_536) for n in range(2)]), shots=65_537)
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.jobs.Submit(request))
        code_of_explain, _ = await refused(
            daemon.jobs.Explain(jobs_pb2.ExplainRequest(backend="line5", spec=request.spec))
        )
    assert (code, code_of_explain) == (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INVALID_ARGUMENT)
    assert why.startswith("result: would take 1073758208 bytes (2 programs x 65537 shots); the limit is 1073741824")


async def test_a_wide_register_is_recorded_in_pieces(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        daemon.rack.capacity = type(daemon.rack.capacity)(most=100_000)
        job_id = await daemon.submit(request_of(batch=pack([wide("wide", 65_536)]), shots=2_100))
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        whole = await daemon.results(job_id)
        rest = await daemon.results(job_id, skip=16)
    assert [piece.shots for piece in whole] == [128] * 15 + [126, 54]
    assert all(piece.bits is not None and piece.bits.nbytes <= 2**20 for piece in whole)
    assert [piece.first_shot for piece in rest] == [2046]


async def test_a_page_of_talkative_jobs_ends_early_and_the_next_goes_on(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES", 1000)
    async with serve(rack=open_rack_of()) as daemon:
        ids = [await daemon.submit(request_of(batch=pack([broken()]))) for _ in range(4)]
        for job_id in ids:
            await daemon.events(job_id)
        pages: list[list[str]] = []
        token = ""
        while token or not pages:
            page = await daemon.jobs.List(jobs_pb2.JobsListRequest(page_size=4, page_token=token))
            pages.append([job.job_id for job in page.jobs])
            token = page.next_page_token
    assert [job_id for page in pages for job_id in page] == ids[::-1]
    assert len(pages) > 1


def broken() -> CircuitBuilder:
    """A circuit with a hundred and fifty faults."""
    builder = CircuitBuilder(name="broken", num_qubits=5, num_clbits=1)
    for _ in range(150):
        builder.add("cz", 0, 4)
    return builder


async def test_what_is_kept_of_a_faulty_job_is_bounded(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(batch=pack([broken()])))
        await daemon.events(job_id)
        job = await daemon.job(job_id)
    assert len(job.message.encode()) <= failure.MAX_MESSAGE
    assert 100 <= len(job.problems) <= failure.MAX_KEPT


async def test_a_cursor_beyond_every_event_is_refused(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        last = (await daemon.events(job_id))[-1].sequence
        assert await daemon.events(job_id, after=last) == []
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, after_sequence=2**64 - 1))
        code, why = await refused(watch.read())
    assert code is grpc.StatusCode.OUT_OF_RANGE
    assert why.startswith("after_sequence: is 18446744073709551615")


async def test_a_full_disk_takes_no_job_and_serves_what_it_has(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        await daemon.events(job_id)
        monkeypatch.setattr(sqlite_store, "LEAST_FREE_BYTES", 2**60)
        code, why = await refused(daemon.jobs.Submit(request_of()))
        assert len(await daemon.results(job_id)) == 1
        health = await lab_pb2_grpc.LabStub(daemon.channel).Health(lab_pb2.HealthRequest())
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert re.search(rf"no job is taken, .* bytes left and {2**60} stay in reserve", health.reason)
    assert f"the daemon keeps {2**60} in reserve" in why
    assert "delete jobs that are no longer needed, or free space" in why


async def test_big_requests_wait_for_their_turn_and_are_all_taken(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MOST_AT_ONCE", 1)
    big = [request_of(client_data=bytes(100_000)) for _ in range(3)]
    async with serve(rack=open_rack_of()) as daemon:
        assert len(set(await asyncio.gather(*map(daemon.submit, big)))) == 3


async def test_a_revision_holds_its_most_parameters_and_no_more(
    serve: Serve, open_rack_of: MakeRack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(*names: str) -> calibrations_pb2.CommitRequest:
        new = [Parameter(name=name, value=1e-5, unit="s", source="test") for name in names]
        return calibrations_pb2.CommitRequest(
            backend="line5", base_revision=1, parameters=map(encode_parameter, new), message="more"
        )

    async with serve(rack=open_rack_of()) as daemon:
        first = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5"))
        monkeypatch.setattr(calibrations, "MAX_PARAMETERS", len(first.parameters) + 1)
        code, why = await refused(daemon.calibrations.Commit(commit("q0.a.sigma", "q0.b.sigma")))
        made = await daemon.calibrations.Commit(commit("q0.a.sigma"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert f"would hold {len(first.parameters) + 2} parameters; the limit is {len(first.parameters) + 1}" in why
    assert made.revision.revision == 2


async def test_a_commit_of_too_many_parameters_is_refused_before_they_are_read(
    serve: Serve, open_rack_of: MakeRack
) -> None:
    request = calibrations_pb2.CommitRequest(backend="line5", parameters=[calibrations_pb2.Parameter()] * 20_001)
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.calibrations.Commit(request))
    assert (code, why) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "parameters: is 20001; the limits are 1 and 20000",
    )


async def test_a_late_program_that_does_not_fit_ends_the_job_before_it_queues(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    small = CircuitBuilder(name="small", num_qubits=1, num_clbits=1).measure(0, 0)
    late = CircuitBuilder(name="late", num_qubits=1, num_clbits=1).delay(0, 1.0).measure(0, 0)
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        rack.capacity = type(rack.capacity)(most=10)
        job_id = await daemon.submit(request_of(batch=pack([*[small] * 25, late]), shots=90_000))
        statuses = await daemon.statuses(job_id)
        job = await daemon.job(job_id)
        plan = jobs_pb2.ExplainRequest(
            backend="line5", spec=request_of(batch=pack([*[small] * 25, late]), shots=90_000).spec
        )
        code, why = await refused(daemon.jobs.Explain(plan))
    assert statuses == ["INITIALIZING", "VALIDATING", "ERROR"]
    assert "the limit is 86400 s for one job" in job.message
    assert (code, why) == (grpc.StatusCode.INVALID_ARGUMENT, job.message)
    assert "start" not in rack.log


async def test_readers_beyond_the_most_are_asked_to_come_back(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        daemon.rack.capacity = type(daemon.rack.capacity)(most=100_000)
        job_id = await daemon.submit(request_of(batch=pack([wide("wide", 65_536)]), shots=1_000))
        await daemon.events(job_id)
        monkeypatch.setattr(jobs, "_MOST_READERS", 1)
        slow = daemon.jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id))
        await slow.read()
        code, why = await refused(daemon.jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id)).read())
        assert all([(await slow.read()).results[0].shots for _ in range(7)])
        await slow.read()
        assert len(await daemon.results(job_id)) == 8
    assert (code, why) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "1 results are being sent already; the limit is 1 at once; send this again in a moment",
    )


async def test_readers_who_hang_up_leave_no_trace(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        daemon.rack.capacity = type(daemon.rack.capacity)(most=100_000)
        job_id = await daemon.submit(request_of(batch=pack([wide("wide", 65_536)]), shots=1_000))
        await daemon.events(job_id)
        for _ in range(10):
            async with grpc.aio.insecure_channel(daemon.address) as channel:
                await jobs_pb2_grpc.JobsStub(channel).Results(jobs_pb2.ResultsRequest(job_id=job_id)).read()
        assert len(await daemon.results(job_id)) == 8
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_job_of_very_many_programs_is_explained_like_any_other(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    axis = SweepAxis(names=("q0.sx.amplitude",), values=np.linspace(0.1, 0.2, 2_001)[None])
    request = request_of(sweep=Sweep(axes=(axis,)), shots=1)
    async with serve(rack=open_rack_of()) as daemon:
        plan = await daemon.jobs.Explain(jobs_pb2.ExplainRequest(backend="line5", spec=request.spec))
    assert len(plan.programs) == 2_001
