"""An emulated rack on real loopback sockets, served by a thread of the test process; every output is wired to every
input."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from qubitd.emulator.clock import VirtualClock
from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.lifetime import Lifetime
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.rack import Addresses, Rack

SLOTS = {1: "QCM-RF", 6: "QRM-RF"}
PATIENCE = 60.0
"""Seconds for which a run is waited for: whoever asks finds it over, however busy the machine is."""


class ServedRack:
    """A rack and where it listens; leaving it stops the servers."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        cluster = Cluster(
            SLOTS, digitiser=Loopback(), clock=VirtualClock(), rng=np.random.default_rng(1), patience=PATIENCE
        )
        self._rack = Rack(cluster, address=None, control_port=0)
        self._ready = threading.Event()
        self._lifetime = Lifetime(monotonic)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self._ready.wait(10)

    @property
    def addresses(self) -> Addresses:
        return self._rack.addresses

    def connect(self, port: int = 5025) -> socket.socket:
        """Open a plain connection."""
        connection = socket.create_connection((self.addresses.address, port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def control(self, **request: object) -> dict[str, Any]:
        """Ask the control socket one thing."""
        with self.connect(self.addresses.control_port) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                return dict(json.loads(answers.readline()))

    def stop(self) -> None:
        if self._loop is not None and self._stopped is not None and self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
        self.thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        await self._rack.serve(self._lifetime, ready=lambda _: self._ready.set(), stopped=self._stopped)


@pytest.fixture
def rack() -> Iterator[ServedRack]:
    served = ServedRack()
    yield served
    served.stop()


@pytest.fixture
def make_rack() -> Iterator[Callable[..., ServedRack]]:
    """Start racks that end with the test."""
    started: list[ServedRack] = []

    def start(monotonic: Callable[[], float] = time.monotonic) -> ServedRack:
        started.append(ServedRack(monotonic))
        return started[-1]

    yield start
    for served in started:
        served.stop()
