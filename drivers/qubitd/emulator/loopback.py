"""A cable from every output back to every input: what is digitised is the sum of what is played, with no delay and no
noise but what is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import EVERY_SHOT, EventTable
from qubitd.emulator.outcomes import Decide, Outcomes, needs_no_decision
from qubitd.emulator.patience import GoOn, nothing


class Loopback:
    """Digitises outputs whose LO is that of the input (or which both have none)."""

    def __init__(self, *, noise: float = 0.0) -> None:
        """Connect.

        Args:
            noise: standard deviation of each quadrature of a point, fraction of full scale.
        """
        self._noise = noise

    def run(
        self,
        table: EventTable,
        rng: np.random.Generator,
        decide: Decide = needs_no_decision,
        go_on: GoOn = nothing,
    ) -> NDArray[np.complex128]:
        """Integrate every window; without conditions and noise all shots are alike.

        Returns:
            Shape (acquisitions, shots).
        """
        windows = table.acquisitions
        outcomes = Outcomes(table, decide, shots=table.shots)
        points = np.zeros((len(windows.start), table.shots), dtype=np.complex128)
        for row in np.argsort(windows.start + windows.length, kind="stable").tolist():
            go_on()
            if self._noise:
                points[row] = self._noise * rng.standard_normal((table.shots, 2)).view(np.complex128)[:, 0]
            for condition in _heard(table, row):
                points[row] += _integrate(table, row, condition) * outcomes.mask(condition)
            if windows.feeds[row]:
                outcomes.record(row, points[row])
        return points

    def trace(self, table: EventTable, row: int, length: int, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Give the signal at a window's input from the window's start on, shape (length,)."""
        del rng
        begin = int(table.acquisitions.start[row])
        lo_frequency = table.inputs[table.acquisitions.port[row]].lo_frequency
        return _sampled(table, np.arange(begin, begin + length), lo_frequency, EVERY_SHOT)


def _heard(table: EventTable, row: int) -> list[int]:
    """Give the conditions of the plays that fall into a window: what they add is summed."""
    plays, begin = table.plays, table.acquisitions.start[row]
    heard = (plays.start < begin + table.acquisitions.length[row]) & (plays.start + plays.length > begin)
    return [int(condition) for condition in np.unique(plays.condition[heard])]


def _integrate(table: EventTable, row: int, condition: int) -> complex:
    windows = table.acquisitions
    begin, length = int(windows.start[row]), int(windows.length[row])
    time = np.arange(begin, begin + length)
    nco = windows.phase[row] + windows.frequency[row] * (time - begin) * 1e-9
    lo = table.inputs[windows.port[row]].lo_frequency
    z = _sampled(table, time, lo, condition) * np.exp(-2j * np.pi * nco)
    weight = 1.0 if windows.weight[row] < 0 else table.waveforms[windows.weight[row]].samples
    return complex((weight * z).sum() / length)


def _sampled(table: EventTable, time: NDArray[np.int64], lo_frequency: float, condition: int) -> NDArray[np.complex128]:
    signal = np.zeros(len(time), dtype=np.complex128)
    plays = table.plays
    ends = plays.start + plays.length
    for row in np.flatnonzero((plays.start <= time[-1]) & (ends > time[0]) & (plays.condition == condition)).tolist():
        if table.outputs[plays.port[row]].lo_frequency != lo_frequency:
            continue
        heard = (time >= plays.start[row]) & (time < ends[row])
        t = time[heard] - plays.start[row]
        w = table.waveforms[plays.waveform[row]].samples[t]
        nco = plays.phase[row] + plays.frequency[row] * t * 1e-9
        played = (plays.gain_i[row] * w.real + 1j * plays.gain_q[row] * w.imag) * np.exp(2j * np.pi * nco)
        signal[heard] += played if lo_frequency else played.real
    return signal
