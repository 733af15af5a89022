"""The truth in the words of a calibration: what a perfect lab would find for pulses of a given shape.

For tools that write the first values of a demo device, and for tests. The daemon never sees this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr

from qubitd.emulator.chip.basis import LEAKED, P0, P1, SIZE, Map, Y, decay, turn_about_z
from qubitd.emulator.chip.chip import Chip
from qubitd.emulator.chip.exchange import exchange_map, return_amplitude
from qubitd.emulator.chip.feedline import hear
from qubitd.emulator.chip.lines import arrive
from qubitd.emulator.chip.pulse import driven
from qubitd.emulator.chip.tape import Tape


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveValues:
    """Amplitudes of an envelope on resonance, fractions of full scale; above 1 if the envelope is too short."""

    pi: float
    half_pi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CzValues:
    """A CZ by a square flux pulse. First and second qubit as in the pair's sorted name."""

    amplitude: float
    """Fraction of the flux output's full scale."""
    phase_first: float
    phase_second: float
    """Radians, -pi..pi: rz(phase) on each qubit after the pulse, rz(phase) = diag(1, exp(1j phase)), makes it a CZ."""
    error: float
    """Average gate infidelity over the slot, leakage and decay included."""
    leakage: float
    """Part of |11> that does not come back; a quarter of it is lost on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutPulse:
    """How a qubit is read."""

    samples: NDArray[np.complex128]
    """Envelope, one per ns, full scale 1."""
    amplitude: float
    """Fraction of full scale."""
    frequency: float
    """Hz."""
    delay: int
    """ns from the start of the pulse at the output to the start of the window at the digitiser."""
    length: int
    """ns of the square window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutValues:
    """A discriminator, bit = Re(iq exp(1j rotation)) >= threshold, and how often it errs."""

    rotation: float
    """Radians, -pi..pi."""
    threshold: float
    """Fraction of ADC full scale."""
    prob_meas1_prep0: float
    prob_meas0_prep1: float


def drive_values(chip: Chip, qubit: str, samples: NDArray[np.complex128]) -> DriveValues:
    """Find the amplitudes of pi and pi/2 for an envelope, one sample per ns, on the qubit's resonance."""
    truth = chip.truth.qubits[chip.truth.index(qubit)]
    rate = truth.drive_rate * 1e-9

    def reached(amplitude: float) -> NDArray[np.float64]:
        return driven(rate * amplitude * samples, np.zeros(len(samples)), 1.0, t1=math.inf, t2=math.inf)[:, P0]

    def in_balance(amplitude: float) -> float:
        state = reached(amplitude)
        return float(state[P1] - state[P0])

    # Exact for a real envelope; a quadrature such as DRAG's moves the roots a little.
    pi = 0.5 / (rate * float(samples.real.sum()))
    return DriveValues(
        pi=float(brentq(lambda amplitude: float(reached(amplitude)[Y]), 0.7 * pi, 1.3 * pi, xtol=1e-15)),
        half_pi=float(brentq(in_balance, 0.35 * pi, 0.65 * pi, xtol=1e-15)),
    )


def coherence_error(chip: Chip, qubit: str, duration: float) -> float:
    """Give the average gate infidelity that T1 and T2 alone leave to a gate of this duration in seconds."""
    truth = chip.truth.qubits[chip.truth.index(qubit)]
    return 0.5 - math.exp(-duration / truth.t1) / 6 - math.exp(-duration / truth.t2) / 3


def cz_values(chip: Chip, first: str, second: str, *, top: int, slot: int, amplitude: float | None = None) -> CzValues:
    """Find the CZ of a coupled pair.

    Args:
        chip: whose pair it is.
        first: either qubit of the pair.
        second: the other one.
        top: ns of the square flux pulse, which begins with the slot.
        slot: ns that the gate takes.
        amplitude: fraction of full scale; None takes the one at which |11> and |20> meet.
    """
    index = _pair_index(chip, {first, second})
    pair = chip.truth.pairs[index]
    rate = chip.truth.qubits[pair.pulsed].flux_rate
    if amplitude is None:
        amplitude = _meeting_flux(chip, index) / rate
    flux = np.full(top, amplitude * rate)
    curve = chip.flux_lines.curves[pair.pulsed]
    turns = -float((curve.f01(flux) - curve.f01(np.zeros(1))).sum())
    returned = return_amplitude(chip.flux_lines.mismatch(index, flux, np.zeros(1)), pair.coupling * 1e-9)
    correction = _wrapped(-2 * np.pi * turns)
    pulsed_first = pair.pulsed < pair.partner
    return CzValues(
        amplitude=amplitude,
        phase_first=correction if pulsed_first else 0.0,
        phase_second=0.0 if pulsed_first else correction,
        error=_cz_error(chip, index, returned, middle=top / 2, slot=slot),
        leakage=1 - abs(returned) ** 2,
    )


def readout_frequency(chip: Chip, qubit: str) -> float:
    """Give the frequency in Hz midway between the resonator with the qubit in 0 and in 1."""
    resonator = chip.truth.qubits[chip.truth.index(qubit)].resonator
    return resonator.frequency + resonator.chi


def readout_amplitude(chip: Chip, qubit: str, *, photons: float) -> float:
    """Give the amplitude of a tone at `readout_frequency` that in the end holds this many photons in the resonator."""
    notch = chip.feedline.notches[chip.truth.index(qubit)]
    field = chip.feedline.source * notch.coupling / abs(notch.rate(0, notch.frequency + notch.chi))
    return math.sqrt(photons) / field


def readout_values(chip: Chip, qubit: str, pulse: ReadoutPulse) -> ReadoutValues:
    """Find the discriminator that errs least for 0 and 1 alike, with T1 during the readout."""
    index = chip.truth.index(qubit)
    ground, excess, sigma = _answers(chip, index, pulse)
    rotation = _wrapped(-float(np.angle(excess[-1])))
    zero = float((ground * np.exp(1j * rotation)).real)
    one = zero + (excess * np.exp(1j * rotation)).real
    falls = _fall_weights(len(one), chip.truth.qubits[index].t1 * 1e9)

    def missed(threshold: float) -> float:
        return float(falls @ ndtr((threshold - one) / sigma))

    def false(threshold: float) -> float:
        return float(ndtr((zero - threshold) / sigma))

    best = minimize_scalar(lambda t: false(t) + missed(t), bounds=(zero, float(one[-1])), method="bounded")
    threshold = float(best.x)
    return ReadoutValues(
        rotation=rotation,
        threshold=threshold,
        prob_meas1_prep0=false(threshold),
        prob_meas0_prep1=missed(threshold),
    )


def _answers(chip: Chip, index: int, pulse: ReadoutPulse) -> tuple[complex, NDArray[np.complex128], float]:
    """Give the point of 0, what 1 adds against its fall, and the noise, as the chip itself computes them."""
    tape = Tape(chip.cabling)
    tape.play("feedline", pulse.samples, 0, amplitude=pulse.amplitude, frequency=pulse.frequency)
    tape.acquire(pulse.delay, pulse.length, frequency=pulse.frequency)
    arrivals = arrive(tape.table(shots=1), chip.cabling)
    heard = hear(arrivals.tones, 0, arrivals.windows, 0, arrivals.waveforms)
    sigma = chip.feedline.noise(arrivals.windows, arrivals.waveforms)
    return chip.feedline.ground(heard), chip.feedline.excess(index, heard), float(sigma[0])


def _fall_weights(length: int, t1: float) -> NDArray[np.float64]:
    """Give the probabilities of falls around 0, 1, ... ns; the last one holds all that stay longer."""
    survival = np.exp(-np.maximum(np.arange(length + 1) - 0.5, 0) / t1)
    survival[-1] = 0
    return np.asarray(-np.diff(survival))


def _pair_index(chip: Chip, names: set[str]) -> int:
    qubits = chip.truth.qubits
    return [{qubits[pair.pulsed].name, qubits[pair.partner].name} for pair in chip.truth.pairs].index(names)


def _meeting_flux(chip: Chip, index: int) -> float:
    """Find the flux on the pulsed qubit, in flux quanta, at which |11> and |20> have one energy."""

    def mismatch(flux: float) -> float:
        return float(chip.flux_lines.mismatch(index, np.array([flux]), np.zeros(1))[0])

    return float(brentq(mismatch, 0.0, 0.5, xtol=1e-15, rtol=1e-14))


def _cz_error(chip: Chip, index: int, returned: complex, *, middle: float, slot: float) -> float:
    """Compose the slot's channel on both qubits and compare it with CZ; local phases are taken as corrected."""
    pair = chip.truth.pairs[index]
    before, after = (
        np.kron(_idle(chip, pair.pulsed, time), _idle(chip, pair.partner, time)) for time in (middle, slot - middle)
    )
    channel = after @ exchange_map(returned) @ before
    return _infidelity(channel, exchange_map(-1.0))


def _idle(chip: Chip, index: int, time: float) -> Map:
    truth = chip.truth.qubits[index]
    idle = turn_about_z(0.0)
    decay(idle, time, t1=truth.t1 * 1e9, t2=truth.t2 * 1e9)
    return idle


def _infidelity(channel: Map, ideal: Map) -> float:
    """Average gate infidelity on two qubits; what leaks counts as lost."""
    single = np.arange(SIZE) != LEAKED
    inside = np.flatnonzero(np.kron(single, single))
    block = np.ix_(inside, inside)
    process = np.trace(np.linalg.solve(ideal[block], channel[block])) / 16
    populations = np.flatnonzero(np.kron(*[np.isin(np.arange(SIZE), (P0, P1))] * 2))
    kept = channel[np.ix_(populations, populations)].sum() / 4
    return float(1 - (4 * process + kept) / 5)


def _wrapped(angle: float) -> float:
    return math.remainder(angle, 2 * math.pi)
