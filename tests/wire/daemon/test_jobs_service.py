"""Jobs over gRPC on loopback: every change once and in order, results as recorded, and refusals that say why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobStatus, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.errors import InstrumentFaultError
from qubitd.server.running import runner
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import DETAILS_KEY, Refusal, decode_refusal
from qubitd.wire.jobs import LogLine, Progress, StageTime, StatusChange, decode_events
from qubitd.wire.plans import decode_plan

pytestmark = pytest.mark.both_stores
Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


IN_ORDER = ["INITIALIZING", "VALIDATING", "QUEUED", "RUNNING", "DONE"]
FAULT = InstrumentFaultError(resource="paper", what="the run ended badly", words=["SEQUENCE PROCESSOR Q1 UNDERRUN"])


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    metadata = error.trailing_metadata()
    assert metadata is not None
    details = metadata[DETAILS_KEY]  # type: ignore[call-overload]  # the stubs know no grpc.aio.Metadata
    assert isinstance(details, bytes)
    return decode_refusal(details)


async def refused(call: Any) -> tuple[grpc.StatusCode, Refusal]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), refusal(caught.value)


async def test_a_job_is_seen_through_every_state_once_and_in_order(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        assert await daemon.statuses(job_id) == IN_ORDER


async def test_the_timeline_names_at_least_ten_stages_in_order_of_time(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        await daemon.events(job_id)
        job = await daemon.job(job_id)
    stages = [stage.stage for stage in job.timeline]
    assert stages == [
        *("accepted", "decoding", "checked", "scheduled", "queued", "started", "assembled", "uploaded", "run"),
        *("fetched", "discriminated", "recorded", "done"),
    ]
    times = [stage.time_ns for stage in job.timeline]
    assert times == sorted(times)


async def test_a_known_job_that_finds_the_rack_idle_tells_the_same_story(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        stories = [await daemon.events(await daemon.submit(request_of())) for _ in range(2)]
    for story in stories:
        times = [event.what.time_ns for event in story if isinstance(event.what, StageTime)]
        assert times == sorted(times)
    first, again = ([_kind(event.what) for event in story] for story in stories)
    assert first == again


def _kind(what: Any) -> tuple[str, str]:
    said = what.stage if isinstance(what, StageTime) else what.status.value if isinstance(what, StatusChange) else ""
    return type(what).__name__, said


async def test_a_watch_goes_on_from_its_cursor_without_gap_or_repeat(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        whole = await daemon.events(job_id)
        for seen in range(len(whole)):
            assert await daemon.events(job_id, after=whole[seen].sequence) == whole[seen + 1 :]


async def test_a_watch_of_some_jobs_tells_of_each_from_its_own_cursor_and_ends_with_the_last(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        ids = [await daemon.submit(request_of()) for _ in range(5)]
        alone = [await daemon.events(job_id) for job_id in ids]
        after = {job_id: events[n].sequence for n, (job_id, events) in enumerate(zip(ids, alone, strict=True))}
        cursors = [jobs_pb2.JobCursor(job_id=job_id, after_sequence=last) for job_id, last in after.items()]
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(jobs=cursors))
        told = [event async for message in watch for event in decode_events(message)]
    for n, (job_id, events) in enumerate(zip(ids, alone, strict=True)):
        mine = [replace(event, job_id="") for event in told if event.job_id == job_id]
        assert mine == events[n + 1 :]


async def test_a_watch_of_some_jobs_tells_the_place_of_a_queued_one_once_a_second(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        ids = [await daemon.submit(request_of()) for _ in range(3)]
        cursors = [jobs_pb2.JobCursor(job_id=job_id) for job_id in ids]
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(jobs=cursors))
        places: list[int] = []
        async for message in watch:
            if message.job_id == ids[2]:
                places += [event.time_ns for event in message.events if event.HasField("queue")]
            if places and places[-1] - places[max(0, len(places) - 2)] > 500_000_000:
                break
        watch.cancel()
        shut_rack.gate.set()
    assert 2 <= len(places) <= 10  # at once after what the job does itself, and each second after that


async def test_a_watch_of_a_job_that_is_not_there_or_of_too_many_is_refused(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        mine = await daemon.submit(request_of())
        for others, code in (
            (["nothing"], grpc.StatusCode.NOT_FOUND),
            (["x"] * 1000, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            cursors = [jobs_pb2.JobCursor(job_id=job_id) for job_id in [mine, *others]]
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(jobs=cursors)).read()
            assert refused.value.code() is code


async def test_bits_come_back_with_their_span_and_revision(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(shots=70))
        await daemon.events(job_id)
        (result,) = await daemon.results(job_id)
        job = await daemon.job(job_id)
    assert (result.program, result.first_shot, result.shots) == (0, 0, 70)
    assert result.bits is not None
    assert result.bits.shape == (70, 1)
    assert (job.revision, job.status) == (1, JobStatus.DONE)
    assert job.instrument_seconds == pytest.approx(70 * 211e-6, rel=0.02)


async def test_iq_points_come_back_for_every_shot_or_as_a_mean(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        shapes = []
        for meas_return in MeasReturn:
            request = request_of(meas_level=MeasLevel.KERNELED, meas_return=meas_return)
            job_id = await daemon.submit(request)
            await daemon.events(job_id)
            (result,) = await daemon.results(job_id)
            assert result.iq is not None
            shapes.append(result.iq.shape)
            assert result.iq_qubits == (0, 1)
            assert np.all(result.iq == np.complex64(-1))
    assert shapes == [(100, 2), (1, 2)]


async def test_a_long_job_runs_in_chunks_and_tells_its_progress(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(shots=2500))
        events = await daemon.events(job_id)
        results = await daemon.results(job_id)
        rest = await daemon.results(job_id, skip=2)
    told = [e.what for e in events if isinstance(e.what, Progress)]
    assert [(progress.done, progress.total) for progress in told] == [(1000, 2500), (2000, 2500), (2500, 2500)]
    played = [progress.span for progress in told if progress.span is not None]
    assert [(s.first_program, s.programs, s.first_shot, s.shots) for s in played] == [
        (0, 1, 0, 1000),
        (0, 1, 1000, 1000),
        (0, 1, 2000, 500),
    ]
    times = [time for span in played for time in (span.began_ns, span.ended_ns)]
    assert times == sorted(times)
    assert [(r.first_shot, r.shots) for r in results] == [(0, 1000), (1000, 1000), (2000, 500)]
    assert [(r.first_shot, r.shots) for r in rest] == [(2000, 500)]


async def test_a_sweep_is_a_program_per_point(serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest) -> None:
    sweep = Sweep(axes=(SweepAxis(names=("q0.sx.amplitude",), values=np.linspace(0.1, 0.3, 3)[None, :]),))
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(sweep=sweep))
        await daemon.events(job_id)
        assert [result.program for result in await daemon.results(job_id)] == [0, 1, 2]
        assert (await daemon.job(job_id)).num_programs == 3


async def test_the_same_submit_twice_runs_once(serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest) -> None:
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        request = request_of(key="mine")
        first, second = await asyncio.gather(daemon.submit(request), daemon.submit(request))
        assert first == second
        await daemon.events(first)
        assert await daemon.submit(request) == first
    assert rack.log.count("start") == 1


async def test_a_key_with_other_content_is_refused(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.submit(request_of(key="mine"))
        code, why = await refused(daemon.jobs.Submit(request_of(key="mine", shots=7)))
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert "mine" in why.message


async def test_another_backend_is_unknown(serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.jobs.Submit(request_of(backend="line7")))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "line7" in why.message
    assert "line5" in why.message


@pytest.mark.parametrize("shots", [10**9, 2**31 - 1])
async def test_too_many_shots_are_refused_with_both_numbers(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, shots: int
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.jobs.Submit(request_of(shots=shots)))
        jobs = await daemon.jobs.List(jobs_pb2.JobsListRequest())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why.problems[0].where == "shots"
    assert str(shots) in why.problems[0].what
    assert "limit" in why.problems[0].what
    assert len(jobs.jobs) == 0


async def test_zero_shots_are_refused(serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest) -> None:
    request = request_of()
    request.spec.shots = 0
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.jobs.Submit(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why.problems[0].where == "shots"


@pytest.mark.parametrize("method", ["Submit", "Get", "List", "Cancel", "Explain", "Delete"])
async def test_malformed_bytes_are_an_invalid_argument(serve: Serve, open_rack_of: MakeRack, method: str) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, why = await refused(daemon.channel.unary_unary(f"/qubitd.v1.Jobs/{method}")(b"\xff\xff\xff"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be parsed" in why.message


@pytest.mark.parametrize("method", ["Watch", "Results"])
async def test_malformed_bytes_to_a_stream_are_an_invalid_argument(
    serve: Serve, open_rack_of: MakeRack, method: str
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        call = daemon.channel.unary_stream(f"/qubitd.v1.Jobs/{method}")(b"\xff\xff\xff")
        code, _ = await refused(call.read())
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_circuit_that_cannot_run_ends_as_an_error_that_names_the_place(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    circuit = CircuitBuilder(name="far", num_qubits=5, num_clbits=1).add("cz", 0, 2).measure(0, 0)
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(batch=pack([circuit])))
        assert await daemon.statuses(job_id) == ["INITIALIZING", "VALIDATING", "ERROR"]
        job = await daemon.job(job_id)
        good = await daemon.submit(request_of())
        assert (await daemon.statuses(good))[-1] == "DONE"
    assert (job.problems[0].circuit, job.problems[0].operation) == (0, 0)
    assert "cz" in job.message


async def test_a_pulse_above_the_racks_ceiling_ends_the_job_before_it_queues(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    axis = SweepAxis(names=("q0.readout.amplitude",), values=np.array([[0.9]]))
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(sweep=Sweep(axes=(axis,))))
        assert await daemon.statuses(job_id) == ["INITIALIZING", "VALIDATING", "ERROR"]
        assert "q0.readout" in (await daemon.job(job_id)).message


async def test_what_the_owner_should_know_is_logged(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    circuit = CircuitBuilder(name="late", num_qubits=5, num_clbits=1).delay(0, 10.4e-9).measure(0, 0)
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(batch=pack([circuit])))
        lines = [e.what.text for e in await daemon.events(job_id) if isinstance(e.what, LogLine)]
    assert any("rounded to the nearest 1 ns" in line for line in lines)


async def test_an_instrument_fault_ends_the_job_in_its_words_and_the_next_job_works(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    rack = open_rack_of(faults=[FAULT])
    async with serve(rack=rack) as daemon:
        broken, good = await daemon.submit(request_of()), await daemon.submit(request_of())
        assert (await daemon.statuses(broken))[-1] == "ERROR"
        assert "Q1 UNDERRUN" in (await daemon.job(broken)).message
        assert (await daemon.statuses(good))[-1] == "DONE"
    second_start = [i for i, entry in enumerate(rack.log) if entry == "start"][1]
    assert "stop" in rack.log[rack.log.index("start") : second_start]


async def test_a_link_that_is_gone_is_opened_again_before_the_next_job(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    rack = open_rack_of(faults=[FAULT])
    async with serve(rack=rack) as daemon:
        rack.connect_faults.append(FAULT)
        broken, good = await daemon.submit(request_of()), await daemon.submit(request_of())
        assert (await daemon.statuses(broken))[-1] == "ERROR"
        assert (await daemon.statuses(good))[-1] == "DONE"
    assert rack.log.count("connect") == 2


async def test_chunks_before_a_fault_stay_readable(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of(faults=[None, FAULT])) as daemon:
        job_id = await daemon.submit(request_of(shots=2500))
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        assert [(r.first_shot, r.shots) for r in await daemon.results(job_id)] == [(0, 1000)]


async def test_a_mistake_of_ours_ends_the_job_and_not_the_daemon(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(rack=open_rack_of(faults=[ZeroDivisionError("division by zero")])) as daemon:
        broken, good = await daemon.submit(request_of()), await daemon.submit(request_of())
        assert (await daemon.statuses(broken))[-1] == "ERROR"
        assert "a mistake in qubitd" in (await daemon.job(broken)).message
        assert (await daemon.statuses(good))[-1] == "DONE"
    assert any(record.exc_info for record in caplog.records)


async def test_a_waiting_job_is_cancelled_at_once(serve: Serve, shut_rack: Any, request_of: MakeRequest) -> None:
    async with serve(rack=shut_rack) as daemon:
        running = await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await daemon.submit(request_of())
        answer = await daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=waiting))
        assert answer.status == jobs_pb2.STATUS_CANCELLED
        assert (await daemon.statuses(waiting))[-1] == "CANCELLED"
        shut_rack.gate.set()
        assert (await daemon.statuses(running))[-1] == "DONE"
    assert shut_rack.log.count("start") == 1


async def test_the_next_chunk_is_brought_ahead_piece_by_piece_while_one_runs(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        job_id = await daemon.submit(request_of(shots=3000))
        await asyncio.to_thread(shut_rack.brought.wait)
        shut_rack.gate.set()
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        spent = {one.activity for one in (await daemon.job(job_id)).spent}
    assert "ahead" in spent
    assert [chunk.first_shot for chunk in shut_rack.ahead[:3]] == [1000, 1000, 1000]
    assert shut_rack.log.count("start") == 3


async def test_a_running_job_is_cancelled_at_the_end_of_its_chunk(
    serve: Serve, shut_rack: Any, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK_PATIENCE", 60.0)
    async with serve(rack=shut_rack) as daemon:
        job_id = await daemon.submit(request_of(shots=5000))
        await asyncio.to_thread(shut_rack.running.wait)
        answer = await daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=job_id))
        assert answer.status == jobs_pb2.STATUS_RUNNING
        shut_rack.gate.set()
        assert (await daemon.statuses(job_id))[-1] == "CANCELLED"
        assert [result.shots for result in await daemon.results(job_id)] == [1000]
        again = await daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=job_id))
        assert again.status == jobs_pb2.STATUS_CANCELLED


async def test_a_cancelled_chunk_that_takes_too_long_is_broken_off(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        job_id = await daemon.submit(request_of(shots=5000))
        await asyncio.to_thread(shut_rack.running.wait)
        await daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=job_id))
        assert (await daemon.statuses(job_id))[-1] == "CANCELLED"
        assert await daemon.results(job_id) == []


async def test_an_unknown_job_is_not_found_whatever_is_asked(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        calls = [
            daemon.jobs.Get(jobs_pb2.JobsGetRequest(job_id="none")),
            daemon.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id="none")),
            daemon.jobs.Delete(jobs_pb2.JobsDeleteRequest(job_id="none")),
            daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id="none")).read(),
            daemon.jobs.Results(jobs_pb2.ResultsRequest(job_id="none")).read(),
        ]
        answers = [await refused(call) for call in calls]
    assert {code for code, _ in answers} == {grpc.StatusCode.NOT_FOUND}
    assert len({why.message for _, why in answers}) == 1


async def test_jobs_are_listed_in_pages_newest_first(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        ids = [await daemon.submit(request_of(tags=("odd",) if n % 2 else ())) for n in range(5)]
        pages, token = [], ""
        while True:
            page = await daemon.jobs.List(jobs_pb2.JobsListRequest(page_size=2, page_token=token))
            pages.append([job.job_id for job in page.jobs])
            token = page.next_page_token
            if not token:
                break
        odd = await daemon.jobs.List(jobs_pb2.JobsListRequest(tags=["odd"]))
        code, why = await refused(daemon.jobs.List(jobs_pb2.JobsListRequest(page_token="garbage")))
    assert [job_id for page in pages for job_id in page] == ids[::-1]
    assert [job.job_id for job in odd.jobs] == [ids[3], ids[1]]
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why.problems[0].where == "page_token"


async def test_a_deleted_job_is_gone_and_its_key_stays_taken(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        request = request_of(key="mine")
        job_id = await daemon.submit(request)
        await asyncio.to_thread(shut_rack.running.wait)
        code, _ = await refused(daemon.jobs.Delete(jobs_pb2.JobsDeleteRequest(job_id=job_id)))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        shut_rack.gate.set()
        await daemon.events(job_id)
        await daemon.jobs.Delete(jobs_pb2.JobsDeleteRequest(job_id=job_id))
        code, _ = await refused(daemon.jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id)))
        assert code is grpc.StatusCode.NOT_FOUND
        assert await daemon.submit(request) == job_id


async def test_a_job_comes_back_with_its_clients_data(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(client_data=b"registers", tags=("a",)))
        answer = await daemon.jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id))
    assert answer.client_data == b"registers"
    assert list(answer.job.tags) == ["a"]


async def test_explain_says_what_a_job_takes_without_running_it(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        request = request_of(shots=2500)
        answer = await daemon.jobs.Explain(jobs_pb2.ExplainRequest(backend="line5", spec=request.spec))
        plan = decode_plan(answer)
        too_many = jobs_pb2.ExplainRequest(backend="line5", spec=request_of(shots=10**9).spec)
        code, _ = await refused(daemon.jobs.Explain(too_many))
    assert "start" not in rack.log
    assert [program.name for program in plan.programs] == ["bell"]
    assert 0.5 < plan.programs[0].success < 1
    assert plan.programs[0].num_plays > 5
    assert plan.instrument_seconds == pytest.approx(2500 * 211e-6, rel=0.02)
    assert plan.memories[0].used == 1000
    assert plan.revision == 1
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_big_job_and_a_big_answer_pass(serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest) -> None:
    circuits = []
    for n in range(40):
        circuit = CircuitBuilder(name=f"c{n}", num_qubits=5, num_clbits=5)
        for _ in range(400):
            circuit.add("sx", n % 5)
        for qubit in range(5):
            circuit.measure(qubit, qubit)
        circuits.append(circuit)
    request = request_of(batch=pack(circuits), shots=10_000, meas_level=MeasLevel.KERNELED)
    assert request.ByteSize() > 16_384
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        rack.capacity = type(rack.capacity)(most=400_000)
        job_id = await daemon.submit(request)
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        results = await daemon.results(job_id)
    assert sum(result.shots for result in results) == 400_000
    assert all(result.iq is not None and result.iq.nbytes <= 2**20 for result in results)


async def test_the_last_event_is_the_final_status_and_get_agrees(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        for _ in range(5):
            job_id = await daemon.submit(request_of())
            last = (await daemon.events(job_id))[-1]
            job = await daemon.job(job_id)
            assert last.what == StatusChange(status=JobStatus.DONE)
            assert (job.status, job.last_sequence) == (JobStatus.DONE, last.sequence)
            assert isinstance(job.timeline[-1], StageTime)


async def test_a_job_tells_where_its_time_on_the_rack_went(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        of_one = await daemon.submit(request_of(shots=1000))
        of_three = await daemon.submit(request_of(shots=3000))
        await daemon.events(of_three)
        one, three = [{s.activity: s.seconds for s in (await daemon.job(i)).spent} for i in (of_one, of_three)]
        listed = await daemon.jobs.List(jobs_pb2.JobsListRequest())
    assert set(one) == {"compile", "assemble", "upload", "run", "fetch", "discriminate"}
    assert set(three) == {*one, "record", "idle"}
    assert all(seconds >= 0 for seconds in three.values())
    assert one["compile"] > 0
    assert one["assemble"] > 0
    assert {spent.activity: spent.seconds for spent in listed.jobs[0].spent} == three
