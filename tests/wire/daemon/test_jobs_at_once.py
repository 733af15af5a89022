"""A small job that finds the rack idle goes on before the store has it: whatever happens until then, nobody notices."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.wire.daemon.conftest import PaperRack, Passed, Serve, taken_late

from qubitd.core.snapshot import Snapshot
from qubitd.drivers.errors import InstrumentFaultError
from qubitd.server import engine as engine_module
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.queueing import book as book_module
from qubitd.server.running import runner as runner_module
from qubitd.server.running import workshop as workshop_module
from qubitd.server.running.workshop import Workshop
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import jobs_pb2, lab_pb2, lab_pb2_grpc

MakeRack = Callable[..., PaperRack]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


async def test_one_that_is_sent_again_before_the_store_has_it_is_one_job_though_it_is_over(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise InstrumentFaultError(resource="paper", what="cannot be loaded", words=[])

    rack = open_rack_of()
    async with serve(rack=rack) as daemon:
        await daemon.events(await daemon.submit(request_of()))
        rack.before["load"] = fail
        may_write = taken_late(monkeypatch)
        is_over = Passed(monkeypatch, engine_module, "job.ending")
        is_there_again = Passed(monkeypatch, book_module, "job.accepting", nth=2)
        request = request_of()
        first = asyncio.ensure_future(daemon.submit(request))
        await is_over.wait()
        again = asyncio.ensure_future(daemon.submit(request))
        await is_there_again.wait()
        may_write.set()
        assert await first == await again
        del rack.before["load"]
        assert (await daemon.statuses(await first))[-1] == "ERROR"
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"


@pytest.mark.parametrize("what", [(Toolchain, "recall"), (Workshop, "kept")])
async def test_one_that_has_to_be_compiled_again_waits_until_the_store_has_it(
    serve: Serve,
    open_rack_of: MakeRack,
    request_of: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    what: tuple[type, str],
) -> None:
    def forgotten(*_: Any) -> None:
        """Know nothing of it, as if others had come in between."""

    async with serve(rack=open_rack_of()) as daemon:
        await daemon.events(await daemon.submit(request_of()))
        monkeypatch.setattr(*what, forgotten)
        job_id = await daemon.submit(request_of())
        assert (await daemon.statuses(job_id))[-1] == "DONE", (await daemon.job(job_id)).message


async def test_a_new_one_goes_on_as_well_once_it_was_compiled(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop_module, "AT_ONCE", 60.0)
    async with serve(rack=open_rack_of()) as daemon:
        may_write = taken_late(monkeypatch)
        starts = Passed(monkeypatch, runner_module, "job.starting")
        taken = asyncio.ensure_future(daemon.submit(request_of()))
        await starts.wait()
        assert not taken.done()
        may_write.set()
        assert (await daemon.statuses(await taken))[-1] == "DONE"


async def test_one_that_is_compiled_while_an_operator_drains_the_lab_is_not_taken(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop_module, "AT_ONCE", 60.0)
    begun, may_go_on, look_ahead = threading.Event(), threading.Event(), Toolchain.look_ahead

    def slowly(toolchain: Toolchain, spec: bytes, snapshot: Snapshot) -> None:
        begun.set()
        may_go_on.wait(30)
        look_ahead(toolchain, spec, snapshot)

    monkeypatch.setattr(Toolchain, "look_ahead", slowly)
    async with serve(rack=open_rack_of()) as daemon:
        lab = lab_pb2_grpc.LabStub(daemon.channel)
        submitted = asyncio.ensure_future(daemon.submit(request_of()))
        await asyncio.to_thread(begun.wait, 30)
        await lab.Drain(lab_pb2.DrainRequest(reason="cold trap"))
        may_go_on.set()
        with pytest.raises(grpc.aio.AioRpcError, match="cold trap"):
            await submitted
        await lab.Resume(lab_pb2.ResumeRequest())
        assert (await daemon.jobs.List(jobs_pb2.JobsListRequest())).jobs == []


async def test_one_is_dated_like_any_other(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        for _ in range(2):
            await daemon.events(await daemon.submit(request_of()))
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as store:
        first, second = (seconds for (seconds,) in store.execute("SELECT served FROM job ORDER BY number"))
    assert first < second
