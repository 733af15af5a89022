"""An emulated rack: the instruments on their ports, the control socket, and how long all of it lives."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from qubitd.emulator.cluster.frame_commands import frame_commands
from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.cluster.module_commands import module_commands
from qubitd.emulator.control import Control, ControlConnection
from qubitd.emulator.faults import FaultPlan
from qubitd.emulator.lifetime import Lifetime
from qubitd.emulator.ports import CLUSTER_PORT, MODULE_PORT, bind_all, candidates
from qubitd.emulator.scpi.session import Session
from qubitd.emulator.server import ScpiConnection

log = logging.getLogger(__name__)

_END_OF_ANSWER = b"\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where a rack listens."""

    address: str
    """Of 127.0.0.0/8; the instruments have their usual ports there."""
    control_port: int


class Rack:
    """Servers for one Cluster. Bind first, then serve."""

    def __init__(self, cluster: Cluster, *, address: str | None, control_port: int, name: str = "") -> None:
        """Listen on all ports.

        Raises:
            NoFreeAddressError: a port is taken.
        """
        self._cluster = cluster
        self._name = name
        self._faults = FaultPlan()
        ports = [CLUSTER_PORT, *(MODULE_PORT + slot for slot in cluster.modules), control_port]
        found, self._sockets = bind_all(candidates(address), ports)
        self.addresses = Addresses(address=found, control_port=self._sockets[-1].getsockname()[1])

    async def serve(self, lifetime: Lifetime, *, ready: Callable[[Addresses], None], stopped: asyncio.Event) -> None:
        """Serve until the lifetime is over or `stopped` is set; `ready` is called when every port accepts."""
        servers = [await self._listen(factory, bound) for factory, bound in self._listeners(lifetime, stopped)]
        ready(self.addresses)
        try:
            await _end(lifetime, stopped)
        finally:
            for server in servers:
                server.close()

    async def _listen(self, factory: Callable[[], asyncio.BaseProtocol], bound: socket.socket) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(factory, sock=bound)

    def _listeners(
        self, lifetime: Lifetime, stopped: asyncio.Event
    ) -> list[tuple[Callable[[], asyncio.BaseProtocol], socket.socket]]:
        modules = {slot: module_commands(self._cluster, module) for slot, module in self._cluster.modules.items()}
        frame = Session(
            commands=frame_commands(self._cluster, modules), status=self._cluster.status, terminator=_END_OF_ANSWER
        )
        sessions = [frame]
        for slot, module in self._cluster.modules.items():
            sessions.append(Session(commands=modules[slot], status=module.status, terminator=_END_OF_ANSWER))
        control = Control(self._cluster, self._faults, name=self._name, end=stopped.set)
        listeners: list[tuple[Callable[[], asyncio.BaseProtocol], socket.socket]] = [
            (self._connections(session, bound, lifetime), bound)
            for session, bound in zip(sessions, self._sockets[:-1], strict=True)
        ]
        return [*listeners, (lambda: ControlConnection(control, lifetime), self._sockets[-1])]

    def _connections(
        self, session: Session, bound: socket.socket, lifetime: Lifetime
    ) -> Callable[[], asyncio.BaseProtocol]:
        port: int = bound.getsockname()[1]
        return lambda: ScpiConnection(session=session, port=port, faults=self._faults, lifetime=lifetime)


async def _end(lifetime: Lifetime, stopped: asyncio.Event) -> None:
    """Wait until nobody needs the rack any more; the lifetime is looked at again at least once a second."""
    while not stopped.is_set():
        remaining = lifetime.remaining()
        if remaining is not None and remaining <= 0:
            log.info("ending: no client")
            return
        try:
            await asyncio.wait_for(stopped.wait(), timeout=1.0 if remaining is None else min(remaining, 1.0))
        except TimeoutError:
            continue
