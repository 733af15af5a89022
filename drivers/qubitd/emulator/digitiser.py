"""The seam between the instruments and whatever hangs on their connectors: one table of played events in, IQ points
out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import EventTable


class Digitiser(Protocol):
    """What the instruments play to and listen to: the simulated chip, or a cable."""

    def run(self, table: EventTable, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Play a table as often as it says and integrate its windows.

        With adc(t) the sample at the digitiser as a fraction of its full scale, after the LO, and z(t) = adc(t) exp(-2j
        pi nco(t)), t in steps of 1 ns:

        - without weight the result is sum z(t) / length;
        - with a weight w it is sum (Re w(t) Re z(t) + 1j Im w(t) Im z(t)) / length: the hardware integrates each
          quadrature with its own real weight.

        Returns:
            Shape (acquisitions, shots), rows as in `table.acquisitions`.
        """
        ...
