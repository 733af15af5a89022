"""Readout: tones on the feedline, the resonators' answers, and the points that the digitiser integrates.

A tone reads every qubit whose resonator is near it; the others answer as if in 0. Everything is linear in the tones,
so a point is a sum over tones of a complex factor times something computed once. Inside: ns, GHz, sqrt(photon/ns).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import ChipTruth
from qubitd.emulator.cache import Cache
from qubitd.emulator.chip.basis import LEVELS, P0
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import Signals, Windows, envelope
from qubitd.emulator.chip.probe import Falls, Found, Probe
from qubitd.emulator.chip.resonator import Notch, jump_curve, mean_excess, seen
from qubitd.emulator.events import EVERY_SHOT, Waveform
from qubitd.emulator.outcomes import Outcomes

REACH = 0.05
"""GHz: a tone this near to a resonator reads its qubit, a window this near is meant for it."""
_RING_DOWNS = 12
"""Amplitude time constants after which a resonator counts as empty."""
_WITHOUT_FALL = np.where(np.arange(LEVELS) == P0, 0, -1)
"""Where a curve says what a qubit adds that stays at a level."""
_HELD = 2_000
"""Distinct tones in windows that are remembered; some 10 kB each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hearing:
    """One tone in one window."""

    wave: Waveform
    gain_i: float
    gain_q: float
    played: int
    """ns of the tone."""
    carrier: float
    """GHz of the tone."""
    first: int
    """ns from the tone's start to the window's; may be below 0."""
    length: int
    """ns of the window."""
    weight: Waveform | None
    """None for a square window."""
    frequency: float
    """GHz that the window mixes down to 0."""
    gain: float
    """Of the way to the digitiser."""
    phase: float
    """Of the tone against the mixing tone at the tone's start, turns."""

    @property
    def key(self) -> Hashable:
        """Everything but the factors that a point is proportional to."""
        weight = None if self.weight is None else self.weight.digest
        tone = (self.wave.digest, self.gain_i, self.gain_q, self.played, self.carrier)
        return (*tone, self.first, self.length, weight, self.frequency)

    @property
    def drive(self) -> NDArray[np.complex128]:
        """The tone's envelope, one sample per ns."""
        return envelope(self.wave, self.gain_i, self.gain_q, self.played)

    def mixed_weights(self) -> NDArray[np.complex128]:
        """Give weights that act on the tone's own envelope, from sample `first` of the tone."""
        return np.asarray(_weights(self.weight, self.length) * self.mixing() * np.sinc(self.carrier - self.frequency))

    def mixing(self) -> NDArray[np.complex128]:
        """Give what is left of the carrier in the middle of each sample of the window."""
        time = self.first + np.arange(self.length) + 0.5
        return np.asarray(np.exp(2j * np.pi * (self.carrier - self.frequency) * time))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Excess:
    """What a qubit that is not in 0 adds to what a tone adds to the points of a window."""

    qubit: int
    times: NDArray[np.float64]
    """Of falls, ns from the tone's start."""
    curve: NDArray[np.complex128]
    """For each of these; the last one also if it stays."""
    factor: complex
    """Of that, to fractions of full scale."""
    by_level: NDArray[np.complex128]
    """Fractions of full scale while it does not fall, shape (3,)."""

    @staticmethod
    def of_curve(qubit: int, curve: NDArray[np.complex128], factor: complex) -> Excess:
        """Take a curve as `resonator.jump_curve` gives it."""
        times = np.arange(len(curve), dtype=np.float64)
        return Excess(qubit=qubit, times=times, curve=curve, factor=factor, by_level=factor * curve[_WITHOUT_FALL])

    def of(self, found: Found, start: int) -> NDArray[np.complex128]:
        """Give what it adds in each shot, shape (shots,); `start` is the tone's, ns."""
        added = self.by_level.take(found.level)
        if len(found.fell):
            added[found.fell] = self.factor * np.interp(found.when - start, self.times, self.curve)
        return added


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeardTone:
    """What one tone adds to the points of a window."""

    number: int
    """Row of the table's tones."""
    start: int
    """ns, of the tone."""
    condition: int
    """Index into the table's conditions: in which shots it is played."""
    ground: complex
    """With every qubit in 0, fraction of full scale."""
    excesses: tuple[Excess, ...]
    """Of the qubits that it reads."""

    def of(self, falls: Falls) -> complex | NDArray[np.complex128]:
        """Give what it adds where it is played, shape (shots,), or the same for all."""
        points: complex | NDArray[np.complex128] = self.ground
        for excess in self.excesses:
            found = falls.get((excess.qubit, self.number))
            if found is not None:
                points = points + excess.of(found, self.start)
        return points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """What a window hears."""

    noise: float
    """Standard deviation per quadrature of its points, fraction of full scale."""
    tones: tuple[HeardTone, ...]


class FeedlineModel:
    """The feedline with its resonators, and what was computed for the tones seen so far."""

    def __init__(self, truth: ChipTruth) -> None:
        """Take the resonators and the scales of both ends."""
        self.notches = tuple(
            Notch(
                frequency=q.resonator.frequency * 1e-9,
                linewidth=q.resonator.linewidth * 1e-9,
                chi=q.resonator.chi * 1e-9,
            )
            for q in truth.qubits
        )
        self.source = float(np.sqrt(truth.feedline.source_flux * 1e-9))
        """sqrt(photon/ns) at the output's full scale."""
        self.adc = float(1 / np.sqrt(truth.feedline.adc_flux * 1e-9))
        """Fraction of the digitiser's full scale per sqrt(photon/ns)."""
        self._efficiency = truth.feedline.efficiency
        self._centres = np.array([notch.frequency for notch in self.notches])
        slowest = min((notch.linewidth for notch in self.notches), default=1.0)
        self._tail = int(np.ceil(_RING_DOWNS / (np.pi * slowest)))
        self._grounds: Cache[Hashable, complex] = Cache(_HELD)
        self._powers: Cache[Hashable, float] = Cache(_HELD)
        self._excesses: Cache[Hashable, NDArray[np.complex128]] = Cache(_HELD)

    def near(self, frequency: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which resonators each frequency is meant for, shape (rows, qubits)."""
        return np.asarray(np.abs(frequency[:, None] - self._centres) < REACH)

    def probes(self, tones: Signals) -> list[Probe]:
        """Find when which qubit is read."""
        read = self.near(tones.carrier)
        return [
            probe
            for qubit in range(len(self.notches))
            for condition in np.unique(tones.condition).tolist()
            for probe in _probes_of(
                qubit, tones, np.flatnonzero(read[:, qubit] & (tones.condition == condition)), condition
            )
        ]

    def heard(
        self, tones: Signals, windows: Windows, waveforms: tuple[Waveform, ...], *, first_tone: int
    ) -> tuple[Heard, ...]:
        """Find what some windows hear, whatever the qubits do.

        Args:
            tones: rows that the windows may hear.
            windows: to be integrated.
            waveforms: of the table.
            first_tone: number of the first of these tones in the table.
        """
        reached = (tones.start < windows.end[:, None]) & (tones.end + self._tail > windows.start[:, None])
        return tuple(
            Heard(
                noise=noise,
                tones=tuple(
                    self._heard_tone(hear(tones, j, windows, k, waveforms), tones, j, first_tone)
                    for j in np.flatnonzero(reached[k]).tolist()
                ),
            )
            for k, noise in enumerate(self.noise(windows, waveforms).tolist())
        )

    def _heard_tone(self, heard: Hearing, tones: Signals, j: int, first_tone: int) -> HeardTone:
        return HeardTone(
            number=first_tone + j,
            start=int(tones.start[j]),
            condition=int(tones.condition[j]),
            ground=self.ground(heard),
            excesses=tuple(
                Excess.of_curve(qubit, self._unscaled_excess(qubit, heard), self._factor(heard))
                for qubit in self._read_by(heard)
            ),
        )

    def points(
        self, heard: Sequence[Heard], *, falls: Falls, outcomes: Outcomes, rng: np.random.Generator
    ) -> NDArray[np.complex128]:
        """Give the points of some windows, shape (windows, shots), fractions of full scale.

        Args:
            heard: what the windows hear.
            falls: what was found of the qubits that are read.
            outcomes: by which some tones are played in some shots only.
            rng: for the amplifier's noise.
        """
        noise = rng.standard_normal((len(heard), outcomes.shots, 2))
        points = noise.view(np.complex128)[..., 0]
        for k, window in enumerate(heard):
            noise[k] *= window.noise
            for tone in window.tones:
                added = tone.of(falls)
                points[k] += added if tone.condition == EVERY_SHOT else added * outcomes.mask(tone.condition)
        return points

    def trace(
        self,
        tones: Signals,
        window: Windows,
        waveforms: tuple[Waveform, ...],
        *,
        first_tone: int,
        falls: Falls,
        shots: int,
        rng: np.random.Generator,
    ) -> NDArray[np.complex128]:
        """Give what comes in during one window, mean over shots, a sample per ns; arguments as for `points`."""
        length = int(window.end[0] - window.start[0])
        deviation = self.adc * window.gain[0] / np.sqrt(2 * self._efficiency * shots)
        trace = deviation * rng.standard_normal((length, 2)).view(np.complex128)[:, 0]
        reached = (tones.start < window.end) & (tones.end + self._tail > window.start)
        for j in np.flatnonzero(reached).tolist():
            heard = hear(tones, j, window, 0, waveforms)
            fallen = {
                qubit: falls[qubit, first_tone + j].fall - tones.start[j]
                for qubit in np.flatnonzero(self.near(np.array([heard.carrier]))[0]).tolist()
                if (qubit, first_tone + j) in falls
            }
            trace += self.adc * heard.gain * np.exp(2j * np.pi * heard.phase) * self._passing(heard, fallen, shots)
        return np.asarray(trace)

    def _passing(self, heard: Hearing, fallen: Mapping[int, NDArray[np.float64]], shots: int) -> NDArray[np.complex128]:
        """What a tone is at the end of the feedline, mixed down: mean over shots of each sample of the window."""
        drive, mixing = self.source * heard.drive, heard.mixing()
        length = max(heard.first + heard.length, 0)
        field = np.zeros(length, dtype=np.complex128)
        field[: min(length, len(drive))] = drive[:length]
        for notch in self.notches:
            field += notch.leaves(drive, 0, heard.carrier, length)
        for qubit, fall in fallen.items():
            field += mean_excess(self.notches[qubit], drive, heard.carrier, length, fall, shots)
        begin = max(-heard.first, 0)
        mixing[:begin] = 0
        mixing[begin:] *= field[heard.first + begin :]
        return mixing

    def noise(self, windows: Windows, waveforms: tuple[Waveform, ...]) -> NDArray[np.float64]:
        """Give the standard deviation per quadrature of each window's points, fraction of full scale."""
        length = windows.end - windows.start
        power = [self._power(_weight(windows, k, waveforms), samples) for k, samples in enumerate(length.tolist())]
        return np.asarray(self.adc * windows.gain / length * np.sqrt(np.array(power) / (2 * self._efficiency)))

    def _power(self, weight: Waveform | None, length: int) -> float:
        """Give the sum of the squares of a window's weights."""
        key = (None if weight is None else weight.digest, length)
        return self._powers.get(key, lambda: float(np.sum(np.abs(_weights(weight, length)) ** 2)))

    def ground(self, heard: Hearing) -> complex:
        """Give the mean point that a tone makes in a window with every qubit in 0, fraction of full scale."""
        return self._factor(heard) * self._grounds.get(heard.key, lambda: self._ground(heard))

    def excess(self, qubit: int, heard: Hearing) -> NDArray[np.complex128]:
        """Give what the point has in addition while a qubit is in 1, against its fall (`resonator.jump_curve`)."""
        return self._factor(heard) * self._unscaled_excess(qubit, heard)

    def _unscaled_excess(self, qubit: int, heard: Hearing) -> NDArray[np.complex128]:
        return self._excesses.get((qubit, heard.key), lambda: self._excess(qubit, heard))

    def _factor(self, heard: Hearing) -> complex:
        return complex(self.adc * heard.gain / heard.length * np.exp(2j * np.pi * heard.phase))

    def _ground(self, heard: Hearing) -> complex:
        drive, weights = self.source * heard.drive, heard.mixed_weights()
        length = max(heard.first + len(weights), 0)
        answers = sum(
            seen(notch.leaves(drive, 0, heard.carrier, length), weights, heard.first) for notch in self.notches
        )
        return seen(drive, weights, heard.first) + answers

    def _excess(self, qubit: int, heard: Hearing) -> NDArray[np.complex128]:
        drive, weights = self.source * heard.drive, heard.mixed_weights()
        return jump_curve(self.notches[qubit], drive, heard.carrier, weights, heard.first)

    def _read_by(self, heard: Hearing) -> list[int]:
        both = self.near(np.array([heard.carrier, heard.frequency])).all(axis=0)
        return np.flatnonzero(both).tolist()


def _probes_of(qubit: int, tones: Signals, rows: NDArray[np.int64], condition: int) -> list[Probe]:
    """Join those tones that touch or overlap and are played in the same shots."""
    labels = chains(tones.start[rows], tones.end[rows], gap=1)
    groups = np.split(rows, np.flatnonzero(np.diff(labels)) + 1) if len(rows) else []
    return [
        Probe(
            qubit=qubit,
            start=int(tones.start[group[0]]),
            end=int(tones.end[group].max()),
            tones=tuple(group.tolist()),
            condition=condition,
        )
        for group in groups
    ]


def hear(tones: Signals, j: int, windows: Windows, k: int, waveforms: tuple[Waveform, ...]) -> Hearing:
    """Take one tone and one window from their tables."""
    first = int(windows.start[k] - tones.start[j])
    return Hearing(
        wave=waveforms[tones.waveform[j]],
        gain_i=float(tones.gain_i[j]),
        gain_q=float(tones.gain_q[j]),
        played=int(tones.end[j] - tones.start[j]),
        carrier=float(tones.carrier[j]),
        first=first,
        length=int(windows.end[k] - windows.start[k]),
        weight=_weight(windows, k, waveforms),
        frequency=float(windows.frequency[k]),
        gain=float(windows.gain[k]),
        phase=float(np.mod(tones.phase[j] - windows.phase[k] + windows.frequency[k] * first, 1.0)),
    )


def _weight(windows: Windows, k: int, waveforms: tuple[Waveform, ...]) -> Waveform | None:
    return None if windows.weight[k] < 0 else waveforms[windows.weight[k]]


def _weights(weight: Waveform | None, length: int) -> NDArray[np.complex128]:
    """Give a window's weights, one per ns; a weight that is shorter than its window is 0 behind its end."""
    if weight is None:
        return np.ones(length, dtype=np.complex128)
    samples = weight.samples[:length]
    return np.concatenate([samples, np.zeros(length - len(samples), dtype=np.complex128)])
