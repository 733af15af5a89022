"""Coming up and going down: what waits goes on, what ran is put back or explained, nobody shares a store or a port."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qubitd.compiler.device_file import load_device
from qubitd.core.job import JobStatus
from qubitd.drivers.errors import InstrumentNotFoundError
from qubitd.server import held as held_module
from qubitd.server.errors import BindRefusedError, DataDirInUseError, PortInUseError, StoreError
from qubitd.server.front.serving import check_host, check_port
from qubitd.server.store.opening import open_store
from qubitd.server.store.sqlite_store import DATABASE, SqliteStore
from qubitd.v1 import backends_pb2, jobs_pb2
from qubitd.wire.jobs import Progress
from qubitd.wire.terms import JobTerms

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


NOT_THERE = InstrumentNotFoundError(resource="paper", what="nobody answers")


async def end_of(stream: Any) -> grpc.StatusCode:
    """Read a stream to its end and give how it ended."""
    try:
        while await stream.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]  # the stubs lack it
            continue
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_the_rack_is_safe_before_the_store_is_opened_and_before_it_is_closed(
    serve: Serve, open_rack_of: MakeRack, monkeypatch: pytest.MonkeyPatch
) -> None:
    rack = open_rack_of()

    def open_and_tell(*args: Any, **named: Any) -> Any:
        rack.log.append("store opens")
        return open_store(*args, **named)

    def close_and_tell(self: SqliteStore) -> None:
        rack.log.append("store closes")
        close(self)

    close = SqliteStore.close
    monkeypatch.setattr(held_module, "open_store", open_and_tell)
    monkeypatch.setattr(SqliteStore, "close", close_and_tell)
    async with serve(rack=rack):
        assert rack.log == ["connect", "stop", "store opens"]
    assert rack.log[3:] == ["stop", "store closes", "close"]


async def test_the_rack_is_made_safe_though_the_store_is_broken(
    serve: Serve, open_rack_of: MakeRack, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / DATABASE).write_bytes(b"garbage" * 1000)
    rack = open_rack_of()
    with pytest.raises(StoreError):
        async with serve(rack=rack):
            pass
    assert rack.log == ["connect", "stop", "close"]


async def test_an_instrument_that_is_not_there_is_told_at_the_start(serve: Serve, open_rack_of: MakeRack) -> None:
    rack = open_rack_of(connect_faults=[NOT_THERE])
    with pytest.raises(InstrumentNotFoundError, match="paper: the emulated rack does not answer"):
        async with serve(rack=rack):
            pass
    async with serve(rack=open_rack_of()):
        pass


async def test_health_says_serving_until_the_daemon_drains(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        health = health_pb2_grpc.HealthStub(daemon.channel)
        for name in ("", "qubitd.v1.Jobs"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        stopping = await daemon.begin_stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await daemon.submit(request_of())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        shut_rack.gate.set()
        await stopping


async def test_a_running_job_is_put_back_and_goes_on_after_a_restart(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        job_id = await daemon.submit(request_of(shots=2500))
        await asyncio.to_thread(shut_rack.running.wait)
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        events = await daemon.events(job_id)
        assert [r.first_shot for r in await daemon.results(job_id)] == [0, 1000, 2000]
        statuses = await daemon.statuses(job_id)
    assert statuses[-4:] == ["RUNNING", "QUEUED", "RUNNING", "DONE"]
    assert [e.what.done for e in events if isinstance(e.what, Progress)] == [1000, 2000, 2500]
    assert rack.log.count("start") == 2


async def test_a_watcher_is_told_to_come_back_when_the_daemon_stops(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        waiting = await daemon.submit(request_of())
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=waiting))
        targets = daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name="line5"))
        await watch.read()
        await targets.read()
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        for stream in (watch, targets):
            assert await end_of(stream) is grpc.StatusCode.UNAVAILABLE
        await stopping


async def test_jobs_that_wait_go_on_after_a_restart(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        jobs = [await daemon.submit(request_of()) for _ in range(4)]
        await asyncio.to_thread(shut_rack.running.wait)
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    async with serve(rack=open_rack_of()) as daemon:
        assert [(await daemon.statuses(job_id))[-1] for job_id in jobs] == ["DONE"] * 4


async def served_until_death(serve: Serve, rack: Any, folder: Path, *requests: jobs_pb2.SubmitRequest) -> list[str]:
    """Leave the data of a daemon that died while the first of some jobs ran; gives their ids."""
    async with serve(rack=rack) as daemon:
        job_ids = [await daemon.submit(request) for request in requests]
        await asyncio.to_thread(rack.running.wait)
        shutil.copytree(folder / "data", folder / "died")
        rack.gate.set()
    shutil.rmtree(folder / "data")
    shutil.move(folder / "died", folder / "data")
    return job_ids


async def test_a_job_that_ran_when_the_daemon_died_ends_with_the_place_it_reached(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path
) -> None:
    job_id, waiting = await served_until_death(serve, shut_rack, tmp_path, request_of(shots=2500), request_of())
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        assert "interrupted at program 0, shot 0, attempt 1" in (await daemon.job(job_id)).message
        assert (await daemon.statuses(waiting))[-1] == "DONE"


async def test_a_job_that_asked_for_it_goes_on_after_the_daemons_death_which_is_kept(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path
) -> None:
    going_on = request_of(terms=JobTerms(rerun_on_interrupt=True))
    (job_id,) = await served_until_death(serve, shut_rack, tmp_path, going_on)
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "DONE"
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as store:
        assert store.execute("SELECT outcome FROM attempt ORDER BY n").fetchall() == [("INTERRUPTED",), ("DONE",)]


async def test_a_job_that_goes_on_after_the_daemons_death_waits_for_its_own_backend(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path
) -> None:
    line5 = load_device("line5")
    other = dataclasses.replace(line5, device=dataclasses.replace(line5.device, name="other"))
    going_on = request_of(terms=JobTerms(rerun_on_interrupt=True))
    (job_id,) = await served_until_death(serve, shut_rack, tmp_path, going_on)
    rack = open_rack_of()
    async with serve(rack=rack, device=other) as daemon:
        mine = await daemon.submit(request_of(backend="other"))
        assert (await daemon.statuses(mine))[-1] == "DONE"
        assert (await daemon.job(job_id)).status is JobStatus.QUEUED
    assert rack.log.count("start") == 1
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_a_second_daemon_on_the_data_directory_is_refused(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()):
        with pytest.raises(DataDirInUseError, match=r"in use by another daemon \(process \d+\)"):
            async with serve(rack=open_rack_of()):
                pass


async def test_a_port_that_is_taken_is_refused(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        port = int(daemon.address.rpartition(":")[2])
        with pytest.raises(PortInUseError, match=f"port {port}"):
            check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::", ""])
def test_any_address_but_loopback_is_refused_by_name(host: str) -> None:
    with pytest.raises(BindRefusedError, match="without a certificate and accounts"):
        check_host(host, has_tls=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    check_host(host, has_tls=False)


async def test_a_rack_that_does_not_answer_does_not_keep_the_daemon_from_ending(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    rack = open_rack_of(faults=[NOT_THERE])
    async with serve(rack=rack) as daemon:
        rack.connect_faults += [NOT_THERE] * 1000
        job_id = await daemon.submit(request_of())
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        targets = daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name="line5"))
        while (await targets.read()).backend.operational:
            continue
        await daemon.stop()


async def test_a_resumed_job_that_is_cut_otherwise_ends_with_that_reason(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        job_id = await daemon.submit(request_of(shots=2500))
        await asyncio.to_thread(shut_rack.running.wait)
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    rack = open_rack_of()
    rack.capacity = type(rack.capacity)(most=700)
    async with serve(rack=rack) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        assert "do not match" in (await daemon.job(job_id)).message
        assert [r.shots for r in await daemon.results(job_id)] == [1000]


async def test_a_job_for_another_backend_waits_until_that_is_served_again(
    serve: Serve, shut_rack: Any, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    line5 = load_device("line5")
    other = dataclasses.replace(line5, device=dataclasses.replace(line5.device, name="other"))
    async with serve(rack=shut_rack) as daemon:
        await daemon.submit(request_of())
        waiting = await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    rack = open_rack_of()
    async with serve(rack=rack, device=other) as daemon:
        mine = await daemon.submit(request_of(backend="other"))
        assert (await daemon.statuses(mine))[-1] == "DONE"
        assert not (await daemon.job(waiting)).status.is_final
    assert rack.log.count("start") == 1
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(waiting))[-1] == "DONE"
