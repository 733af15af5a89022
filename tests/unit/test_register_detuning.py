"""A qubit whose frequency is off turns on its own: idle, under a pulse, and beside one that others get."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import P0, P1, SIZE, X, Y, turn_about_z
from qubitd.emulator.chip.register import Register

DETUNING = 1e-4
"""GHz: a quarter turn in 2500 ns."""
FOREVER = [1e12]


def register(detuning: float | None = DETUNING) -> Register:
    made = Register([0], t1=FOREVER, t2=FOREVER, detuning=None if detuning is None else [detuning])
    made.states[0] = plus()
    return made


def plus() -> NDArray[np.float64]:
    state = np.zeros(SIZE)
    state[P0] = state[P1] = 0.5
    state[X] = 1.0
    return state


def phase(made: Register, branch: int = 0) -> float:
    return float(np.angle(made.states[branch, X] + 1j * made.states[branch, Y]))


@pytest.mark.parametrize("time", [1000.0, 2500.0])
def test_an_idle_qubit_turns_backwards_if_it_is_too_high(time: float) -> None:
    made = register()
    made.hold(0, time=time)
    assert phase(made) == pytest.approx(-2 * np.pi * DETUNING * time)


def test_a_pulse_lies_between_two_halves_of_the_turn() -> None:
    flip = np.eye(SIZE)
    flip[Y, Y] = -1  # X
    made = register()
    made.apply(0, flip, start=0.0, end=1000.0)
    made.hold(0, time=1000.0)
    assert phase(made) == pytest.approx(0.0, abs=1e-12)
    made = register()
    made.apply(0, turn_about_z(0.0), start=0.0, end=1000.0)
    made.hold(0, time=1000.0)
    assert phase(made) == pytest.approx(-2 * np.pi * DETUNING * 1000)


def test_branches_with_and_without_a_pulse_turn_alike() -> None:
    made = register()
    made.states = np.stack([plus(), plus()])
    made.apply(0, turn_about_z(0.25), start=100.0, end=600.0, on=np.array([True, False]))
    made.hold(0, time=600.0)
    turned = -2 * np.pi * DETUNING * 600
    assert [phase(made, branch) for branch in (0, 1)] == pytest.approx([turned + np.pi / 2, turned])


def test_a_qubit_that_is_not_measured_turns_meanwhile() -> None:
    made = register()
    made.hold(0, time=0.0)
    nothing = np.zeros(1, dtype=np.int64)
    made.collapse(0, nothing, found=nothing, left=nothing, taken=np.array([False]), start=0.0, end=1000.0)
    assert phase(made) == pytest.approx(-2 * np.pi * DETUNING * 1000)


def test_without_detuning_nothing_turns() -> None:
    made = register(None)
    made.hold(0, time=1000.0)
    assert phase(made) == pytest.approx(0.0, abs=1e-12)
