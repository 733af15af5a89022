"""Our own server keeps the contract, and one that does not is told where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from qubitd.cli.__main__ import main
from qubitd.client import QubitdClient
from qubitd.client.conformance import CHECKS, check_server
from qubitd.core.job import JobStatus

Serve = Callable[..., AbstractAsyncContextManager[Any]]


async def test_our_server_keeps_the_contract(
    serve: Serve, open_rack_of: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code = await asyncio.to_thread(main, ["conformance", daemon.address])
    out = capsys.readouterr().out
    assert code == 0, out
    assert out.count("ok    ") == len(CHECKS)
    assert out.endswith("the server keeps the contract\n")


class Forgetful(QubitdClient):
    """Shows a server that cancels what has ended and lists nothing."""

    def cancel(self, job_id: str, *, force: bool = False) -> JobStatus:
        super().cancel(job_id, force=force)
        return JobStatus.CANCELLED

    def backends(self) -> tuple[str, ...]:
        return ()


async def test_a_server_that_does_otherwise_is_told_where(serve: Serve, open_rack_of: Callable[..., Any]) -> None:
    def story(address: str) -> dict[str, str]:
        with Forgetful(address) as client:
            return {verdict.sentence: verdict.complaint for verdict in check_server(client, "line5")}

    async with serve(rack=open_rack_of()) as daemon:
        found = await asyncio.to_thread(story, daemon.address)
    complaints = [complaint for complaint in found.values() if complaint]
    assert complaints == [
        "line5 is not listed",
        "cancelling changed an ended job",
    ]
