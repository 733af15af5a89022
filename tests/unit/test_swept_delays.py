"""Axes of delays come back as they are played, in whole ticks; all else comes back as it was given."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qubitd.core.ticks import nearest_ticks
from qubitd.provider.sweep import as_timed, read_axes

TAU, OTHER = Parameter("tau"), Parameter("other")


def played(circuit: QuantumCircuit, values: list[float]) -> list[float]:
    (axis,) = as_timed(read_axes([circuit], {TAU: values}, None, tuple)[0], circuit, dt=1e-9)
    found: list[float] = axis.values[0].tolist()
    return found


@pytest.mark.parametrize(
    ("unit", "given", "expected"),
    [
        ("s", [10.4e-9, 20.6e-9, 0.0], [10e-9, 21e-9, 0.0]),
        ("ns", [10.4, 20.6, 0.4], [10.0, 21.0, 0.0]),
        ("us", [0.0104, 1.0006], [0.010, 1.001]),
        ("dt", [10.4, 20.6], [10.0, 21.0]),
    ],
)
def test_a_delay_lasts_whole_ticks(unit: str, given: list[float], expected: list[float]) -> None:
    circuit = QuantumCircuit(1)
    circuit.delay(TAU, 0, unit=unit)
    with circuit.for_loop(range(2)):
        circuit.delay(TAU, 0, unit=unit)
    assert played(circuit, given) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "ticks"), [("ns", 1), ("dt", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)]
)
def test_a_delay_of_whole_ticks_comes_back_to_the_last_digit(unit: str, ticks: int) -> None:
    circuit = QuantumCircuit(1)
    circuit.delay(TAU, 0, unit=unit)
    given = [count / ticks for count in (0, 3, 4, 65_535, 65_536, 300_000)]
    assert played(circuit, given) == given


def test_halves_of_ticks_are_rounded_as_the_daemon_rounds_them() -> None:
    circuit = QuantumCircuit(1)
    circuit.delay(TAU, 0, unit="us")
    given = [0.0005 * n for n in range(1, 2_000)]
    ticks = nearest_ticks(np.array(given) * 1e-6)
    assert np.rint(np.array(played(circuit, given)) * 1e3).tolist() == ticks.tolist()


def test_what_is_no_delay_alone_is_left_as_it_was_given() -> None:
    turned = QuantumCircuit(1)
    turned.delay(TAU, 0, unit="ns")
    turned.rz(TAU, 0)
    stretched = QuantumCircuit(1)
    stretched.delay(2 * TAU, 0, unit="ns")
    mixed = QuantumCircuit(1)
    mixed.delay(TAU, 0, unit="ns")
    mixed.delay(TAU, 0, unit="dt")
    for circuit in (turned, stretched, mixed):
        assert played(circuit, [10.4, 20.6]) == [10.4, 20.6]


def test_parameters_that_step_together_are_rounded_each_for_itself() -> None:
    circuit = QuantumCircuit(1)
    circuit.delay(TAU, 0, unit="ns")
    circuit.rz(OTHER, 0)
    axes, _ = read_axes([circuit], {(TAU, OTHER): [[1.4, 2.6], [0.14, 0.26]]}, None, tuple)
    (axis,) = as_timed(axes, circuit, dt=1e-9)
    assert np.array_equal(axis.values, [[1.0, 3.0], [0.14, 0.26]])
