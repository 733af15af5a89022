"""Observables are measured in few groups, and outcomes weighed as Qiskit's letters mean."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, QuantumRegister
from qiskit.quantum_info import Operator, SparseObservable, Statevector, random_statevector

from qubitd.provider.estimator import _Measured
from qubitd.provider.observables import REGISTER, Group, grouped, term_of, values, with_measurement


def exact(letters: str, state: Statevector) -> float:
    """The value that Qiskit gives to a term."""
    observable = SparseObservable.from_list([(letters, 1.0)]).as_paulis().to_sparse_list()
    matrix = sum(
        coefficient * Operator.from_label("I" * state.num_qubits).data
        if not paulis
        else coefficient * _matrix(paulis, indices, state.num_qubits)
        for paulis, indices, coefficient in observable
    )
    return float(np.real(state.expectation_value(Operator(matrix))))


def _matrix(paulis: str, indices: list[int], num_qubits: int) -> np.ndarray:
    label = ["I"] * num_qubits
    for pauli, index in zip(paulis, indices, strict=True):
        label[num_qubits - 1 - index] = pauli
    return np.asarray(Operator.from_label("".join(label)).data)


def by_measuring(letters: str, state: Statevector) -> float:
    """The value that follows from the probabilities of the outcomes."""
    (group,) = grouped([term_of(letters)])
    circuit = with_measurement(QuantumCircuit(state.num_qubits), group)
    turned = state.evolve(circuit.remove_final_measurements(inplace=False))
    probabilities = turned.probabilities(group.qubits)
    outcomes = np.arange(len(probabilities), dtype=np.uint8)[:, np.newaxis]
    worth, _ = values(group, [(term_of(letters), 1.0)], outcomes, first_bit=0)
    return float(worth @ probabilities)


@pytest.mark.parametrize("letters", ["".join(pair) for pair in product("IXYZ+-rl01", repeat=2) if pair != ("I", "I")])
def test_every_letter_means_what_qiskit_means(letters: str) -> None:
    state = random_statevector(4, seed=5)
    assert by_measuring(letters, state) == pytest.approx(exact(letters, state), abs=1e-12)


def test_terms_that_agree_on_every_qubit_share_a_circuit() -> None:
    groups = grouped(map(term_of, ["ZZI", "IZZ", "0II", "XIX", "IXI", "YYY", "III", "ZZI"]))
    assert [group.bases for group in groups] == [
        {0: "Y", 1: "Y", 2: "Y"},
        {0: "X", 2: "X", 1: "X"},
        {0: "Z", 1: "Z", 2: "Z"},
    ]
    assert sum(len(group.terms) for group in groups) == 6


def test_the_added_register_follows_the_circuits_own_bits() -> None:
    group = Group()
    group.add(term_of("ZI"))
    circuit = with_measurement(QuantumCircuit(2, 9), group)
    assert circuit.cregs[-1].name == REGISTER
    assert circuit.find_bit(circuit.data[-1].clbits[0]).index == 9
    rows = np.array([[0b10, 0], [0b00, 255], [0b10, 7]], dtype=np.uint8)
    worth, numbers = values(group, [(term_of("ZI"), 2.0)], rows, first_bit=9)
    assert sorted(zip(worth.tolist(), numbers.tolist(), strict=True)) == [(-2.0, 1), (-2.0, 1), (2.0, 1)]


def test_the_added_register_has_a_name_that_the_circuit_has_not() -> None:
    group = Group()
    group.add(term_of("Z"))
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, REGISTER), ClassicalRegister(1, REGISTER + "_"))
    names = [register.name for register in with_measurement(circuit, group).cregs]
    assert len(set(names)) == 3


@pytest.mark.parametrize(("letters", "span"), [("Z", 2.0), ("0", 1.0)])
def test_shots_that_all_gave_the_same_have_the_error_of_the_rule_of_succession(letters: str, span: float) -> None:
    part = [(term_of(letters), 1.0)]
    (group,) = grouped([part[0][0]])
    measured = _Measured(group=group, first_bit=0, rows=[np.zeros((256, 1), dtype=np.uint8)])
    mean, squared = measured.mean_and_error(part)
    beta = 257 / (258**2 * 259)  # variance of the Beta distribution with parameters 1 and 257
    assert mean == 1.0
    assert squared == pytest.approx(span**2 * beta)
    other = _Measured(group=group, first_bit=0, rows=[np.array([[0]] * 255 + [[1]], dtype=np.uint8)])
    assert math.sqrt(other.mean_and_error(part)[1]) == pytest.approx(math.sqrt(squared), rel=0.02)
