"""Physical numbers as the Cluster's registers hold them: gains of 16 bits, quarter hertz, billionths of a turn.

Phases are exact: a tone's phase at a tick is a whole number of quarter nanoturns, taken modulo one turn, so that no
rounding adds up however long a program is. Halves are rounded up, so that what lies on a line stays on one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.core.register_grid import RegisterGrid

GAIN_STEPS = 32768
"""Gain registers count 32768ths of full scale."""
_MOST_GAIN = 32767
QUARTER_HERTZ = 4
"""Frequency registers count quarter hertz; in one tick of 1 ns such a count is as many quarter nanoturns of phase."""
TURN = 1_000_000_000
"""Phase registers count billionths of a turn."""
QUARTER_TURN_UNITS = 4 * TURN
"""Quarter nanoturns in a turn."""

REGISTER_GRID = RegisterGrid(
    amplitude=1 / GAIN_STEPS, most_amplitude=_MOST_GAIN / GAIN_STEPS, frequency=1 / QUARTER_HERTZ, phase=1 / TURN
)

Ints = NDArray[np.int64]


def gain_registers(amplitude: NDArray[np.float64]) -> Ints:
    """Round amplitudes of -1..1 to gains; 1 is one step more than a register holds."""
    return np.minimum(_nearest(amplitude * GAIN_STEPS), _MOST_GAIN)


def frequency_registers(frequency: NDArray[np.float64]) -> Ints:
    """Round frequencies in Hz to quarter hertz."""
    return _nearest(frequency * QUARTER_HERTZ)


def phase_registers(phase: NDArray[np.float64], correction: Ints) -> Ints:
    """Round phases to register values in 0..10^9-1.

    Args:
        phase: radians, of any size and sign.
        correction: quarter nanoturns to add.
    """
    turns = phase / (2 * np.pi)
    turns -= np.floor(turns)
    return _nearest(turns * TURN + correction % QUARTER_TURN_UNITS / 4) % TURN


def _nearest(values: NDArray[np.float64]) -> Ints:
    return np.floor(values + 0.5).astype(np.int64)
