"""Flux pulses as they arrive: the turn each gives to its own qubit, and the pairs that it brings together.

A pulse lasts from its first sample that is not 0 to its last; pulses that touch are one. A pair that is brought
together does what `exchange` says; all others have their `static_zz`, the sweet spot's. Inside: ns, GHz, flux quanta.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import ChipTruth
from qubitd.emulator.cache import Cache
from qubitd.emulator.chip.basis import Map
from qubitd.emulator.chip.exchange import REACH, exchange_map, return_amplitude
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import Signals, envelope
from qubitd.emulator.chip.transmon import FluxCurve
from qubitd.emulator.events import Waveform

_HELD = 4_000
"""Distinct pulses that are remembered; 5 kB each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FluxShape:
    """What one qubit sees of a flux pulse."""

    key: Hashable
    """Of the samples: equal keys of one qubit mean equal pulses."""
    offset: int
    """ns from the start of the row to the first sample that is not 0."""
    flux: NDArray[np.float64]
    """Flux quanta, one per ns."""
    shift: NDArray[np.float64]
    """f01(Phi) - f01(0) in GHz, one per ns."""

    @property
    def turns(self) -> float:
        """Phase that the pulse gives to level 1, turns."""
        return -float(self.shift.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FluxPulse:
    """A flux pulse on one qubit's line."""

    qubit: int
    start: int
    """ns."""
    shape: FluxShape

    @property
    def end(self) -> int:
        """Give the end in ns, exclusive."""
        return self.start + len(self.shape.flux)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange:
    """A pair's conditional evolution, gathered at one instant."""

    start: float
    """ns: the middle of the pulse, as decay before and after is the same."""
    begin: float
    """Of the pulse."""
    end: float
    pulsed: int
    partner: int
    pair: Map


class FluxLines:
    """All flux lines of a chip, and what was computed for the pulses seen so far."""

    def __init__(self, truth: ChipTruth) -> None:
        """Fit each transmon's curve."""
        self._truth = truth
        self.curves = tuple(
            FluxCurve(frequency=q.frequency * 1e-9, anharmonicity=q.anharmonicity * 1e-9, asymmetry=q.asymmetry)
            for q in truth.qubits
        )
        self._shapes: Cache[Hashable, FluxShape | None] = Cache(_HELD)
        self._maps: Cache[Hashable, Map | None] = Cache(_HELD)

    def pulses(self, fluxes: Signals, waveforms: tuple[Waveform, ...]) -> list[list[FluxPulse]]:
        """Find the pulses on every qubit's line, each list sorted by start."""
        every: list[list[FluxPulse]] = []
        for qubit in range(len(self._truth.qubits)):
            rows = fluxes.take(fluxes.qubit == qubit)
            labels = chains(rows.start, rows.end, gap=1)
            bounds = np.flatnonzero(np.diff(labels, prepend=-1, append=-1)) if len(labels) else np.zeros(1, np.int64)
            found = [
                self._pulse(qubit, rows.take(slice(first, last)), waveforms)
                for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
            ]
            every.append([pulse for pulse in found if pulse is not None])
        return every

    def exchanges(self, pulses: Sequence[Sequence[FluxPulse]]) -> list[Exchange]:
        """Find what the pulses do to pairs."""
        return [
            exchange
            for index, pair in enumerate(self._truth.pairs)
            for group in _together([*pulses[pair.pulsed], *pulses[pair.partner]])
            if (exchange := self._exchange(index, group)) is not None
        ]

    def mismatch(self, index: int, pulsed: NDArray[np.float64], partner: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give d = f12(pulsed) - f01(partner) of a pair at each flux, GHz."""
        pair = self._truth.pairs[index]
        return np.asarray(self.curves[pair.pulsed].f12(pulsed) - self.curves[pair.partner].f01(partner))

    def _pulse(self, qubit: int, rows: Signals, waveforms: tuple[Waveform, ...]) -> FluxPulse | None:
        start = int(rows.start[0])
        columns = zip(rows.waveform, rows.gain_i, rows.gain_q, rows.phase, rows.start - start, rows.end, strict=True)
        key = (
            qubit,
            *(
                (waveforms[w].digest, float(i), float(q), float(p), int(s), int(e) - start)
                for w, i, q, p, s, e in columns
            ),
        )
        shape = self._shapes.get(key, lambda: self._shape(key, qubit, rows, waveforms))
        return None if shape is None else FluxPulse(qubit=qubit, start=start + shape.offset, shape=shape)

    def _shape(self, key: Hashable, qubit: int, rows: Signals, waveforms: tuple[Waveform, ...]) -> FluxShape | None:
        """Add up the rows of a chain; None if they are 0 throughout."""
        start = int(rows.start[0])
        flux = np.zeros(int(rows.end.max()) - start)
        for row in range(len(rows.start)):
            first, last = int(rows.start[row]) - start, int(rows.end[row]) - start
            wave = envelope(waveforms[rows.waveform[row]], rows.gain_i[row], rows.gain_q[row], last - first)
            flux[first:last] += (wave * np.exp(2j * np.pi * rows.phase[row])).real
        flux *= self._truth.qubits[qubit].flux_rate
        active = np.flatnonzero(flux)
        if not len(active):
            return None
        flux = flux[active[0] : active[-1] + 1]
        curve = self.curves[qubit]
        return FluxShape(key=key, offset=int(active[0]), flux=flux, shift=curve.f01(flux) - curve.f01(np.zeros(1)))

    def _exchange(self, index: int, group: Sequence[FluxPulse]) -> Exchange | None:
        pair = self._truth.pairs[index]
        start = min(pulse.start for pulse in group)
        end = max(pulse.end for pulse in group)
        key = (index, *((pulse.start - start, pulse.shape.key) for pulse in group))
        made = self._maps.get(key, lambda: self._map(index, group, start, end))
        if made is None:
            return None
        return Exchange(
            start=(start + end) / 2, begin=start, end=end, pulsed=pair.pulsed, partner=pair.partner, pair=made
        )

    def _map(self, index: int, group: Sequence[FluxPulse], start: int, end: int) -> Map | None:
        """Give a pair's map, None if the pulses do not bring it together."""
        pair = self._truth.pairs[index]
        flux = {pair.pulsed: np.zeros(end - start), pair.partner: np.zeros(end - start)}
        for pulse in group:
            flux[pulse.qubit][pulse.start - start : pulse.end - start] = pulse.shape.flux
        mismatch = self.mismatch(index, flux[pair.pulsed], flux[pair.partner])
        if np.abs(mismatch).min() >= REACH:
            return None
        return exchange_map(return_amplitude(mismatch, pair.coupling * 1e-9))


def _together(pulses: Sequence[FluxPulse]) -> list[list[FluxPulse]]:
    """Group pulses on two lines that overlap or touch."""
    ordered = sorted(pulses, key=lambda pulse: pulse.start)
    labels = chains(
        np.array([pulse.start for pulse in ordered], dtype=np.int64),
        np.array([pulse.end for pulse in ordered], dtype=np.int64),
        gap=1,
    )
    groups: list[list[FluxPulse]] = [[] for _ in range(int(labels[-1]) + 1)] if len(labels) else []
    for pulse, label in zip(ordered, labels.tolist(), strict=True):
        groups[label].append(pulse)
    return groups
