"""What the drive lines do to their qubits, each in its own frame at its true f01.

A pulse's map is made once in the frame of its carrier, without the phase with which it starts; that phase and the
change of frame are rotations about z before and after: U = e^{-i phi n} e^{2 pi i (f01 - fc) n t} U_c e^{i phi n}.
Inside: ns, GHz, turns.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import ChipTruth
from qubitd.emulator.cache import Cache
from qubitd.emulator.chip.basis import Map, X, rotations, turn_about_z
from qubitd.emulator.chip.flux import FluxPulse
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import Signals, envelope
from qubitd.emulator.chip.pulse import driven
from qubitd.emulator.events import Waveform
from qubitd.emulator.patience import GoOn

_HELD = 20_000
"""Distinct pulses that are remembered."""
_STEPS_PER_TURN = 100
"""Where carriers or a flux pulse overlap, no frame makes the drive constant: steps per turn of the fastest carrier."""
_LEAST_STEPS = 8
"""Per ns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """A map of one qubit, with its decay from start to end."""

    qubit: int
    start: float
    """ns."""
    end: float
    single: Map
    mixes: bool
    """Whether it moves anything between levels and coherence, as drives do."""


class DriveLines:
    """All drive lines of a chip, and what was computed for the pulses seen so far."""

    def __init__(self, truth: ChipTruth) -> None:
        """Take the qubits' frequencies and lifetimes."""
        self._rate = [q.drive_rate * 1e-9 for q in truth.qubits]
        self._f01 = [q.frequency * 1e-9 for q in truth.qubits]
        self._t1 = [q.t1 * 1e9 for q in truth.qubits]
        self._t2 = [q.t2 * 1e9 for q in truth.qubits]
        self._maps: Cache[Hashable, Map] = Cache(_HELD)

    def turns(
        self,
        drives: Signals,
        waveforms: tuple[Waveform, ...],
        pulses: Sequence[Sequence[FluxPulse]],
        go_on: GoOn,
    ) -> list[Turn]:
        """Find what drives and flux pulses do to single qubits."""
        turns: list[Turn] = []
        for qubit in range(len(self._f01)):
            go_on()
            turns += self._on_qubit(qubit, drives.take(drives.qubit == qubit), waveforms, pulses[qubit])
        return turns

    def _on_qubit(
        self, qubit: int, rows: Signals, waveforms: tuple[Waveform, ...], pulses: Sequence[FluxPulse]
    ) -> list[Turn]:
        label_rows, label_pulses = _label(rows, pulses)
        drives = np.bincount(label_rows, minlength=1 + max([-1, *label_rows.tolist(), *label_pulses.tolist()]))
        fluxes = np.bincount(label_pulses, minlength=len(drives))
        alone = (drives[label_rows] == 1) & (fluxes[label_rows] == 0)
        turns = self._plain(qubit, rows.take(alone), waveforms)
        turns += [
            _flux_turn(pulse) for pulse, label in zip(pulses, label_pulses.tolist(), strict=True) if not drives[label]
        ]
        for label in np.flatnonzero((drives > 0) & (drives + fluxes > 1)).tolist():
            crossing = [pulse for pulse, own in zip(pulses, label_pulses.tolist(), strict=True) if own == label]
            turns.append(self._crowded(qubit, rows.take(label_rows == label), waveforms, crossing))
        return turns

    def _plain(self, qubit: int, rows: Signals, waveforms: tuple[Waveform, ...]) -> list[Turn]:
        """Turn pulses that have the qubit for themselves, all at once."""
        if not len(rows.start):
            return []
        length = rows.end - rows.start
        detuning = self._f01[qubit] - rows.carrier
        columns = zip(rows.waveform, rows.gain_i, rows.gain_q, length, detuning, strict=True)
        maps = np.stack(
            [
                self._carrier_map(qubit, waveforms[w], (float(i), float(q)), int(n), float(d))
                for w, i, q, n, d in columns
            ]
        )
        phase = np.mod(rows.phase - self._f01[qubit] * rows.start, 1.0)
        maps[:, :, X:] = maps[:, :, X:] @ rotations(phase)
        maps[:, X:, :] = rotations(detuning * length - phase) @ maps[:, X:, :]
        return [
            Turn(qubit=qubit, start=start, end=end, single=single, mixes=True)
            for start, end, single in zip(rows.start.tolist(), rows.end.tolist(), maps, strict=True)
        ]

    def _carrier_map(
        self, qubit: int, waveform: Waveform, gain: tuple[float, float], length: int, detuning: float
    ) -> Map:
        def make() -> Map:
            drive = self._rate[qubit] * envelope(waveform, *gain, length)
            return driven(drive, np.full(length, detuning), 1.0, t1=self._t1[qubit], t2=self._t2[qubit])

        return self._maps.get((qubit, waveform.digest, gain, length, detuning), make)

    def _crowded(self, qubit: int, rows: Signals, waveforms: tuple[Waveform, ...], pulses: Sequence[FluxPulse]) -> Turn:
        """Add up what overlaps, in the qubit's frame and in steps short enough for every carrier."""
        start = min([int(rows.start[0]), *(pulse.start for pulse in pulses)])
        end = max([int(rows.end.max()), *(pulse.end for pulse in pulses)])
        fastest = float(np.abs(rows.carrier - self._f01[qubit]).max())
        steps = max(_LEAST_STEPS, int(np.ceil(fastest * _STEPS_PER_TURN)))  # per ns
        drive = np.zeros((end - start) * steps, dtype=np.complex128)
        for row in range(len(rows.start)):
            first = (int(rows.start[row]) - start) * steps
            played = self._in_frame(qubit, rows, row, waveforms, steps=steps)
            drive[first : first + len(played)] += played
        detuning = np.zeros(end - start)
        for pulse in pulses:
            detuning[pulse.start - start : pulse.end - start] = pulse.shape.shift
        single = driven(drive, np.repeat(detuning, steps), 1 / steps, t1=self._t1[qubit], t2=self._t2[qubit])
        return Turn(qubit=qubit, start=start, end=end, single=single, mixes=True)

    def _in_frame(
        self, qubit: int, rows: Signals, row: int, waveforms: tuple[Waveform, ...], *, steps: int
    ) -> NDArray[np.complex128]:
        """Give R s of one play in the qubit's frame, in the middle of each step."""
        length = int(rows.end[row] - rows.start[row])
        wave = envelope(waveforms[rows.waveform[row]], rows.gain_i[row], rows.gain_q[row], length)
        off = float(rows.carrier[row]) - self._f01[qubit]
        time = (np.arange(length * steps) + 0.5) / steps
        turns = rows.phase[row] - self._f01[qubit] * rows.start[row] + off * time
        return np.asarray(self._rate[qubit] * np.repeat(wave, steps) * np.exp(2j * np.pi * turns))


def _label(rows: Signals, pulses: Sequence[FluxPulse]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the chains of overlapping drives and flux pulses of one qubit; give each row's and each pulse's."""
    start = np.concatenate([rows.start, np.array([pulse.start for pulse in pulses], dtype=np.int64)])
    end = np.concatenate([rows.end, np.array([pulse.end for pulse in pulses], dtype=np.int64)])
    order = np.argsort(start, kind="stable")
    labels = np.empty(len(start), dtype=np.int64)
    labels[order] = chains(start[order], end[order], gap=0)
    return labels[: len(rows.start)], labels[len(rows.start) :]


def _flux_turn(pulse: FluxPulse) -> Turn:
    """Gather the phase of a flux pulse in its middle: it commutes with decay."""
    middle = (pulse.start + pulse.end) / 2
    return Turn(qubit=pulse.qubit, start=middle, end=middle, single=turn_about_z(pulse.shape.turns), mixes=False)
