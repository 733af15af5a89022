"""The Cluster as a whole: modules, one time, one digitiser behind all connectors.

Sequencers are started one by one; what they do together is worked out from when somebody asks for it. Until that is
known they count as running.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np

from qubitd.emulator.clock import InstrumentClock
from qubitd.emulator.cluster.bins import Acquisition
from qubitd.emulator.cluster.calculation import Calculation, Calculator
from qubitd.emulator.cluster.module import Module
from qubitd.emulator.cluster.performance import Outcome, Performer, content_of
from qubitd.emulator.cluster.player import SEQUENCERS_IN_SLOT
from qubitd.emulator.cluster.profile import MODULE_KINDS, Profile
from qubitd.emulator.cluster.scope import record
from qubitd.emulator.cluster.sequencer import Sequencer, State
from qubitd.emulator.digitiser import Digitiser
from qubitd.emulator.errors import EmulatorError, ScpiError, SlowRunError
from qubitd.emulator.events import EventTable
from qubitd.emulator.q1.flags import Flag
from qubitd.emulator.scpi.status import Status

log = logging.getLogger(__name__)

PATIENCE = 0.05
"""Seconds for which instruments that are asked keep their answers back during a run: most short ones are known by then,
and what comes after such a question, a stop above all, is heard no sooner."""


class Cluster:
    """A frame with modules in some of its slots."""

    def __init__(
        self,
        slots: Mapping[int, str],
        *,
        digitiser: Digitiser,
        clock: InstrumentClock,
        rng: np.random.Generator,
        profile: Profile | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Populate slots with kinds of module, keys of `MODULE_KINDS`."""
        self._patience = patience
        self.profile = profile or Profile()
        self.modules = {
            slot: Module(slot=slot, kind=MODULE_KINDS[kind], profile=self.profile)
            for slot, kind in sorted(slots.items())
        }
        self.status = Status()
        self.clock = clock
        self.rng = rng
        self.played: tuple[EventTable, ...] = ()
        """Tables of the last run."""
        self._digitiser = digitiser
        self.runs = 0
        """That began since the rack was switched on, whoever asked for them."""
        self._running: list[Sequencer] = []
        """Sequencers that were started and of which nobody knows yet that they stopped."""
        self._calculation: Calculation | None = None
        self._calculator = Calculator()
        self._performer = Performer(digitiser)

    def module(self, slot: int) -> Module:
        """Find the module in a slot."""
        if slot not in self.modules:
            raise ScpiError(-241, f"slot {slot} holds no module")
        return self.modules[slot]

    def sequencers(self) -> list[Sequencer]:
        """Give all sequencers of all modules."""
        return [sequencer for module in self.modules.values() for sequencer in module.sequencers]

    def reset(self) -> None:
        """Do `*RST`."""
        for module in self.modules.values():
            self.reset_module(module)
        self.played = ()
        self._performer.forget()

    def reset_module(self, module: Module) -> None:
        """Do `*RST` of one module."""
        for sequencer in module.sequencers:
            self._release(sequencer)
        module.reset()

    def settle(self, *, waits: bool = True) -> None:
        """Find out what the sequencers that were started have done by now, and wait a little for it unless told
        otherwise."""
        if not self._running:
            return
        if self._calculation is None and (ready := self._ready()):
            self._begin(ready)
        if self._calculation is not None:
            self._take(self._calculation, waits=waits)
        now = self.clock.now()
        for sequencer in self._running:
            sequencer.stop_if_over(now)
        self._running = [sequencer for sequencer in self._running if sequencer.state is State.RUNNING]

    def start(self, sequencer: Sequencer) -> None:
        """Start an armed sequencer."""
        sequencer.start(self.clock.now())
        self._running.append(sequencer)

    def stop(self, sequencer: Sequencer) -> None:
        """Stop a sequencer by force."""
        self.settle(waits=False)
        self._release(sequencer)
        sequencer.stop()

    def store_scope(self, module: Module, acquisition: Acquisition) -> None:
        """Give an acquisition what the scope of its module recorded during the last run.

        Raises:
            ScpiError: the scope is set to what is not emulated.
        """
        self.settle()
        sequencer = module.slot * SEQUENCERS_IN_SLOT + module.scope.trigger
        acquisition.scope = record(self.played, sequencer, self._digitiser, self.rng)

    def _release(self, sequencer: Sequencer) -> None:
        if sequencer in self._running:
            self._running.remove(sequencer)
        if self._calculation is not None:
            self._calculation.leave(sequencer)
            if not self._calculation.sequencers:
                self._calculation = None

    def _ready(self) -> list[Sequencer]:
        """Sequencers that were started and wait for nobody.

        Every sequencer with synchronisation enabled has to reach `wait_sync`: one that is not running makes all others
        wait.
        """
        started = sorted((each for each in self._running if not each.is_played), key=attrgetter("slot", "number"))
        if started and any(each.configuration.is_synchronised for each in self._others(started)):
            return [each for each in started if not each.configuration.is_synchronised]
        return started

    def _others(self, sequencers: Sequence[Sequencer]) -> list[Sequencer]:
        chosen = set(sequencers)
        return [each for module in self.modules.values() for each in module.sequencers if each not in chosen]

    def _begin(self, ready: list[Sequencer]) -> None:
        frozen = [each.freeze(self.modules[each.slot].front_end.settings()) for each in ready]
        taking_part = [each for each in frozen if each is not None]
        players = [each.player for each in taking_part]
        held, rng = self._held_markers(ready), self.rng
        content = content_of([each.content for each in taking_part], held)

        def perform(go_on: Callable[[], None]) -> Outcome:
            return self._performer.perform(players, rng, content=content, held_markers=held, go_on=go_on)

        self.runs += 1
        is_quick = self._performer.is_quick(content)
        self._calculation = Calculation(ready, self._calculator, perform, is_quick=is_quick, patience=self._patience)

    def _take(self, calculation: Calculation, *, waits: bool) -> None:
        """Take over what a run did, if that is known."""
        try:
            outcome = calculation.outcome(waits=waits)
        except Exception as error:  # noqa: BLE001  # of this run alone, whatever it is: the next one must not suffer
            self._calculation = None
            self._fail(calculation.sequencers, error)
            return
        if outcome is None:
            return
        self._calculation = None
        over = self.clock.play(outcome.duration, since=calculation.start)
        by_identity = {(each.slot, each.number): each for each in calculation.sequencers}
        for ending in outcome.endings:
            sequencer = by_identity.get((ending.slot, ending.number))
            if sequencer is not None:
                sequencer.finish(flags=ending.flags, marker=ending.marker, ends_at=over if ending.ends else None)
        self.played = outcome.tables
        log.info("run", extra={"sequencers": len(by_identity), "duration_ns": outcome.duration})

    def _fail(self, ready: list[Sequencer], error: Exception) -> None:
        """End a run that the emulator could not follow: a fault of its own, which must not look like data."""
        if isinstance(error, SlowRunError):
            log.info("run given up", extra={"shots": error.shots, "done": error.done})
        else:
            log.error("run failed", exc_info=error)
        what = str(error) if isinstance(error, EmulatorError) else f"{type(error).__name__}: {error}"
        for status in (self.status, *(module.status for module in self.modules.values())):
            status.report(-310, what)
        for sequencer in ready:
            sequencer.finish(flags=frozenset({Flag.UNKNOWN}), marker=0, ends_at=self.clock.now())

    def _held_markers(self, ready: list[Sequencer]) -> dict[int, int]:
        """Marker bits of the sequencers that stand by, for each slot."""
        chosen = set(ready)
        return {slot: module.held_markers(without=chosen) for slot, module in self.modules.items()}
