"""A run that is being worked out, in a thread beside the instruments, so that these answer meanwhile; or at once, if it
takes no longer than they would wait for it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

from qubitd.emulator.cluster.performance import Outcome
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.errors import RunAbandonedError
from qubitd.emulator.patience import nothing

_Task: TypeAlias = tuple[Callable[[], Outcome], Future[Outcome]]


class Calculator:
    """Works runs out, one after another; its thread begins with the first, and ends with this object or the process."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: Callable[[], Future[Outcome] | None] = _nothing
        """Gives what was begun last, while anybody holds it: what came of it is not ours to keep."""

    @property
    def is_idle(self) -> bool:
        """Whether all that was begun has been worked out."""
        last = self._last()
        return last is None or last.done()

    def submit(self, work: Callable[[], Outcome]) -> Future[Outcome]:
        """Begin to work something out, after what was begun before."""
        if self._thread is None:
            self._thread = threading.Thread(target=_work, args=(self._tasks,), name="emulator-runs", daemon=True)
            self._thread.start()
            weakref.finalize(self, self._tasks.put, None)
        outcome: Future[Outcome] = Future()
        self._last = weakref.ref(outcome)
        self._tasks.put((work, outcome))
        return outcome


@dataclass(slots=True, eq=False)
class _Known:
    """What was worked out at once, in the words of a `Future`, of which nobody else has to know here."""

    value: Outcome | None
    error: Exception | None = None

    @staticmethod
    def of(work: Callable[[], Outcome]) -> _Known:
        """Work something out."""
        try:
            return _Known(work())
        except Exception as error:  # noqa: BLE001  # raised again where the outcome is asked for
            return _Known(None, error)

    def result(self) -> Outcome | None:
        """Give it."""
        if self.error is not None:
            raise self.error
        return self.value


class Calculation:
    """What some sequencers that were started do."""

    def __init__(
        self,
        sequencers: Sequence[Sequencer],
        calculator: Calculator,
        perform: Callable[[Callable[[], None]], Outcome],
        *,
        is_quick: bool,
        patience: float,
    ) -> None:
        """Begin.

        Args:
            sequencers: that were started.
            calculator: that works it out.
            perform: finds what they do; calls what it is given now and then, which ends it if nobody waits any more.
            is_quick: whether that takes a few ms, as is known from an earlier time.
            patience: seconds for which all questions together wait for it.
        """
        self.sequencers = list(sequencers)
        """That take part and were not stopped since."""
        self.start = min(sequencer.started_at for sequencer in sequencers)
        """Instrument time at which they were started, ns."""
        self._is_abandoned = False
        self._patience = patience
        self._outcome: Future[Outcome] | _Known
        if is_quick and calculator.is_idle:
            self._outcome = _Known.of(lambda: perform(nothing))
        else:
            self._outcome = calculator.submit(lambda: perform(self._go_on))

    def outcome(self, *, waits: bool = True) -> Outcome | None:
        """Give what the run did; None while that is not known, for which it is waited unless told otherwise.

        Raises:
            EmulatorError: the emulator could not follow it.
            Exception: it failed.
        """
        if isinstance(self._outcome, _Known):
            return self._outcome.result()
        if not self._outcome.done():
            began = time.monotonic()
            wait([self._outcome], timeout=self._patience if waits else 0)
            self._patience = max(0.0, self._patience - (time.monotonic() - began))
        return self._outcome.result() if self._outcome.done() else None

    def leave(self, sequencer: Sequencer) -> None:
        """Let a sequencer go that is stopped by force: what the run adds from now on is not its own.

        The run is abandoned with the last one.
        """
        if sequencer in self.sequencers:
            self.sequencers.remove(sequencer)
            sequencer.acquisitions.part()
        if not self.sequencers:
            self._is_abandoned = True

    def _go_on(self) -> None:
        if self._is_abandoned:
            raise RunAbandonedError


def _nothing() -> None:
    """Nothing was begun yet."""


def _work(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        work, outcome = task
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again where the outcome is asked for
            outcome.set_exception(error)
        del task, work, outcome  # it is not ours to keep while nothing is to be done
