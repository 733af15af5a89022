"""The parts of a daemon, put together: which of them knows which others."""

from __future__ import annotations

import time

from qubitd.compiler.device_file import DeviceFile
from qubitd.server.auth.gate import Gate
from qubitd.server.clocks import Clocks
from qubitd.server.compiling.compile_process import CompileProcess, Kit
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.daemon_settings import DaemonSettings
from qubitd.server.engine import Engine, Parts
from qubitd.server.front.denials import Denials
from qubitd.server.front.quotas import QuotaBook
from qubitd.server.front.reading import Reader, ReadingProcess
from qubitd.server.front.rpc import Service
from qubitd.server.front.uploads import DIRECTORY as UPLOADS
from qubitd.server.front.uploads import Uploads
from qubitd.server.group.forwarding import Forwarding
from qubitd.server.group.group import Group, GroupParts
from qubitd.server.group.ownership import Ownership
from qubitd.server.group.roster import Roster
from qubitd.server.held import Held, Outlets
from qubitd.server.housekeeping.retention import Caretaker
from qubitd.server.housekeeping.upkeep import Upkeep
from qubitd.server.instruments.backend import Backend
from qubitd.server.instruments.ceilings import ceilings_of
from qubitd.server.instruments.rack import RackThread, chunk_time
from qubitd.server.queueing.book import JobBook
from qubitd.server.queueing.dispatch import Dispatch, Durations
from qubitd.server.queueing.fair_share import FairShare
from qubitd.server.queueing.served import ServedTime
from qubitd.server.queueing.slots import SlotBook
from qubitd.server.revisions.calibrations import Calibrations
from qubitd.server.running.workshop import Helpers, Workshop
from qubitd.server.services.backends import BackendsService
from qubitd.server.services.calibrations import CalibrationsService
from qubitd.server.services.jobs import JobsService
from qubitd.server.services.lab import LabService
from qubitd.server.services.sessions import SessionsService
from qubitd.server.services.slots import SlotsService
from qubitd.server.sessions.book import SessionBook
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store
from qubitd.server.telemetry.meters import Meters
from qubitd.server.watching import watches
from qubitd.server.workers.crew import Crew


class Composition:
    """The parts of one daemon."""

    def __init__(self, settings: DaemonSettings, held: Held, outlets: Outlets) -> None:
        """Make them; none does anything yet."""
        self._settings = settings
        self._held = held
        self._outlets = outlets
        self._clocks = clocks = Clocks()
        self._name = name = settings.device.device.name
        self._kept = kept = None if held.ownership is None else name
        store, announcer, meters = held.store, outlets.announcer, outlets.meters
        self._crew = _crew(settings, held, clocks, meters)
        self._roster = Roster(own=name, announcer=announcer, steady=clocks.steady)
        self.gate = Gate(accounts=held.access.accounts, remember=Denials(store=store, clocks=clocks))
        self.calibrations = Calibrations(
            store=store, device=settings.device.device, announcer=announcer, now=time.time_ns
        )
        self.reading = ReadingProcess()
        self.workshop = _workshop(settings.device, store, held.rack, meters, self._crew)
        self._backend = Backend(calibrations=self.calibrations, rack=held.rack)
        self.served = ServedTime(store=store, clocks=clocks, backend=name)
        self.book = JobBook(
            store=store,
            announcer=announcer,
            clocks=clocks,
            served=self.served,
            on_disagreement=outlets.tell_broken,
        )
        self.sessions = SessionBook(store=store, clocks=clocks, quotas=settings.quotas, served=name, backend=kept)
        self._fair_share = FairShare(
            store=store, clocks=clocks, served=self.served, backend=name, weights=settings.shares
        )
        self.dispatch = self._make_dispatch()
        self.engine = self._make_engine()
        self.group = None if held.ownership is None else self._make_group(held.ownership)
        self.forwarding = None if held.ownership is None else _forwarding(settings, held)
        self._uploads = Uploads(settings.data_dir / UPLOADS)
        self.caretaker = Caretaker(
            store=store, uploads=self._uploads, clocks=clocks, retention=settings.retention, backend=kept
        )
        self.upkeep = _upkeep(settings, store, clocks, meters)
        self.services = self._make_services()

    def _make_dispatch(self) -> Dispatch:
        return Dispatch(
            clocks=self._clocks,
            sessions=self.sessions,
            slots=SlotBook(store=self._held.store, clocks=self._clocks, served=self._name, backend=self._kept),
            durations=Durations(time=self._held.rack.file.time),
            meters=self._outlets.meters,
            fair_share=self._fair_share,
        )

    def _make_engine(self) -> Engine:
        parts = Parts(
            store=self._held.store,
            book=self.book,
            calibrations=self.calibrations,
            workshop=self.workshop,
            rack=self._held.rack,
            dispatch=self.dispatch,
            meters=self._outlets.meters,
            supervisor=self._settings.supervisor,
            quotas=QuotaBook(self._settings.quotas),
            is_alone=self._kept is None,
        )
        return Engine(parts)

    def _make_group(self, ownership: Ownership) -> Group:
        parts = GroupParts(
            store=self._held.store,
            ownership=ownership,
            engine=self.engine,
            backend=self._backend,
            roster=self._roster,
            fair_share=self._fair_share,
            announcer=self._outlets.announcer,
            clocks=self._clocks,
            crew=self._crew,
            on_broken=self._outlets.tell_broken,
        )
        return Group(parts)

    def _make_services(self) -> list[Service]:
        engine, dispatch, roster, backend = self.engine, self.dispatch, self._roster, self._backend
        of_jobs, of_backends, of_calibrations = (
            watches.Watches(announcer=self._outlets.announcer, steady=self._clocks.steady, most=most)
            for most in (watches.MOST, watches.MOST_OF_BACKENDS, watches.MOST)
        )
        jobs = JobsService(
            backend=backend,
            engine=engine,
            dispatch=dispatch,
            store=self._held.store,
            book=self.book,
            announcer=self._outlets.announcer,
            watches=of_jobs,
            uploads=self._uploads,
            roster=roster,
            group=self.group,
            reader=Reader(uploads=self._uploads, specs=self.workshop.toolchain.specs, process=self.reading),
        )
        lab = LabService(
            engine=engine,
            dispatch=dispatch,
            rack=self._held.rack,
            store=self._held.store,
            started_ns=self._clocks.wall(),
            upkeep=self.upkeep,
        )
        return [
            BackendsService(backend, roster, of_backends).service(),
            CalibrationsService(backend, roster, of_calibrations).service(),
            jobs.service(),
            SessionsService(roster=roster, engine=engine, sessions=dispatch.sessions).service(),
            SlotsService(roster=roster, engine=engine, slots=dispatch.slots).service(),
            lab.service(),
        ]


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


def _crew(settings: DaemonSettings, held: Held, clocks: Clocks, meters: Meters) -> Crew | None:
    if held.ownership is None or settings.files is None:
        return None
    return Crew(store=held.store, files=settings.files, clocks=clocks, meters=meters)


def _forwarding(settings: DaemonSettings, held: Held) -> Forwarding:
    return Forwarding(held.access.calling, wants_certificates=settings.wants_certificates)


def _upkeep(settings: DaemonSettings, store: Store, clocks: Clocks, meters: Meters) -> Upkeep | None:
    """A database of its own has its own keeper."""
    if not isinstance(store, SqliteStore):
        return None
    return Upkeep(store=store, rules=settings.upkeep, clocks=clocks, meters=meters)
