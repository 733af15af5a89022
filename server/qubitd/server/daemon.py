"""The order in which a daemon comes up and goes down: lock, instruments safe, store, recovery, serving; and back.

On the way back the outputs are safe before the store is closed. In a group the store comes first: it says whose the
rack is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qubitd.compiler.device_file import DeviceFile
from qubitd.drivers.controller import Controller
from qubitd.drivers.rack import Rack
from qubitd.server import watches
from qubitd.server.access import Access, find_access
from qubitd.server.announcer import Announcer
from qubitd.server.auth.gate import Gate
from qubitd.server.backend import Backend
from qubitd.server.book import JobBook
from qubitd.server.calibrations import Calibrations
from qubitd.server.ceilings import ceilings_of
from qubitd.server.clocks import Clocks
from qubitd.server.compile_process import CompileProcess, Kit
from qubitd.server.denials import Denials
from qubitd.server.dispatch import Dispatch, Durations
from qubitd.server.engine import Engine, Parts
from qubitd.server.errors import StoreError
from qubitd.server.fair_share import FairShare
from qubitd.server.group.forwarding import Forwarding
from qubitd.server.group.group import Group, GroupParts
from qubitd.server.group.ownership import Ownership, owned
from qubitd.server.group.roster import Roster
from qubitd.server.lock import locked
from qubitd.server.meters import Meters
from qubitd.server.metrics import published
from qubitd.server.quotas import QuotaBook, Quotas
from qubitd.server.rack import RackThread, chunk_time, not_ours
from qubitd.server.reading import Reader, ReadingProcess
from qubitd.server.retention import Caretaker, Retention
from qubitd.server.rpc import Door, Service
from qubitd.server.served import ServedTime
from qubitd.server.services.backends import BackendsService
from qubitd.server.services.calibrations import CalibrationsService
from qubitd.server.services.jobs import JobsService
from qubitd.server.services.lab import LabService
from qubitd.server.services.sessions import SessionsService
from qubitd.server.services.slots import SlotsService
from qubitd.server.serving import Front, address_of, check_port, open_front
from qubitd.server.sessions.book import SessionBook
from qubitd.server.simulator import Simulator
from qubitd.server.slots import SlotBook
from qubitd.server.store.opening import open_store
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store
from qubitd.server.supervisor import Supervisor, unsupervised
from qubitd.server.toolchain import Toolchain
from qubitd.server.upkeep import Upkeep, UpkeepRules
from qubitd.server.uploads import DIRECTORY as UPLOADS
from qubitd.server.uploads import Uploads
from qubitd.server.workers.crew import Crew
from qubitd.server.workers.papers import KitFiles
from qubitd.server.workshop import Helpers, Workshop

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRack:
    """A rack whose instruments can be reached."""

    rack: Rack
    controller: Controller
    simulator: Simulator | None = None
    """The control socket, if it is emulated."""
    revive: Callable[[], bool] = not_ours
    """Starts it anew if it is emulated by a process of ours that is gone; whether it was. Raises `DriverError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """What a daemon serves, and where."""

    device: DeviceFile
    rack: Callable[[], AbstractContextManager[RunningRack]]
    """Gives the rack for as long as it is needed, and starts what has to run for it."""
    data_dir: Path
    """Its own: jobs, unless they are in `store`; uploads, accounts."""
    host: str
    """An address of this machine; any but loopback needs certificates and accounts."""
    port: int
    """0 for any free one."""
    store: str = ""
    """Address of the PostgreSQL database that keeps jobs; empty for one in the data directory."""
    files: KitFiles | None = None
    """What workers are told of the device and the rack; None has nothing done by workers."""
    wants_certificates: bool = False
    """Whether every caller must come with a certificate of the lab's authority."""
    metrics_port: int | None = None
    """Of loopback, for Prometheus; 0 for any free one, None for none."""
    supervisor: Supervisor = field(default_factory=unsupervised)
    quotas: Quotas = field(default_factory=Quotas)
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of the rack, by project; 1 for one that is not named."""
    retention: Retention = field(default_factory=Retention)
    upkeep: UpkeepRules = field(default_factory=UpkeepRules)


async def run_daemon(settings: DaemonSettings, *, stop: asyncio.Event, on_serving: Callable[[int], None]) -> None:
    """Serve until told to stop; outputs are safe and everything accepted is in the store on return.

    Args:
        settings: what to serve.
        stop: set to end.
        on_serving: told the port once jobs are accepted.

    Raises:
        QubitdError: it cannot start, or the store broke.
    """
    access = None if settings.store else _access(settings)
    check_port(settings.host, settings.port)
    with locked(settings.data_dir):
        broken: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        outlets = Outlets(announcer=Announcer(), meters=Meters())
        async with _held(settings, access, broken, outlets) as held:
            daemon = _Daemon(settings, held, broken=broken, outlets=outlets)
            await daemon.serve(stop, on_serving)


@asynccontextmanager
async def _held(
    settings: DaemonSettings, access: Access | None, broken: asyncio.Future[StoreError], outlets: Outlets
) -> AsyncGenerator[_Held]:
    async with AsyncExitStack() as stack:
        rack = None if settings.store else await stack.enter_async_context(_rack(settings.rack, outlets))
        store = await stack.enter_async_context(_store(settings, broken, outlets))
        access = access or _access(settings, store)
        ownership = await stack.enter_async_context(_owned(settings, store, broken))
        if rack is None:
            rack = await stack.enter_async_context(_rack(settings.rack, outlets))
        stack.push_async_callback(rack.rest)
        yield _Held(access=access, store=store, ownership=ownership, rack=rack)


def _access(settings: DaemonSettings, store: Store | None = None) -> Access:
    """Look at who may come in; a group's accounts are in the store."""
    return find_access(
        settings.data_dir,
        host=settings.host,
        wants_certificates=settings.wants_certificates,
        shared=None if store is None or store.sharing is None else store.accounts.all,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlets:
    """Where parts of the daemon say what happens."""

    announcer: Announcer
    meters: Meters


@asynccontextmanager
async def _store(
    settings: DaemonSettings, broken: asyncio.Future[StoreError], outlets: Outlets
) -> AsyncGenerator[Store]:
    loop = asyncio.get_running_loop()

    def tell(error: StoreError) -> None:
        loop.call_soon_threadsafe(_tell, broken, error)

    store = open_store(
        settings.store,
        settings.data_dir,
        on_broken=tell,
        meters=outlets.meters,
        copies_kept=settings.upkeep.backups_kept,
    )
    try:
        yield store
    finally:
        store.close()


def _owned(
    settings: DaemonSettings, store: Store, broken: asyncio.Future[StoreError]
) -> AbstractAsyncContextManager[Ownership | None]:
    name = settings.device.device.name
    return owned(store, name, settings.data_dir, on_broken=lambda error: _tell(broken, error))


@asynccontextmanager
async def _rack(
    start: Callable[[], AbstractContextManager[RunningRack]], outlets: Outlets
) -> AsyncGenerator[RackThread]:
    with start() as running:
        rack = RackThread(
            running.rack,
            running.controller,
            simulator=running.simulator,
            revive=running.revive,
            announcer=outlets.announcer,
            now=time.time_ns,
            meters=outlets.meters,
        )
        await rack.open()
        try:
            yield rack
        finally:
            await rack.close()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    """What the services are made of, beside the daemon's own."""

    store: Store
    uploads: Uploads
    book: JobBook
    dispatch: Dispatch
    rack: RackThread
    started_ns: int
    """ns since 1970-01-01 UTC."""


def _workshop(device: DeviceFile, store: Store, rack: RackThread, meters: Meters, crew: Crew | None) -> Workshop:
    toolchain = Toolchain(
        device.device,
        rack.controller,
        ceilings=ceilings_of(rack.file),
        run_time=chunk_time(rack.file),
        waits_for_real=rack.file.time == "real",
        now=time.time_ns,
        meters=meters,
    )
    kit = Kit(device=device.device, rack=rack.file)
    running = CompileProcess(kit)
    waiting = CompileProcess(kit, successor=running)
    helpers = Helpers(waiting=waiting, running=running, simulating=CompileProcess(kit), crew=crew)
    return Workshop(store=store, toolchain=toolchain, helpers=helpers)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Held:
    """What a daemon holds while it lives."""

    access: Access
    store: Store
    ownership: Ownership | None
    """Of its backend; None for a daemon that shares its store with no other."""
    rack: RackThread


def _crew(settings: DaemonSettings, held: _Held, clocks: Clocks, meters: Meters) -> Crew | None:
    if held.ownership is None or settings.files is None:
        return None
    return Crew(store=held.store, files=settings.files, clocks=clocks, meters=meters)


def _upkeep(settings: DaemonSettings, store: Store, clocks: Clocks, meters: Meters) -> Upkeep | None:
    """A database of its own has its own keeper."""
    if not isinstance(store, SqliteStore):
        return None
    return Upkeep(store=store, rules=settings.upkeep, clocks=clocks, meters=meters)


def _forwarding(settings: DaemonSettings, access: Access) -> Forwarding:
    return Forwarding(access.calling, wants_certificates=settings.wants_certificates)


class _Daemon:
    """The parts of a daemon, put together."""

    def __init__(
        self,
        settings: DaemonSettings,
        held: _Held,
        *,
        broken: asyncio.Future[StoreError],
        outlets: Outlets,
    ) -> None:
        access, store, rack = held.access, held.store, held.rack
        self._settings = settings
        self._store = store
        self._announcer = announcer = outlets.announcer
        self._meters = outlets.meters
        self._rack = rack
        self._access = access
        clocks = Clocks()
        self._gate = Gate(accounts=access.accounts, remember=Denials(store=store, clocks=clocks))
        self._calibrations = Calibrations(
            store=store, device=settings.device.device, announcer=announcer, now=time.time_ns
        )
        self._crew = _crew(settings, held, clocks, self._meters)
        self._reading = ReadingProcess()
        self._workshop = _workshop(settings.device, store, rack, self._meters, self._crew)
        name = settings.device.device.name
        kept = None if held.ownership is None else name
        self._roster = Roster(own=name, announcer=announcer, steady=clocks.steady)
        self._backend = Backend(calibrations=self._calibrations, rack=rack)
        self._broken = broken
        self._served = ServedTime(store=store, clocks=clocks, backend=name)
        self._book = book = self._make_book(store, clocks)
        self._sessions = SessionBook(store=store, clocks=clocks, quotas=settings.quotas, served=name, backend=kept)
        self._fair_share = FairShare(
            store=store, clocks=clocks, served=self._served, backend=name, weights=settings.shares
        )
        slots = SlotBook(store=store, clocks=clocks, served=name, backend=kept)
        self._dispatch = dispatch = self._make_dispatch(clocks, slots)
        self._engine = self._make_engine(book, dispatch, is_alone=kept is None)
        self._group = None if held.ownership is None else self._make_group(store, held.ownership, clocks)
        self._forwarding = None if kept is None else _forwarding(settings, access)
        uploads = Uploads(settings.data_dir / UPLOADS)
        rule = settings.retention
        self._caretaker = Caretaker(store=store, uploads=uploads, clocks=clocks, retention=rule, backend=kept)
        self._upkeep = _upkeep(settings, store, clocks, self._meters)
        parts = _Parts(store=store, uploads=uploads, book=book, dispatch=dispatch, rack=rack, started_ns=clocks.wall())
        self._services = self._make_services(parts)

    def _make_engine(self, book: JobBook, dispatch: Dispatch, *, is_alone: bool) -> Engine:
        parts = Parts(
            store=self._store,
            book=book,
            calibrations=self._calibrations,
            workshop=self._workshop,
            rack=self._rack,
            dispatch=dispatch,
            meters=self._meters,
            supervisor=self._settings.supervisor,
            quotas=QuotaBook(self._settings.quotas),
            is_alone=is_alone,
        )
        return Engine(parts)

    def _make_dispatch(self, clocks: Clocks, slots: SlotBook) -> Dispatch:
        return Dispatch(
            clocks=clocks,
            sessions=self._sessions,
            slots=slots,
            durations=Durations(time=self._rack.file.time),
            meters=self._meters,
            fair_share=self._fair_share,
        )

    def _make_book(self, store: Store, clocks: Clocks) -> JobBook:
        return JobBook(
            store=store,
            announcer=self._announcer,
            clocks=clocks,
            served=self._served,
            on_disagreement=lambda error: _tell(self._broken, error),
        )

    def _make_group(self, store: Store, ownership: Ownership, clocks: Clocks) -> Group:
        parts = GroupParts(
            store=store,
            ownership=ownership,
            engine=self._engine,
            backend=self._backend,
            roster=self._roster,
            fair_share=self._fair_share,
            announcer=self._announcer,
            clocks=clocks,
            crew=self._crew,
            on_broken=lambda error: _tell(self._broken, error),
        )
        return Group(parts)

    def _make_services(self, parts: _Parts) -> list[Service]:
        engine, sessions, slots = self._engine, parts.dispatch.sessions, parts.dispatch.slots
        backend, roster = self._backend, self._roster
        of_jobs, of_backends, of_calibrations = (
            watches.Watches(announcer=self._announcer, steady=parts.dispatch.clocks.steady, most=most)
            for most in (watches.MOST, watches.MOST_OF_BACKENDS, watches.MOST)
        )
        jobs = JobsService(
            backend=backend,
            engine=engine,
            dispatch=parts.dispatch,
            store=parts.store,
            book=parts.book,
            announcer=self._announcer,
            watches=of_jobs,
            uploads=parts.uploads,
            roster=roster,
            group=self._group,
            reader=Reader(uploads=parts.uploads, specs=self._workshop.toolchain.specs, process=self._reading),
        )
        lab = LabService(
            engine=engine,
            dispatch=parts.dispatch,
            rack=parts.rack,
            started_ns=parts.started_ns,
            upkeep=self._upkeep,
        )
        return [
            BackendsService(backend, roster, of_backends).service(),
            CalibrationsService(backend, roster, of_calibrations).service(),
            jobs.service(),
            SessionsService(roster=roster, engine=engine, sessions=sessions).service(),
            SlotsService(roster=roster, engine=engine, slots=slots).service(),
            lab.service(),
        ]

    async def serve(self, stop: asyncio.Event, on_serving: Callable[[int], None]) -> None:
        with ExitStack() as stack:
            stack.callback(self._workshop.close)
            stack.callback(self._reading.close)
            if self._settings.metrics_port is not None:
                port = stack.enter_context(published(self._meters, self._gauges, port=self._settings.metrics_port))
                _log.info("metrics", extra={"port": port})
            await self._serve(stop, on_serving)

    def _gauges(self) -> dict[str, float]:
        return {
            "queued_jobs": len(self._dispatch),
            "running_jobs": float(bool(self._dispatch.running)),
            "rack_operational": float(self._rack.is_operational),
            "lab_open": float(self._engine.lab.is_open),
            **({} if self._upkeep is None else self._upkeep.gauges()),
        }

    async def _serve(self, stop: asyncio.Event, on_serving: Callable[[int], None]) -> None:
        end = self._store.audit.end()
        _log.info("the audit log goes on", extra={"audit_line": end.number, "audit_hash": end.hash})
        await self._calibrations.load(self._settings.device)
        await self._engine.recover()
        if self._group is not None:
            await self._group.recovered()
        front = await open_front(
            self._services,
            host=self._settings.host,
            port=self._settings.port,
            door=Door(gate=self._gate, forward=self._forwarding),
            credentials=self._access.credentials,
        )
        supervisor = self._settings.supervisor
        besides = [
            asyncio.create_task(supervisor.watch(self._engine.wake), name="watchdog"),
            asyncio.create_task(self._caretaker.serve(), name="caretaker"),
            asyncio.create_task(self._served.serve(is_compared=self._is_served_time_compared), name="served time"),
        ]
        if self._upkeep is not None:
            besides.append(asyncio.create_task(self._upkeep.serve(), name="upkeep"))
        tasks = [*self._engine.start(), *besides]
        try:
            if self._group is not None:
                await self._group.start(address_of(self._settings.host, front.port))
            on_serving(front.port)
            supervisor.serving(f"serving {self._settings.device.device.name} on port {front.port}")
            await _first_end(stop, self._broken, tasks)
        finally:
            supervisor.stopping()
            for task in besides:
                task.cancel()
            await self._end(front)
        _raise_broken(self._broken)

    def _is_served_time_compared(self) -> bool:
        """Jobs may wait here, and in a group another daemon may take one for this one, or move one, at any time."""
        return self._group is not None or not self._book.is_empty

    async def _end(self, front: Front) -> None:
        _log.info("stopping")
        self._engine.refuse_new()
        await front.announce_end()
        await self._engine.drain()
        if self._group is not None:
            await self._group.end()
        if self._forwarding is not None:
            await self._forwarding.close()
        try:
            self._served.note()
            await self._sessions.settle_all()
        finally:
            self._announcer.close()
            await front.close()


async def _first_end(stop: asyncio.Event, broken: asyncio.Future[StoreError], tasks: list[asyncio.Task[None]]) -> None:
    """Return when told to stop; raise if the store broke or a task ended by itself."""
    stopping = asyncio.create_task(stop.wait())
    ends: list[asyncio.Future[Any]] = [stopping, broken, *tasks]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    _raise_broken(broken)
    for task in tasks:
        if task.done():
            task.result()


def _raise_broken(broken: asyncio.Future[StoreError]) -> None:
    if broken.done():
        raise broken.result()


def _tell(broken: asyncio.Future[StoreError], error: StoreError) -> None:
    """Keep the first reason to end."""
    if not broken.done():
        broken.set_result(error)
