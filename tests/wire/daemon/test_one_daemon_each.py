"""One daemon for each data directory and each port: a second is refused, and what a dead one left refuses nobody."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from qubitd.server.auth.gate import Gate
from qubitd.server.errors import PortInUseError
from qubitd.server.front.rpc import Door
from qubitd.server.front.serving import open_front
from qubitd.server.lock import LOCK_FILE
from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
SOON = 5.0
"""Seconds of work in which a second daemon has refused."""


@pytest.fixture
def ended() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def somebody() -> Iterator[int]:
    """The number of a process that has nothing to do with us, as after a boot."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("who", ["ended", "somebody"])
async def test_a_lock_file_that_a_dead_daemon_left_refuses_nobody(
    serve: Serve,
    open_rack_of: MakeRack,
    request_of: MakeRequest,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    who: str,
) -> None:
    lock = tmp_path / "data" / LOCK_FILE
    lock.parent.mkdir()
    lock.write_text(f"process {request.getfixturevalue(who)}")
    async with serve(rack=open_rack_of()) as daemon:
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"
        assert lock.read_text() == f"process {os.getpid()}"


@pytest.mark.parametrize("same", ["directory", "port"])
async def test_a_second_daemon_refuses_soon_and_the_first_goes_on(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path, same: str
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        port = daemon.address.rpartition(":")[2]
        data, wanted = (tmp_path / "data", "0") if same == "directory" else (tmp_path / "other", port)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "qubitd.cli", "serve", "--data-dir", str(data), "--port", wanted]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert second.returncode == 1
        assert (f"process {os.getpid()}" if same == "directory" else f"port {port}") in second.stderr
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SOON


async def test_nobody_shares_the_port_of_a_daemon_though_they_would_like_to(
    serve: Serve, open_rack_of: MakeRack
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        port = int(daemon.address.rpartition(":")[2])
        with socket.socket() as sharing:
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                sharing.bind(("127.0.0.1", port))


async def test_grpc_itself_refuses_a_port_that_was_free_a_moment_before(serve: Serve, open_rack_of: MakeRack) -> None:
    """Two daemons that look at the same moment both find a port free; one of them gets it."""
    door = Door(gate=Gate(accounts=None, remember=lambda *_: None))
    async with serve(rack=open_rack_of()) as daemon:
        port = int(daemon.address.rpartition(":")[2])
        with pytest.raises(PortInUseError, match=f"port {port}"):
            await open_front([], host="127.0.0.1", port=port, door=door)
