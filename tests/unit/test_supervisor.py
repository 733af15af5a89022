"""What a service manager hears of the daemon, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubitd.cli.supervision import find_supervisor
from qubitd.server.telemetry.supervisor import SIGN_OF_LIFE, Supervisor


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        bound.settimeout(5)
        yield bound


def test_it_hears_that_jobs_are_taken_and_that_the_end_comes(ear: socket.socket) -> None:
    supervisor = find_supervisor()
    assert supervisor.watchdog == 3.0
    supervisor.serving("serving line5 on port 7")
    supervisor.stopping()
    assert ear.recv(100) == b"READY=1\nSTATUS=serving line5 on port 7"
    assert ear.recv(100) == b"STOPPING=1"


def test_a_watchdog_of_another_process_is_not_fed(ear: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert find_supervisor().watchdog is None


def test_an_ear_that_is_gone_is_no_fault(ear: socket.socket) -> None:
    supervisor = find_supervisor()
    ear.close()
    supervisor.stopping()


def test_an_ear_that_does_not_listen_holds_up_no_sign_of_life(ear: socket.socket) -> None:
    supervisor = find_supervisor()
    for _ in range(1000):  # more than a socket holds
        supervisor.tell(SIGN_OF_LIFE)
    assert ear.recv(100) == SIGN_OF_LIFE.encode()
    supervisor.stopping()


async def test_the_watchdog_is_fed_only_while_the_loop_comes_round() -> None:
    heard: list[str] = []
    woken = 0
    supervisor = Supervisor(tell=heard.append, watchdog=0.003)

    def wake() -> None:
        nonlocal woken
        woken += 1
        if woken <= 3:
            supervisor.turned()

    task = asyncio.create_task(supervisor.watch(wake))
    while woken < 8:
        await asyncio.sleep(0)
    task.cancel()
    assert heard == ["WATCHDOG=1"] * 4


async def fed(supervisor: Supervisor, heard: list[str], *, rounds: int) -> int:
    """Count how often the watchdog is fed in so many looks, with a loop that does not come round."""
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    heard.clear()
    task = asyncio.create_task(supervisor.watch(look))
    while looks < rounds:
        await asyncio.sleep(0)
    task.cancel()
    return len(heard)


async def test_a_loop_that_waits_is_alive_until_that_should_have_ended() -> None:
    heard: list[str] = []
    now = 100.0
    supervisor = Supervisor(tell=heard.append, watchdog=0.003, steady=lambda: now)
    supervisor.turned(30.0)
    now = 129.9
    assert await fed(supervisor, heard, rounds=5) == 5
    now = 130.0
    assert await fed(supervisor, heard, rounds=5) == 0
    supervisor.turned(30.0)
    supervisor.turned()
    assert await fed(supervisor, heard, rounds=5) == 1
