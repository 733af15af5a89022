"""Physical numbers in the Cluster's registers: rounded once, exact modulo a turn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from qubitd.drivers.cluster.registers import TURN, frequency_registers, gain_registers, phase_registers


@pytest.mark.parametrize(("amplitude", "gain"), [(1.0, 32767), (-1.0, -32768), (0.5, 16384), (1e-6, 0), (0.0, 0)])
def test_gain_is_the_nearest_step_of_full_scale(amplitude: float, gain: int) -> None:
    assert gain_registers(np.array([amplitude])).tolist() == [gain]


@pytest.mark.parametrize(("frequency", "register"), [(500e6, 2_000_000_000), (-500e6, -2_000_000_000), (0.3, 1)])
def test_frequency_counts_quarter_hertz(frequency: float, register: int) -> None:
    assert frequency_registers(np.array([frequency])).tolist() == [register]


@pytest.mark.parametrize(
    ("turns", "register"),
    [
        (0.25, 250_000_000),
        (-0.25, 750_000_000),
        (1.0, 0),
        (-1e-12, 0),
        (1 - 1e-12, 0),
        (7.5, 500_000_000),
        (-1e6 - 0.125, 875_000_000),
    ],
)
def test_phase_of_any_size_and_sign_is_taken_modulo_one_turn(turns: float, register: int) -> None:
    made = phase_registers(np.array([2 * np.pi * turns]), np.array([0]))
    assert made.tolist() == [register]
    assert 0 <= made[0] < TURN


def test_correction_is_added_before_rounding() -> None:
    third = 2 * np.pi / 3
    assert phase_registers(np.array([third]), np.array([1])).tolist() == [round(Fraction(TURN, 3) + Fraction(1, 4))]
    assert phase_registers(np.array([third]), np.array([-4 * TURN - 2])).tolist() == [333_333_333]
