"""Write down an event table by hand, in the words of lines and RF frequencies, as a rack without faults would play it.

For tools and tests that look at the chip without instruments. All NCOs are reset at time 0 and whenever asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.core.envelope import samples_digest
from qubitd.emulator.cabling import FEEDLINE, Cable, Cabling
from qubitd.emulator.events import EVERY_SHOT, Acquisitions, EventTable, InputPort, OutputPort, Plays, Waveform

READOUT_LO = 7.28e9
"""Hz."""
DRIVE_IF = 80e6
"""Hz by which a drive's LO lies below the f01 of the qubit that its cable reaches."""


class Tape:
    """Rows in any order; `table` sorts them. Times are ns at the connectors, other quantities SI."""

    def __init__(self, cabling: Cabling) -> None:
        """Begin an empty tape for a rack that is cabled like this."""
        self._cables = cabling.cables
        self._passive_reset = cabling.chip.passive_reset
        self._outputs = tuple(
            OutputPort(name=c.port, lo_frequency=_lo(c, cabling), attenuation_db=c.reference_attenuation_db)
            for c in cabling.cables
            if ".out" in c.port
        )
        self._inputs = tuple(
            InputPort(name=c.port, lo_frequency=READOUT_LO, attenuation_db=c.reference_attenuation_db)
            for c in cabling.cables
            if ".in" in c.port
        )
        self._waveforms: dict[str, tuple[int, Waveform]] = {}
        self._plays: list[tuple[int, int, int, int, float, float, float, float]] = []
        self._acquisitions: list[tuple[int, int, int, int, int, float, float]] = []
        self._reset = 0
        self._end = 0

    def reset_phases(self, time: int) -> None:
        """Reset every NCO at a time; what is written down from now on counts from there."""
        self._reset = time

    def play(
        self,
        line: str,
        samples: NDArray[np.complex128],
        start: int,
        *,
        amplitude: float = 1.0,
        frequency: float = 0.0,
        phase: float = 0.0,
    ) -> int:
        """Play samples on a line.

        Args:
            line: `q0.drive`, `q0.flux`, `feedline`.
            samples: one per ns, full scale 1.
            start: ns.
            amplitude: of both paths.
            frequency: of the carrier on the line, Hz; not used on a flux line.
            phase: on top of the NCO's, radians.

        Returns:
            The end in ns.
        """
        port = self._port(line)
        nco = frequency - self._outputs[port].lo_frequency if self._outputs[port].lo_frequency else 0.0
        turns = (phase / (2 * np.pi) + nco * 1e-9 * (start - self._reset)) % 1.0
        index = self._waveform(samples)
        self._plays.append((start, len(samples), port, index, amplitude, amplitude, nco, turns))
        return self._ends(start + len(samples))

    def acquire(
        self, start: int, length: int, *, frequency: float, weights: NDArray[np.complex128] | None = None
    ) -> int:
        """Integrate the feedline, mixed down from an RF frequency in Hz; give the end in ns."""
        nco = frequency - READOUT_LO
        turns = (nco * 1e-9 * (start - self._reset)) % 1.0
        weight = -1 if weights is None else self._waveform(weights)
        self._acquisitions.append((start, length, 0, len(self._acquisitions), weight, nco, turns))
        return self._ends(start + length)

    def table(self, *, shots: int, rest: int | None = None) -> EventTable:
        """Give the table of everything written down so far.

        Args:
            shots: of the loop.
            rest: ns from the end of one iteration to the next; None for a passive reset.
        """
        rest = self._passive_reset if rest is None else rest
        starts, lengths, ports, waves, gain_i, gain_q, nco, phase = _columns(sorted(self._plays), 8)
        begun, long, inputs, sequencers, weights, mixing, mixed = _columns(sorted(self._acquisitions), 7)
        return EventTable(
            shots=shots,
            duration=self._end + rest,
            outputs=self._outputs,
            inputs=self._inputs,
            waveforms=tuple(waveform for _, waveform in self._waveforms.values()),
            plays=Plays(
                start=starts.astype(np.int64),
                length=lengths.astype(np.int64),
                port=ports.astype(np.int32),
                waveform=waves.astype(np.int32),
                gain_i=gain_i,
                gain_q=gain_q,
                frequency=nco,
                phase=phase,
                condition=np.full(len(starts), EVERY_SHOT, dtype=np.int32),
            ),
            acquisitions=Acquisitions(
                start=begun.astype(np.int64),
                length=long.astype(np.int64),
                port=inputs.astype(np.int32),
                sequencer=sequencers.astype(np.int32),
                weight=weights.astype(np.int32),
                frequency=mixing,
                phase=mixed,
                condition=np.full(len(begun), EVERY_SHOT, dtype=np.int32),
                feeds=np.zeros(len(begun), dtype=np.bool_),
            ),
        )

    def _port(self, line: str) -> int:
        name = next(c.port for c in self._cables if c.line == line and ".out" in c.port)
        return [port.name for port in self._outputs].index(name)

    def _waveform(self, samples: NDArray[np.complex128]) -> int:
        waveform = Waveform(samples=samples.astype(np.complex128), digest=samples_digest(samples))
        return self._waveforms.setdefault(waveform.digest, (len(self._waveforms), waveform))[0]

    def _ends(self, time: int) -> int:
        self._end = max(self._end, time)
        return time


def _lo(cable: Cable, cabling: Cabling) -> float:
    if cable.line == FEEDLINE:
        return READOUT_LO
    name, kind = cable.line.split(".")
    return cabling.chip.qubits[cabling.chip.index(name)].frequency - DRIVE_IF if kind == "drive" else 0.0


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(-1, width).T
