"""The seam between the instruments and whatever hangs on their connectors: one table of played events in, IQ points
out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import EventTable
from qubitd.emulator.outcomes import Decide, needs_no_decision
from qubitd.emulator.patience import GoOn, nothing


class Digitiser(Protocol):
    """What the instruments play to and listen to: the simulated chip, or a cable."""

    def run(
        self,
        table: EventTable,
        rng: np.random.Generator,
        decide: Decide = needs_no_decision,
        go_on: GoOn = nothing,
    ) -> NDArray[np.complex128]:
        """Play a table as often as it says and integrate its windows.

        With adc(t) the sample at the digitiser as a fraction of its full scale, after the LO, nco(t) the demodulating
        oscillator in turns, and w(t) the weight (1 without one), the result is

            sum over the window, in steps of 1 ns, of w(t) adc(t) exp(-2j pi nco(t)), divided by its length.

        Acquisitions that feed conditions are worked out as they end: `decide` tells in which shots they send a
        trigger. Where a row's condition does not hold nothing is played, or the point means nothing.

        `go_on` is called every few ms.

        The hardware integrates each quadrature with a real weight of its own; where both are the same, w is real.

        Returns:
            Shape (acquisitions, shots), rows as in `table.acquisitions`.
        """
        ...

    def trace(self, table: EventTable, row: int, length: int, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Play a table as often as it says and record what comes in from the start of one window on.

        What the next iteration plays is not seen.

        Returns:
            Mean over shots of adc(t), one sample per ns, shape (length,).
        """
        ...
