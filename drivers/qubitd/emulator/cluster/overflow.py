"""Which outputs were driven beyond full scale by what sequencers put on them together (the hardware's flag is OUTPUT
OVERFLOW)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import EventTable

_LIMIT = 1 + 1e-6


def overflowing(table: EventTable) -> list[int]:
    """Give the indices of the outputs whose converters had to clip."""
    peaks = np.array([(np.abs(w.samples.real).max(), np.abs(w.samples.imag).max()) for w in table.waveforms]).reshape(
        -1, 2
    )
    plays = table.plays
    bound = np.hypot(plays.gain_i * peaks[plays.waveform, 0], plays.gain_q * peaks[plays.waveform, 1])
    return [port for port in range(len(table.outputs)) if _overflows(table, port, bound)]


def _overflows(table: EventTable, port: int, bound: NDArray[np.float64]) -> bool:
    """Add up bounds first: only where they exceed full scale do the samples have to be looked at."""
    on = (table.plays.port == port).nonzero()[0]
    if not len(on):
        return False
    times = np.concatenate([table.plays.start[on], table.plays.start[on] + table.plays.length[on]])
    steps = np.concatenate([bound[on], -bound[on]])
    order = np.lexsort((steps, times))
    times, sums = times[order], steps[order].cumsum()
    hot = ((sums[:-1] > _LIMIT) & (times[1:] > times[:-1])).nonzero()[0]
    return any(_clips(table, on, int(times[i]), int(times[i + 1])) for i in hot.tolist())


def _clips(table: EventTable, on: NDArray[np.int64], begin: int, end: int) -> bool:
    """Whether either quadrature leaves full scale between two changes, while the same rows play on."""
    plays = table.plays
    signal = np.zeros(end - begin, dtype=np.complex128)
    for row in on[(plays.start[on] < end) & (plays.start[on] + plays.length[on] > begin)].tolist():
        t = np.arange(begin, end) - plays.start[row]
        samples = table.waveforms[plays.waveform[row]].samples[t]
        nco = plays.phase[row] + plays.frequency[row] * t * 1e-9
        piece = (plays.gain_i[row] * samples.real + 1j * plays.gain_q[row] * samples.imag) * np.exp(2j * np.pi * nco)
        signal += piece if table.outputs[plays.port[row]].lo_frequency else piece.real
    return bool(np.abs(signal.real).max() > _LIMIT or np.abs(signal.imag).max() > _LIMIT)
