"""A cable from every output back to every input: what is digitised is the sum of what is played, with no delay and no
noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import EventTable


class Loopback:
    """Digitises outputs whose LO is that of the input (or which both have none)."""

    def run(self, table: EventTable, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Integrate every window; all shots are alike.

        Returns:
            Shape (acquisitions, shots).
        """
        del rng
        points = [_integrate(table, row) for row in range(len(table.acquisitions.start))]
        return np.repeat(np.array(points, dtype=np.complex128)[:, None], table.shots, axis=1)

    def trace(self, table: EventTable, row: int, length: int, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Give the signal at a window's input from the window's start on, shape (length,)."""
        del rng
        begin = int(table.acquisitions.start[row])
        lo_frequency = table.inputs[table.acquisitions.port[row]].lo_frequency
        return _sampled(table, np.arange(begin, begin + length), lo_frequency)


def _integrate(table: EventTable, row: int) -> complex:
    windows = table.acquisitions
    begin, length = int(windows.start[row]), int(windows.length[row])
    time = np.arange(begin, begin + length)
    nco = windows.phase[row] + windows.frequency[row] * (time - begin) * 1e-9
    z = _sampled(table, time, table.inputs[windows.port[row]].lo_frequency) * np.exp(-2j * np.pi * nco)
    weight = 1.0 if windows.weight[row] < 0 else table.waveforms[windows.weight[row]].samples
    return complex((weight * z).sum() / length)


def _sampled(table: EventTable, time: NDArray[np.int64], lo_frequency: float) -> NDArray[np.complex128]:
    signal = np.zeros(len(time), dtype=np.complex128)
    plays = table.plays
    ends = plays.start + plays.length
    for row in np.flatnonzero((plays.start <= time[-1]) & (ends > time[0])).tolist():
        if table.outputs[plays.port[row]].lo_frequency != lo_frequency:
            continue
        heard = (time >= plays.start[row]) & (time < ends[row])
        t = time[heard] - plays.start[row]
        w = table.waveforms[plays.waveform[row]].samples[t]
        nco = plays.phase[row] + plays.frequency[row] * t * 1e-9
        played = (plays.gain_i[row] * w.real + 1j * plays.gain_q[row] * w.imag) * np.exp(2j * np.pi * nco)
        signal[heard] += played if lo_frequency else played.real
    return signal
