"""A run that is being worked out, in a thread beside the instruments, so that these answer meanwhile; or at once, if it
takes no longer than they would wait for it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias

from qubitd.emulator.cluster.performance import Outcome
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.errors import RunAbandonedError

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

    def do(self, work: Callable[[], Outcome]) -> Future[Outcome]:
        """Work something out at once, while it is idle."""
        outcome: Future[Outcome] = Future()
        _settle(work, outcome)
        return outcome


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
        self._abandoned = threading.Event()
        self._patience = patience
        go_on = partial(_go_on, self._abandoned)
        begin = calculator.do if is_quick and calculator.is_idle else calculator.submit
        self._outcome = begin(lambda: perform(go_on))

    def outcome(self, *, waits: bool = True) -> Outcome | None:
        """Give what the run did; None while that is not known, for which it is waited unless told otherwise.

        Raises:
            EmulatorError: the emulator could not follow it.
            Exception: it failed.
        """
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
            self._abandoned.set()


def _nothing() -> None:
    """Nothing was begun yet."""


def _go_on(abandoned: threading.Event) -> None:
    if abandoned.is_set():
        raise RunAbandonedError


def _work(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        _settle(*task)
        del task  # it is not ours to keep while nothing is to be done


def _settle(work: Callable[[], Outcome], outcome: Future[Outcome]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001  # raised again where the outcome is asked for
        outcome.set_exception(error)
