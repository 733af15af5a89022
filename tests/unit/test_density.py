"""A channel reaches the qubits that it is meant for, side by side or apart, in the branches that are picked out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qubitd.compiler.channels import operator_channel, readout_channel
from qubitd.compiler.density import Branch, Density
from qubitd.compiler.matrices import Matrix

QUBITS = 4
NOT = np.array([[0, 1], [1, 0]], dtype=np.complex128)
CNOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=np.complex128)
"""The first qubit controls."""


def turn(angle: float) -> Matrix:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=np.complex128)


@pytest.mark.parametrize(("control", "target"), [*itertools.permutations(range(QUBITS), 2)])
def test_a_channel_on_two_qubits_reaches_these_two_in_their_order(control: int, target: int) -> None:
    state = Density([0.0] * QUBITS)
    state.apply(operator_channel(turn(0.5)), control)
    state.apply(operator_channel(CNOT), control, target)
    ((_, found),) = state.populations()
    wanted = np.zeros([2] * QUBITS)
    wanted[(0,) * QUBITS] = np.cos(0.5) ** 2
    wanted[tuple(int(qubit in (control, target)) for qubit in range(QUBITS))] = np.sin(0.5) ** 2
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize("qubit", range(1, QUBITS))
def test_a_channel_that_depends_on_a_bit_changes_the_branches_in_which_it_is_set(qubit: int) -> None:
    state = Density([0.3, *[0.0] * (QUBITS - 1)])
    zero, one = (readout_channel(value, one_from_zero=0.0, zero_from_one=0.0) for value in (0, 1))
    state.record((zero, one), 0, clbit=0)
    state.apply(operator_channel(NOT), qubit, where=lambda branch: bool(branch.bits & 1))
    found = dict(state.populations())
    flipped = tuple(int(place in (0, qubit)) for place in range(QUBITS))
    assert found[Branch(bits=0, leaked=0)][(0,) * QUBITS] == pytest.approx(0.7)
    assert found[Branch(bits=1, leaked=0)][flipped] == pytest.approx(0.3)
    assert sum(part.sum() for part in found.values()) == pytest.approx(1.0)
