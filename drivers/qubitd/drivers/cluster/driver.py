"""The Cluster as a Controller. Connecting changes no output; an armed or running sequencer is never written to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from qubitd.core.capacity import Capacity
from qubitd.core.feedforward import FeedForward
from qubitd.core.program import Chunk
from qubitd.core.register_grid import RegisterGrid
from qubitd.drivers.cluster import protocol
from qubitd.drivers.cluster.assembler import ClusterAssembler
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.capacity import ClusterCapacity
from qubitd.drivers.cluster.conversation import Acquisitions, ClusterConversation, room_of
from qubitd.drivers.cluster.exertion import refuse_above_ceilings
from qubitd.drivers.cluster.feedforward import FEEDFORWARD
from qubitd.drivers.cluster.holdings import Holdings, Look
from qubitd.drivers.cluster.known_settings import KnownSettings
from qubitd.drivers.cluster.protocol import ACTIVE_STATES, SequencerState, sequencer
from qubitd.drivers.cluster.readout import ClusterReadings
from qubitd.drivers.cluster.registers import REGISTER_GRID
from qubitd.drivers.cluster.scope import trace_of
from qubitd.drivers.cluster.settings import Setting
from qubitd.drivers.cluster.settings_plan import SettingsPlan
from qubitd.drivers.cluster.wiring import SequencerAddress, Wiring
from qubitd.drivers.cluster.work import Workbench
from qubitd.drivers.controller import Assembly, LoadReport, never, nothing
from qubitd.drivers.errors import (
    InstrumentChangedError,
    InstrumentFaultError,
    NotReadyError,
    RunBrokenOffError,
    RunTimeoutError,
    SequencerBusyError,
)
from qubitd.drivers.rack import ClusterInstrument
from qubitd.drivers.visa.link import Asked
from qubitd.drivers.visa.opening import open_link

log = logging.getLogger(__name__)

FIRST_PAUSE = 2e-4
"""Seconds between the first two looks at a run; later ones are further apart."""
LONGEST_PAUSE = 0.02
"""But for the one that ends when the run should."""
FEW_BINS = 4096
"""Of all sequencers, which are read in no time: they may be asked for in vain."""


class _Stage(Enum):
    """How far the chunk in the Cluster has come."""

    EMPTY = auto()
    LOADED = auto()
    ARMED = auto()
    STARTED = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connection:
    """What exists while a link is open."""

    conversation: ClusterConversation
    settings: KnownSettings
    holdings: Holdings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What a run gave."""

    acquisitions: Sequence[Acquisitions]
    """Of each sequencer that acquires."""
    settings: Mapping[str, Setting]
    """On which it depends, as they were read back after it."""


class ClusterController:
    """Plays chunks on one Cluster. Used by one thread at a time."""

    def __init__(self, instrument: ClusterInstrument, wiring: Wiring) -> None:
        self._instrument = instrument
        workbench = Workbench(wiring)
        self._assembler = ClusterAssembler(workbench=workbench)
        self._capacity = ClusterCapacity(workbench=workbench)
        self._plan = SettingsPlan(instrument, wiring)
        self._connected: _Connection | None = None
        self._loaded: ClusterAssembly | None = None
        self._stage = _Stage.EMPTY
        self._started = 0.0
        self._seen: Mapping[SequencerAddress, SequencerState] = {}
        """How sequencers were when they had been started; nothing once somebody looked at that."""
        self._rooms: Mapping[SequencerAddress, bytearray] = {}
        """Made during a run for what it will give."""
        self._is_quick = False
        """Whether the last run was over at the first look: then the next one is asked at once what it gave."""
        self._given: _Given | None = None
        """What was read with the first look at a run."""
        self._is_in_doubt = False

    @property
    def capacity(self) -> Capacity:
        """What its memories hold."""
        return self._capacity

    @property
    def grid(self) -> RegisterGrid:
        """The steps of its gains, frequencies and phases."""
        return REGISTER_GRID

    @property
    def feedforward(self) -> FeedForward:
        """What its trigger network can do."""
        return FEEDFORWARD

    def connect(self) -> None:
        """Find the Cluster, make sure who it is, and adopt its state. Nothing is changed."""
        self._open()
        try:
            self._connection().conversation.check_health()
        except BaseException:
            self.close()
            raise
        log.info("connected", extra={"instrument": self._instrument.resource})

    def close(self) -> None:
        """Drop the link. What the Cluster does goes on."""
        if self._connected is not None:
            self._connected.conversation.link.close()
        self._connected, self._loaded = None, None
        self._stage = _Stage.EMPTY

    def check(self, chunk: Chunk) -> None:
        """Hold a chunk against the ceilings of its lines. Pure.

        Raises:
            UnplayableProgramError, CeilingError.
        """
        self._assembler.check(chunk)

    def vouch(self, chunk: Chunk) -> bool:
        """Whether a chunk of one program fits and passes `check` whatever the phases of its plays. Pure."""
        return self._assembler.vouch(chunk)

    def assemble(self, chunk: Chunk) -> ClusterAssembly:
        """Translate a chunk. Pure.

        Raises:
            UnplayableProgramError, CapacityError.
        """
        return self._assembler.assemble(chunk)

    def load(self, assembly: Assembly, *, give_up: Callable[[], bool] = never) -> LoadReport:
        """Bring an assembly into the Cluster, sending only what it does not hold.

        Args:
            assembly: what `assemble` gave.
            give_up: asked before each sequencer is brought its part; the loading ends when it says so.

        Raises:
            RunBrokenOffError: it was given up, and nothing is loaded.
            CeilingError: a line would carry more than the rack file allows; nothing was sent.
            SequencerBusyError: a sequencer that must be written to is armed or running; nothing was written.
            InstrumentFaultError: it refused something.
        """
        if not isinstance(assembly, ClusterAssembly):
            raise NotReadyError(f"a Cluster cannot load {type(assembly).__name__}; use what its own `assemble` gave")
        self._loaded, self._stage = None, _Stage.EMPTY
        refuse_above_ceilings((load.wired, load.exertion) for load in assembly.sequencers)
        with self._doubting() as connected:
            assembly = replace(assembly, sequencers=tuple(map(connected.holdings.placed, assembly.sequencers)))
            wanted, look = self._looked_at(connected, assembly)
            connected.settings.write(wanted)
            sent = connected.holdings.bring(
                assembly.sequencers, look, before_each=lambda: self._refuse_given_up(give_up)
            )
            if wanted or sent:
                connected.conversation.refuse_errors("take a chunk", uploaded=assembly.sequencers)
        self._loaded, self._stage = assembly, _Stage.LOADED
        log.info("loaded", extra={"instrument": self._instrument.resource, "bytes": sent})
        return LoadReport(upload_bytes=sent, reused_bytes=assembly.upload_bytes - sent)

    def load_ahead(self, assembly: Assembly) -> LoadReport | None:
        """While a run goes on, bring one more idle sequencer what it will play in the next.

        A line whose sequencer runs has its spare brought up instead, if it has one. Settings are left to `load`: a
        member of the synchronisation that is not armed would keep the others waiting.

        Raises:
            NotReadyError: nothing was started.
            InstrumentFaultError: it refused something.
        """
        running = self._chunk()
        if not isinstance(assembly, ClusterAssembly) or self._stage is not _Stage.STARTED:
            raise NotReadyError("nothing runs that something could be loaded behind; call start first")
        playing = {load.wired.address: load.digest for load in running.sequencers}
        with self._doubting() as connected:
            holdings = connected.holdings
            found = (holdings.ahead(load, playing) for load in assembly.sequencers)
            load = next((load for load in found if load is not None), None)
            if load is None:
                return None
            look = holdings.look([load.wired.address], [load])
            if any(map(_is_active, look.states.values())):
                return None
            sent = holdings.bring([load], look)
            connected.conversation.refuse_errors("take a part of the next chunk", uploaded=[load])
            holdings.note_ahead(load)
        return LoadReport(upload_bytes=sent, reused_bytes=load.upload_bytes - sent)

    def arm(self) -> None:
        """Make ready what was loaded last; nothing plays. Data of an earlier run are deleted.

        Raises:
            NotReadyError: nothing is loaded.
            InstrumentFaultError: a sequencer cannot be armed.
        """
        loaded = self._chunk()
        self._stage = _Stage.LOADED
        with self._doubting() as connected:
            if loaded.sequencers:
                connected.conversation.refuse_errors("arm", commands=_arming(loaded))
        self._stage = _Stage.ARMED

    def start(self) -> None:
        """Run what was loaded last, armed first unless it is, all in one exchange.

        Sequencers wait for each other, so that one which cannot be armed keeps all from playing.

        Raises:
            NotReadyError: nothing is loaded.
            InstrumentFaultError: a sequencer cannot be armed or started.
        """
        loaded = self._chunk()
        arming = [] if self._stage is _Stage.ARMED else _arming(loaded)
        self._stage, self._started, self._rooms, self._given = _Stage.LOADED, time.monotonic(), {}, None
        with self._doubting() as connected:
            if not loaded.sequencers:
                self._seen = {}
            elif self._is_quick and not loaded.scopes and sum(load.bins for load in loaded.sequencers) <= FEW_BINS:
                self._seen, self._given = self._started_and_asked(connected, loaded, arming)
            else:
                self._seen = connected.conversation.start(_addresses(loaded), arming=arming)
        self._stage = _Stage.STARTED

    def wait(
        self, deadline: float, *, give_up: Callable[[], bool] = never, meanwhile: Callable[[], None] = nothing
    ) -> None:
        """Return when the run has ended well.

        Args:
            deadline: seconds on the wall clock.
            give_up: asked between two looks; the wait ends when it says so.
            meanwhile: called between two looks.

        Raises:
            NotReadyError: nothing was started.
            RunBrokenOffError: it still runs and was given up.
            RunTimeoutError: it still runs.
            InstrumentFaultError: a sequencer reported a fault.
            InstrumentChangedError: a sequencer was reset.
        """
        names = {load.wired.address: load.wired.name for load in self._chunk().sequencers}
        if self._stage in (_Stage.LOADED, _Stage.ARMED):
            raise NotReadyError("what was loaded has not been started; call start first")
        pending, end = list(names), time.monotonic() + deadline
        due = self._started + self._chunk().duration
        self._is_quick = not any(map(_is_active, self._seen.values())) and bool(self._seen)
        if not self._is_quick:
            self._given = None
        with self._doubting() as connected:
            while pending:
                states, self._seen = self._seen or connected.conversation.states(pending), {}
                looked = time.monotonic()
                self._refuse_faults(connected.conversation, states, names)
                pending = [address for address in pending if states[address].state in ACTIVE_STATES]
                if pending:
                    self._refuse_given_up(give_up)
                if pending and looked >= end:
                    unfinished = [f"{names[address]} is {states[address].state}" for address in pending]
                    raise RunTimeoutError(resource=self._instrument.resource, deadline=deadline, unfinished=unfinished)
                if pending:
                    self._rooms = self._rooms or {load.wired.address: room_of(load) for load in self._acquiring()}
                    meanwhile()
                    time.sleep(max(0.0, _next_look(looked, self._started, due) - time.monotonic()))
        self._stage = _Stage.ENDED

    def fetch(self) -> ClusterReadings:
        """Read what the run that ended gave, and make sure that nobody else touched the Cluster meanwhile.

        Raises:
            NotReadyError: no run has ended.
            InstrumentChangedError: bins or settings are not those of this run.
        """
        loaded = self._chunk()
        if self._stage is not _Stage.ENDED:
            raise NotReadyError("no run has ended since the last load or start; call wait first")
        with self._doubting() as connected:
            conversation = connected.conversation
            conversation.store_traces([load.trigger for load in loaded.scopes])
            given, self._given = self._given or self._asked(connected, loaded), None
            acquired = {
                load.wired.address: conversation.of_one_run(load, one)
                for load, one in zip(self._acquiring(), given.acquisitions, strict=True)
            }
            for load in loaded.scopes:
                conversation.require_trace(acquired[load.trigger], averages=loaded.shots, load=load)
            connected.settings.confirm(given.settings)
            connected.holdings.note_run(loaded.sequencers)
        return ClusterReadings(
            assembly=loaded,
            bins=tuple(one.bins for one in acquired.values()),
            traces=tuple(trace_of(load, acquired[load.trigger].trace, loaded.shots) for load in loaded.scopes),
        )

    def stop(self) -> None:
        """Make the Cluster safe: sequencers stopped, RF switches off, offsets held; read back.

        Raises:
            InstrumentChangedError: it does not stay so.
            SequencerBusyError: a sequencer still runs.
        """
        if self._connected is None or not self._connected.conversation.link.is_open:
            self._open()
        self._loaded, self._stage = None, _Stage.EMPTY
        with self._doubting() as connected:
            conversation, settings = connected.conversation, connected.settings
            conversation.link.write(*(sequencer(address, "STOP") for address in self._plan.addresses))
            for words in conversation.drain_errors():
                log.warning("refused to stop", extra={"instrument": self._instrument.resource, "words": words})
            self._adopt(connected)
            self._plan.rest(settings)
            conversation.refuse_errors("rest")
            self._plan.verify_rest(settings)
            self._refuse_active(conversation.states(self._plan.addresses))
        log.info("stopped", extra={"instrument": self._instrument.resource})

    def _open(self) -> None:
        """Open a link, make sure who is there, and adopt its state, however it is."""
        self.close()
        log.info("connecting", extra={"instrument": self._instrument.resource})
        link = open_link(self._instrument.resource, timeout=self._instrument.timeout)
        try:
            conversation = ClusterConversation(link)
            conversation.identify(self._instrument)
            connected = _Connection(
                conversation=conversation, settings=KnownSettings(conversation), holdings=Holdings(conversation)
            )
            self._adopt(connected)
        except BaseException:
            link.close()
            raise
        self._connected = connected

    def _connection(self) -> _Connection:
        if self._connected is None:
            raise NotReadyError(f"{self._instrument.resource} is not connected; call connect first")
        return self._connected

    def _chunk(self) -> ClusterAssembly:
        if self._loaded is None:
            raise NotReadyError("nothing is loaded; call load first")
        return self._loaded

    def _acquiring(self) -> list[SequencerLoad]:
        return [load for load in self._chunk().sequencers if load.bins]

    def _questions(self, conversation: ClusterConversation) -> list[Asked[Acquisitions]]:
        rooms, self._rooms = self._rooms, {}
        return [conversation.acquisitions_of(load, rooms.get(load.wired.address)) for load in self._acquiring()]

    def _asked(self, connected: _Connection, loaded: ClusterAssembly) -> _Given:
        asked = self._questions(connected.conversation)
        found, settings = connected.settings.read_back(self._plan.of_run(loaded), after=asked)
        return _Given(acquisitions=found, settings=settings)

    def _started_and_asked(
        self, connected: _Connection, loaded: ClusterAssembly, arming: Sequence[str]
    ) -> tuple[Mapping[SequencerAddress, SequencerState], _Given]:
        """Start, look, and ask what the run gave, in one exchange: what comes is that if it is over at the look."""
        conversation, addresses = connected.conversation, _addresses(loaded)
        commands, first = conversation.starting(addresses)
        asked: list[Asked[Any]] = [*first.asked, *self._questions(conversation)]
        found, settings = connected.settings.read_back(
            self._plan.of_run(loaded), commands=[*arming, *commands], after=asked
        )
        looks, acquisitions = found[: len(first.asked)], found[len(first.asked) :]
        return conversation.started(addresses, looks), _Given(acquisitions=acquisitions, settings=settings)

    @contextmanager
    def _doubting(self) -> Generator[_Connection, None, None]:
        """Give the connection; if anything goes wrong, read all settings anew before they are relied on again."""
        connected = self._connection()
        try:
            yield connected
        except BaseException:
            self._is_in_doubt = True
            raise

    def _adopt(self, connected: _Connection) -> None:
        """Read how everything is set, and count on nothing that was uploaded."""
        connected.holdings.forget()
        self._plan.adopt(connected.settings)
        self._is_in_doubt = False

    def _looked_at(self, connected: _Connection, assembly: ClusterAssembly) -> tuple[Mapping[str, Setting], Look]:
        """Find the settings to write, and make sure that no sequencer which must be written to is active.

        Raises:
            SequencerBusyError: one of them is armed or running.
        """
        if self._is_in_doubt:
            self._adopt(connected)
        wanted = self._plan.missing(connected.settings, assembly)
        look = connected.holdings.look(self._plan.touched(assembly, wanted), assembly.sequencers)
        if connected.holdings.was_reset(look.states):
            log.warning("reset by somebody else", extra={"instrument": self._instrument.resource})
            self._adopt(connected)
            wanted = self._plan.missing(connected.settings, assembly)
            look = connected.holdings.look(self._plan.touched(assembly, wanted), assembly.sequencers)
        self._refuse_active(look.states)
        return wanted, look

    def _refuse_given_up(self, give_up: Callable[[], bool]) -> None:
        if give_up():
            raise RunBrokenOffError(resource=self._instrument.resource)

    def _refuse_active(self, states: Mapping[SequencerAddress, SequencerState]) -> None:
        active = [f"{address} is {state.state}" for address, state in states.items() if _is_active(state)]
        if active:
            raise SequencerBusyError(resource=self._instrument.resource, sequencers=active)

    def _refuse_faults(
        self,
        conversation: ClusterConversation,
        states: Mapping[SequencerAddress, SequencerState],
        names: Mapping[SequencerAddress, str],
    ) -> None:
        words = [f"{names[address]}: {', '.join(state.faults)}" for address, state in states.items() if state.faults]
        if words:
            words = [*conversation.drain_errors(), *words]  # flags do not say why
            raise InstrumentFaultError(resource=self._instrument.resource, what="the run failed", words=words)
        reset = [names[address] for address, state in states.items() if state.state == "IDLE"]
        if reset:
            raise InstrumentChangedError(
                resource=self._instrument.resource, what=f"{', '.join(reset)} was reset by somebody else during the run"
            )


def _is_active(state: SequencerState) -> bool:
    return state.state in ACTIVE_STATES


def _next_look(looked: float, started: float, due: float) -> float:
    """Say when to look at a run again: ever later after its start, when it should end, and ever later after that.

    Args:
        looked: when it was looked at last; all times are in seconds of one clock.
        started: when it began.
        due: when it should end.
    """
    is_late = looked >= due
    pause = min(max((looked - (due if is_late else started)) / 2, FIRST_PAUSE), LONGEST_PAUSE)
    return looked + pause if is_late else min(looked + pause, due)


def _addresses(loaded: ClusterAssembly) -> list[SequencerAddress]:
    return [load.wired.address for load in loaded.sequencers]


def _arming(loaded: ClusterAssembly) -> list[str]:
    """Give the commands that delete what earlier runs acquired, then arm."""
    delete = f'ACQ:ALISt:ACQuisition:DATA:DELete "{protocol.ACQUISITION}"'
    deletions = [sequencer(load.wired.address, delete) for load in loaded.sequencers if load.bins]
    return [*deletions, *(sequencer(address, "ARM") for address in _addresses(loaded))]
