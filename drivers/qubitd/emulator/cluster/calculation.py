"""A run that is being worked out, in a thread of its own, so that the instruments answer meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from qubitd.emulator.cluster.performance import Outcome
from qubitd.emulator.cluster.sequencer import Sequencer


class Calculation:
    """Begins when it is made."""

    def __init__(self, sequencers: Sequence[Sequencer], work: Callable[[], Outcome], *, patience: float) -> None:
        """Begin.

        Args:
            sequencers: that were started.
            work: finds out what they do.
            patience: seconds for which all questions together wait for it.
        """
        self.sequencers = list(sequencers)
        """That take part and were not stopped since."""
        self.start = min(sequencer.started_at for sequencer in sequencers)
        """Instrument time at which they were started, ns."""
        self._outcome: Future[Outcome] = Future()
        self._patience = patience
        threading.Thread(target=self._run, args=(work,), name="emulator-run", daemon=True).start()

    def outcome(self) -> Outcome | None:
        """Give what the run did; None while that is not known.

        Raises:
            EmulatorError: the emulator could not follow it.
        """
        began = time.monotonic()
        try:
            return self._outcome.result(timeout=self._patience)
        except TimeoutError:
            self._patience = max(0.0, self._patience - (time.monotonic() - began))
            return None

    def leave(self, sequencer: Sequencer) -> None:
        """Let a sequencer go that is stopped by force: what the run adds from now on is not its own."""
        if sequencer in self.sequencers:
            self.sequencers.remove(sequencer)
            sequencer.acquisitions.part()

    def _run(self, work: Callable[[], Outcome]) -> None:
        try:
            self._outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again where the outcome is asked for
            self._outcome.set_exception(error)
