"""When the store fails, the daemon ends with the reason: better no daemon than one that forgets."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.server import engine
from qubitd.server.errors import BookDisagreesError, StoreBrokenError
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


async def test_a_disk_that_fails_ends_the_daemon_with_the_reason_and_the_outputs_safe(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path
) -> None:
    rack = open_rack_of()

    async def submit_to_a_broken_disk() -> None:
        async with serve(rack=rack) as daemon:
            (tmp_path / "data" / BLOBS).rmdir()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await daemon.submit(request_of(client_data=b"x" * 100_000))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    with pytest.raises(StoreBrokenError, match="No such file"):
        await submit_to_a_broken_disk()
    assert rack.log[-2:] == ["stop", "close"]


async def test_a_store_that_says_otherwise_ends_the_daemon(
    serve: Serve, shut_rack: Any, request_of: MakeRequest, tmp_path: Path
) -> None:
    async def change_the_store_behind_the_daemon() -> None:
        async with serve(rack=shut_rack) as daemon:
            await daemon.submit(request_of())
            await asyncio.to_thread(shut_rack.running.wait)
            with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as other:
                other.execute("UPDATE job SET version = version + 7")
                other.commit()
            shut_rack.gate.set()
            await daemon.task

    with pytest.raises(BookDisagreesError, match="version"):
        await change_the_store_behind_the_daemon()


async def test_nothing_is_played_before_the_attempt_is_durable(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    durable: list[int] = []
    rack = open_rack_of()
    loaded = threading.Event()
    start, load, record = type(rack).start, type(rack).load, JobWrites.start

    def load_and_tell(self: Any, assembly: Any, **named: Any) -> Any:
        report = load(self, assembly, **named)
        loaded.set()
        return report

    def look_and_start(self: Any) -> None:
        with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as other:
            durable.extend(other.execute("SELECT count(*) FROM attempt").fetchone())
        start(self)

    def record_late(self: JobWrites, *args: Any, **named: Any) -> Any:
        loaded.wait()
        return record(self, *args, **named)

    monkeypatch.setattr(type(rack), "load", load_and_tell)
    monkeypatch.setattr(type(rack), "start", look_and_start)
    monkeypatch.setattr(JobWrites, "start", record_late)
    async with serve(rack=rack) as daemon:
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"
    assert durable == [1]


async def test_a_chunk_that_does_not_end_is_broken_off_and_told_after_the_restart(
    serve: Serve,
    shut_rack: Any,
    open_rack_of: MakeRack,
    request_of: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(engine, "DRAIN_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING):
        async with serve(rack=shut_rack) as daemon:
            job_id = await daemon.submit(request_of())
            await asyncio.to_thread(shut_rack.running.wait)
            await daemon.stop()
            assert not shut_rack.gate.is_set(), "the chunk has ended by itself"
    assert caplog.records[0].message == "the running chunk does not end; breaking it off"
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        assert "interrupted at program 0" in (await daemon.job(job_id)).message


async def test_a_sweep_of_the_threshold_moves_the_bits(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    axis = SweepAxis(names=("q0.readout.threshold",), values=np.array([[-1.4, 1.4]]))
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(sweep=Sweep(axes=(axis,))))
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        results = await daemon.results(job_id)
    assert [set((result.bits[:, 0] & 1).tolist()) for result in results] == [{1}, {0}]
