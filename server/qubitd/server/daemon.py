"""The order in which a daemon comes up and goes down: lock, instruments safe, store, recovery, serving; and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from qubitd.server.composition import Composition
from qubitd.server.daemon_settings import DaemonSettings
from qubitd.server.front.rpc import Door
from qubitd.server.front.serving import Front, address_of, check_port, open_front
from qubitd.server.held import Held, Outlets, access_of, held
from qubitd.server.lock import locked
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.metrics import published
from qubitd.server.watching.announcer import Announcer

_log = logging.getLogger(__name__)


async def run_daemon(settings: DaemonSettings, *, stop: asyncio.Event, on_serving: Callable[[int], None]) -> None:
    """Serve until told to stop; outputs are safe and everything accepted is in the store on return.

    Args:
        settings: what to serve.
        stop: set to end.
        on_serving: told the port once jobs are accepted.

    Raises:
        QubitdError: it cannot start, or the store broke.
    """
    access = None if settings.store else access_of(settings)
    check_port(settings.host, settings.port)
    with locked(settings.data_dir):
        broken = asyncio.get_running_loop().create_future()
        outlets = Outlets(announcer=Announcer(), meters=Meters(), broken=broken)
        async with held(settings, access, outlets) as belongings:
            await _Daemon(settings, belongings, outlets).serve(stop, on_serving)


class _Daemon:
    """A daemon from its recovery to its end."""

    def __init__(self, settings: DaemonSettings, belongings: Held, outlets: Outlets) -> None:
        self._settings = settings
        self._held = belongings
        self._outlets = outlets
        self._parts = Composition(settings, belongings, outlets)

    async def serve(self, stop: asyncio.Event, on_serving: Callable[[int], None]) -> None:
        with ExitStack() as stack:
            stack.callback(self._parts.workshop.close)
            stack.callback(self._parts.reading.close)
            if self._settings.metrics_port is not None:
                metrics = published(self._outlets.meters, self._gauges, port=self._settings.metrics_port)
                _log.info("metrics", extra={"port": stack.enter_context(metrics)})
            await self._recover()
            await self._serve(stop, on_serving)

    def _gauges(self) -> dict[str, float]:
        parts = self._parts
        return {
            "queued_jobs": len(parts.dispatch),
            "running_jobs": float(bool(parts.dispatch.running)),
            "rack_operational": float(self._held.rack.is_operational),
            "lab_open": float(parts.engine.lab.is_open),
            **({} if parts.upkeep is None else parts.upkeep.gauges()),
        }

    async def _recover(self) -> None:
        end = self._held.store.audit.end()
        _log.info("the audit log goes on", extra={"audit_line": end.number, "audit_hash": end.hash})
        await self._parts.calibrations.load(self._settings.device)
        await self._parts.engine.recover()
        if self._parts.group is not None:
            await self._parts.group.recovered()

    async def _serve(self, stop: asyncio.Event, on_serving: Callable[[int], None]) -> None:
        parts, supervisor = self._parts, self._settings.supervisor
        front = await open_front(
            parts.services,
            host=self._settings.host,
            port=self._settings.port,
            door=Door(gate=parts.gate, forward=parts.forwarding),
            credentials=self._held.access.credentials,
        )
        besides = self._besides()
        tasks = [*parts.engine.start(), *besides]
        try:
            if parts.group is not None:
                await parts.group.start(address_of(self._settings.host, front.port))
            on_serving(front.port)
            supervisor.serving(f"serving {self._settings.device.device.name} on port {front.port}")
            await self._first_end(stop, tasks)
        finally:
            supervisor.stopping()
            for task in besides:
                task.cancel()
            await self._end(front)
        self._outlets.raise_broken()

    def _besides(self) -> list[asyncio.Task[None]]:
        """Begin what goes on beside the jobs."""
        parts = self._parts
        besides = [
            asyncio.create_task(self._settings.supervisor.watch(parts.engine.wake), name="watchdog"),
            asyncio.create_task(parts.caretaker.serve(), name="caretaker"),
            asyncio.create_task(parts.served.serve(is_compared=self._is_served_time_compared), name="served time"),
        ]
        if parts.upkeep is not None:
            besides.append(asyncio.create_task(parts.upkeep.serve(), name="upkeep"))
        return besides

    def _is_served_time_compared(self) -> bool:
        """Jobs may wait here, and in a group another daemon may take one for this one, or move one, at any time."""
        return self._parts.group is not None or not self._parts.book.is_empty

    async def _first_end(self, stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        """Return when told to stop; raise if the store broke or a task ended by itself."""
        stopping = asyncio.create_task(stop.wait())
        ends: list[asyncio.Future[Any]] = [stopping, self._outlets.broken, *tasks]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._outlets.raise_broken()
        for task in tasks:
            if task.done():
                task.result()

    async def _end(self, front: Front) -> None:
        _log.info("stopping")
        parts = self._parts
        parts.engine.refuse_new()
        await front.announce_end()
        await parts.engine.drain()
        if parts.group is not None:
            await parts.group.end()
        if parts.forwarding is not None:
            await parts.forwarding.close()
        try:
            parts.served.note()
            await parts.sessions.settle_all()
        finally:
            self._outlets.announcer.close()
            await front.close()
