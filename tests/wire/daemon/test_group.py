"""Two daemons of one group: each answers for both backends, and a job runs where it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.wire.daemon.conftest import PaperRack, Serve, Served

from qubitd.cli.__main__ import main
from qubitd.core.job import JobStatus
from qubitd.server.errors import BackendTakenError
from qubitd.server.front.quotas import Quotas
from qubitd.v1 import (
    backends_pb2,
    calibrations_pb2,
    jobs_pb2,
    sessions_pb2,
    sessions_pb2_grpc,
    slots_pb2,
    slots_pb2_grpc,
)
from qubitd.wire.errors import DETAILS_KEY
from qubitd.wire.terms import JobTerms

pytest.importorskip("psycopg")
Requests = Callable[..., jobs_pb2.SubmitRequest]


async def standings(daemon: Served) -> dict[str, backends_pb2.BackendStanding]:
    answer = await daemon.backends.List(backends_pb2.BackendsListRequest())
    assert list(answer.names) == [standing.name for standing in answer.standings]
    return {standing.name: standing for standing in answer.standings}


async def until_online(daemon: Served, name: str, shown: tuple[tuple[str, str], ...] = ()) -> None:
    """Watch a backend until it is there."""
    watch = daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name=name), metadata=shown)
    async for told in watch:
        if told.backend.operational:
            break
    watch.cancel()


async def until_both_are_online(daemon: Served) -> None:
    for name in ("north", "south"):
        await until_online(daemon, name)
    assert {name: one.online for name, one in (await standings(daemon)).items()} == {"north": True, "south": True}


def as_pairs(metadata: Any) -> list[tuple[str, str | bytes]]:
    return list(metadata or ())


async def until_refused(daemon: Served, shown: tuple[tuple[str, str], ...]) -> grpc.StatusCode:
    """Ask until the answer is no."""
    while True:
        try:
            await daemon.backends.List(backends_pb2.BackendsListRequest(), metadata=shown)
        except grpc.aio.AioRpcError as error:
            return error.code()


async def test_each_daemon_lists_both_backends_with_their_addresses(serve_fridge: Serve) -> None:
    async with serve_fridge("north") as north, serve_fridge("south") as south:
        for daemon in (north, south):
            await until_both_are_online(daemon)
            found = await standings(daemon)
            assert {name: one.address for name, one in found.items()} == {
                "north": north.address,
                "south": south.address,
            }
            assert not any(one.reason for one in found.values())
            described = await daemon.backends.Get(backends_pb2.BackendsGetRequest(name="south"))
            assert described.backend.name == "south"
            assert described.backend.operational


async def test_a_job_for_the_other_backend_runs_there_and_is_watched_and_read_here(
    serve_fridge: Serve, request_of: Requests, open_rack_of: Callable[..., PaperRack]
) -> None:
    racks = {name: open_rack_of() for name in ("north", "south")}
    async with serve_fridge("north", rack=racks["north"]) as north, serve_fridge("south", rack=racks["south"]):
        await until_both_are_online(north)
        job_id = await north.submit(request_of(backend="south"))
        assert await north.statuses(job_id) == ["INITIALIZING", "VALIDATING", "QUEUED", "RUNNING", "DONE"]
        assert sum(result.shots for result in await north.results(job_id)) == 100
        job = await north.job(job_id)
        assert (job.backend, job.submitted_to) == ("south", "")
    assert "start" in racks["south"].log
    assert "start" not in racks["north"].log


async def test_the_other_daemon_cancels_a_job_that_runs_and_one_that_waits(
    serve_fridge: Serve, request_of: Requests, shut_rack: PaperRack
) -> None:
    async with serve_fridge("north") as north, serve_fridge("south", rack=shut_rack) as south:
        await until_both_are_online(north)
        running = await south.submit(request_of(backend="south"))
        waiting = await south.submit(request_of(backend="south"))
        await asyncio.to_thread(shut_rack.running.wait)
        cancelled = await north.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=waiting))
        assert cancelled.status == jobs_pb2.STATUS_CANCELLED
        await north.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=running, force=True))
        assert (await north.statuses(running))[-1] == "CANCELLED"
        assert (await south.job(waiting)).status is JobStatus.CANCELLED


async def test_what_only_its_own_daemon_can_do_is_passed_on_to_it_with_the_callers_token(
    serve_fridge: Serve, store_url: str, request_of: Requests, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auth", "token", "alice", "--role", "calibrator", "--store", store_url]) == 0
    shown = (("authorization", f"Bearer {capsys.readouterr().out.strip()}"),)
    async with serve_fridge("north") as north, serve_fridge("south") as south:
        stubs = [
            (sessions_pb2_grpc.SessionsStub(d.channel), slots_pb2_grpc.SlotsStub(d.channel)) for d in (north, south)
        ]
        (sessions, slots), (own_sessions, own_slots) = stubs
        opened = await sessions.Open(sessions_pb2.OpenRequest(key="k", backend="south", max_seconds=60), metadata=shown)
        session_id = opened.session.session_id
        asked = sessions_pb2.SessionsGetRequest(session_id=session_id)
        assert (await own_sessions.Get(asked, metadata=shown)).session.state == sessions_pb2.SESSION_STATE_PENDING
        assert (await sessions.Get(asked, metadata=shown)).session.state == sessions_pb2.SESSION_STATE_PENDING
        request = request_of(backend="south", terms=JobTerms(session_id=session_id))
        job_id = (await north.jobs.Submit(request, metadata=shown)).job_id
        usage = sessions_pb2.UsageRequest(session_id=session_id)
        assert (await own_sessions.Usage(usage, metadata=shown)).jobs == 1
        await sessions.Cancel(sessions_pb2.SessionsCancelRequest(session_id=session_id), metadata=shown)
        job = (await north.jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id), metadata=shown)).job
        assert job.status in (jobs_pb2.STATUS_CANCELLED, jobs_pb2.STATUS_RUNNING)

        kind = slots_pb2.SLOT_KIND_CALIBRATION
        reserve = slots_pb2.ReserveRequest(key="k", backend="south", seconds=60, kind=kind)
        slot = (await slots.Reserve(reserve, metadata=shown)).slot
        for stub in (slots, own_slots):
            [listed] = (await stub.List(slots_pb2.SlotsListRequest(), metadata=shown)).slots
            assert listed.slot_id == slot.slot_id
        await slots.Release(slots_pb2.ReleaseRequest(slot_id=slot.slot_id), metadata=shown)
        assert not (await own_slots.List(slots_pb2.SlotsListRequest(), metadata=shown)).slots

        explained = jobs_pb2.ExplainRequest(backend="south", spec=request_of().spec)
        assert (await north.jobs.Explain(explained, metadata=shown)).programs
        watch = north.calibrations.Watch(calibrations_pb2.CalibrationsWatchRequest(backend="south"), metadata=shown)
        assert (await anext(aiter(watch))).revision.revision == 1
        watch.cancel()


async def test_whose_time_a_slot_takes_is_said_where_a_group_has_several_backends(
    serve_fridge: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str, code: int) -> str:
        assert main(["slots", "--server", north.address, "--reserve", "calibration", *words]) == code
        return "".join(capsys.readouterr())

    async with serve_fridge("north") as north, serve_fridge("south"):
        asked = await asyncio.to_thread(told, code=1)
        assert asked.endswith("has 2 backends; choose with --backend: north, south\n")
        assert " south " in await asyncio.to_thread(told, "--backend", "south", code=0)


async def test_a_refusal_of_the_other_daemon_comes_back_as_it_was_said(
    serve_fridge: Serve, request_of: Requests
) -> None:
    async with serve_fridge("north") as north, serve_fridge("south"):
        request = request_of(backend="south", terms=JobTerms(session_id="nobody's"))
        with pytest.raises(grpc.aio.AioRpcError, match='there is no session "nobody\'s" of yours') as refused:
            await north.jobs.Submit(request)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert DETAILS_KEY in [key for key, _ in as_pairs(refused.value.trailing_metadata())]


async def test_what_only_a_daemon_that_is_away_can_do_is_refused_with_its_address(
    serve_fridge: Serve, request_of: Requests
) -> None:
    async with serve_fridge("north") as north:
        async with serve_fridge("south") as south:
            await until_both_are_online(north)
        with pytest.raises(grpc.aio.AioRpcError, match=f"{south.address}.*(was stopped|does not answer)") as refused:
            await north.jobs.Explain(jobs_pb2.ExplainRequest(backend="south", spec=request_of().spec))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_backend_whose_daemon_stopped_is_offline_at_once_and_its_jobs_wait_for_it(
    serve_fridge: Serve, request_of: Requests, open_rack_of: Callable[..., PaperRack]
) -> None:
    async with serve_fridge("north") as north:
        async with serve_fridge("south"):
            await until_both_are_online(north)
            watch = north.backends.Watch(backends_pb2.BackendsWatchRequest(name="south"))
            assert (await anext(aiter(watch))).backend.operational
        told = await anext(aiter(watch))
        assert not told.backend.operational
        assert "was stopped; jobs for it wait" in told.backend.trouble
        assert "was stopped" in (await standings(north))["south"].reason
        job_id = await north.submit(request_of(backend="south"))
        async with serve_fridge("south", rack=open_rack_of()):
            assert (await north.statuses(job_id))[-1] == "DONE"


async def test_a_second_daemon_for_a_backend_that_is_served_is_refused_and_leaves_the_rack_alone(
    serve_fridge: Serve, open_rack_of: Callable[..., PaperRack], tmp_path: Path
) -> None:
    rack = open_rack_of()
    async with serve_fridge("north") as north:
        with pytest.raises(BackendTakenError, match=f"'north' is served by the daemon at {north.address}"):
            async with serve_fridge("north", rack=rack, folder=tmp_path / "another"):
                pass
        assert rack.log == []
        assert (await standings(north))["north"].online


async def test_an_account_of_the_group_counts_for_every_daemon_until_it_is_revoked(
    serve_fridge: Serve, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auth", "token", "alice", "--project", "p", "--store", store_url]) == 0
    token = capsys.readouterr().out.strip()
    shown = (("authorization", f"Bearer {token}"),)
    asked = backends_pb2.BackendsListRequest()
    async with serve_fridge("north") as north, serve_fridge("south") as south:
        for daemon in (north, south):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await daemon.backends.List(asked)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            await until_online(daemon, "south", shown)
            assert "south" in (await daemon.backends.List(asked, metadata=shown)).names
        assert await asyncio.to_thread(main, ["auth", "revoke", "alice", "--store", store_url]) == 0
        for daemon in (north, south):
            refused_by = await until_refused(daemon, shown)
            assert refused_by is grpc.StatusCode.UNAUTHENTICATED


async def test_the_limit_of_a_project_counts_its_jobs_on_all_backends(
    serve_fridge: Serve, store_url: str, request_of: Requests, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auth", "token", "alice", "--project", "p", "--store", store_url]) == 0
    shown = (("authorization", f"Bearer {capsys.readouterr().out.strip()}"),)
    few = Quotas(jobs=2)
    async with serve_fridge("north", quotas=few) as north, serve_fridge("south", quotas=few) as south:
        for daemon, backend in ((north, "south"), (south, "south")):
            await daemon.jobs.Submit(request_of(backend=backend), metadata=shown)
        for daemon, backend in ((north, "north"), (north, "south"), (south, "north"), (south, "south")):
            with pytest.raises(grpc.aio.AioRpcError, match="has 2 jobs that have not ended"):
                await daemon.jobs.Submit(request_of(backend=backend), metadata=shown)
