"""What a scope behind the chip records: the same signal that windows integrate."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.resonator import Notch, jump_curve, mean_excess
from qubitd.emulator.chip.tape import READOUT_LO, Tape
from qubitd.emulator.events import EventTable

TONES = (7.4483e9, 7.24835e9)
LENGTH = 440


def table(*, pulses: int, shots: int = 20_000) -> EventTable:
    """Both qubits turned by some x/2 pulses, then read together."""
    tape = Tape(load_cabling())
    wave = np.exp(-((np.arange(40) - 19.5) ** 2) / 128).astype(np.complex128)
    for pulse in range(pulses):
        tape.play("q0.drive", wave, 40 * pulse, amplitude=0.106, frequency=6.05e9)
    for frequency in TONES:
        tape.play("feedline", np.ones(LENGTH, dtype=np.complex128), 240, amplitude=0.146, frequency=frequency)
    tape.acquire(440, LENGTH, frequency=TONES[0])
    tape.acquire(440, LENGTH, frequency=TONES[1])
    return tape.table(shots=shots)


@pytest.mark.parametrize("pulses", [0, 1, 2])
@pytest.mark.parametrize("row", [0, 1])
def test_a_demodulated_trace_is_the_mean_point(pulses: int, row: int) -> None:
    chip, played = Chip(load_cabling()), table(pulses=pulses)
    points = chip.run(played, np.random.default_rng(1))[row]
    trace = chip.trace(played, row, 1000, np.random.default_rng(2))
    windows = played.acquisitions
    nco = windows.phase[row] + (TONES[row] - READOUT_LO) * 1e-9 * (np.arange(LENGTH) + 0.5)
    demodulated = np.mean(trace[:LENGTH] * np.exp(-2j * np.pi * nco))
    assert abs(demodulated - points.mean()) < 5 * 2 * points.std() / np.sqrt(played.shots)


def test_a_trace_is_quiet_before_and_after_the_tone() -> None:
    chip = Chip(load_cabling())
    tape = Tape(load_cabling())
    tape.play("feedline", np.ones(100, dtype=np.complex128), 600, amplitude=0.146, frequency=TONES[0])
    tape.acquire(400, 500, frequency=TONES[0])
    trace = chip.trace(tape.table(shots=1_000_000), 0, 2000, np.random.default_rng(1))
    loud = np.abs(trace).max()
    assert np.abs(trace[:395]).max() < 0.1 * loud
    assert np.abs(trace[1500:]).max() < 0.1 * loud
    assert len(trace) == 2000


def test_what_came_in_before_a_window_began_is_not_in_its_trace() -> None:
    chip = Chip(load_cabling())
    tape = Tape(load_cabling())
    tape.play("feedline", np.ones(100, dtype=np.complex128), 0, amplitude=0.146, frequency=TONES[0])
    tape.acquire(10_000, 100, frequency=TONES[0])
    noise = chip.trace(tape.table(shots=100), 0, 500, np.random.default_rng(1))
    assert abs(noise.mean()) < 5 * noise.std() / np.sqrt(500)


def test_the_mean_excess_of_a_tone_is_what_windows_see_of_it() -> None:
    notch = Notch(frequency=7.45, linewidth=4.6e-3, chi=-1.7e-3)
    drive, tone = np.ones(300, dtype=np.complex128), 7.448
    fall = np.array([-np.inf, np.inf, 0.0, 17.0, 120.0, 120.0, 299.0, 430.0])
    weights: NDArray[np.complex128] = (np.linspace(0, 1, 420) * np.exp(0.2j * np.arange(420))).astype(np.complex128)
    curve = jump_curve(notch, drive, tone, weights, 0)
    seen = [0.0 if f == -np.inf else curve[int(min(f, 420))] for f in fall]
    trace = mean_excess(notch, drive, tone, 420, fall, len(fall))
    assert trace @ weights == pytest.approx(np.mean(seen), abs=1e-9)
