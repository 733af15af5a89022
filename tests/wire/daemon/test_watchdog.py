"""The service manager's watchdog is fed for as long as the daemon is well, though what it waits for takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from tests.wire.daemon.conftest import CompiledLate

from qubitd.drivers.errors import InstrumentNotFoundError
from qubitd.server.telemetry.supervisor import Supervisor
from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
NOT_THERE = InstrumentNotFoundError(resource="paper", what="nobody answers")


class Manager:
    """A service manager that looks often."""

    def __init__(self) -> None:
        self.heard = 0
        self.supervisor = Supervisor(tell=self._hear, watchdog=0.003)

    def _hear(self, message: str) -> None:
        self.heard += message == "WATCHDOG=1"

    async def hears_more(self) -> None:
        """Wait until it heard the daemon some times more."""
        until = self.heard + 20
        while self.heard < until:
            await asyncio.sleep(0)


async def test_while_a_chunk_runs(serve: Serve, shut_rack: Any, request_of: MakeRequest) -> None:
    manager = Manager()
    async with serve(rack=shut_rack, supervisor=manager.supervisor) as daemon:
        job_id = await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        await manager.hears_more()
        shut_rack.gate.set()
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_while_instruments_do_not_answer(serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest) -> None:
    manager = Manager()
    rack = open_rack_of(faults=[NOT_THERE])
    async with serve(rack=rack, supervisor=manager.supervisor) as daemon:
        rack.connect_faults += [NOT_THERE] * 1000
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "ERROR"
        tried = rack.log.count("stop")
        while rack.log.count("stop") == tried:
            await manager.hears_more()
        rack.connect_faults.clear()
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"


async def test_while_a_job_is_compiled_for_its_start(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager()
    compiled_late = CompiledLate(monkeypatch)
    async with serve(rack=open_rack_of(), supervisor=manager.supervisor) as daemon:
        job_id = await daemon.submit(request_of())
        await compiled_late.begun.wait()
        await manager.hears_more()
        compiled_late.go_on.set()
        assert (await daemon.statuses(job_id))[-1] == "DONE"
