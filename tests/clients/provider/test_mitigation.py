"""mthree and mitiq: their corrections bring our noisy counts nearer to what is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mthree
import pytest
from mitiq import MeasurementResult, Observable, PauliString, cdr, ddd, rem, zne
from mitiq.zne.scaling import fold_global
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import Statevector

if TYPE_CHECKING:
    from qubitd.provider import QubitdBackend


@pytest.fixture
def ghz(backend: QubitdBackend) -> QuantumCircuit:
    """Three qubits, measured."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    return transpile(circuit, backend, optimization_level=2, seed_transpiler=1)


@pytest.mark.parametrize("method", ["balanced", "independent", "marginal"])
def test_readout_mitigation_by_m3(backend: QubitdBackend, ghz: QuantumCircuit, method: str) -> None:
    qubits = mthree.utils.final_measurement_mapping(ghz)
    mitigation = mthree.M3Mitigation(backend)
    mitigation.cals_from_system(qubits, shots=5000, method=method)
    counts = backend.run(ghz, shots=5000, seed_simulator=1).result().get_counts()
    mitigated = mitigation.apply_correction(counts, qubits).nearest_probability_distribution()
    assert mitigation.cal_timestamp is not None
    raw = (counts["000"] + counts["111"]) / 5000
    assert mitigated["000"] + mitigated["111"] > raw


def executor(backend: QubitdBackend, circuit: QuantumCircuit) -> float:
    """How often both qubits give 0, of gates that together do nothing."""
    measured = circuit.copy()
    if not measured.num_clbits:
        measured.measure_all()
    native = transpile(measured, backend, optimization_level=0, initial_layout=[0, 1])
    counts = backend.run(native, shots=4000, seed_simulator=3).result().get_counts()
    return float(counts.get("00", 0) / 4000)


def test_zero_noise_extrapolation_by_mitiq(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2)
    for _ in range(10):
        circuit.cx(0, 1)
    raw = executor(backend, circuit)
    better = zne.execute_with_zne(circuit, lambda c: executor(backend, c), scale_noise=fold_global)
    assert raw < better < 1.1


def test_dynamical_decoupling_by_mitiq(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2)
    circuit.x(1)
    for _ in range(6):
        circuit.sx(1)
        circuit.sxdg(1)
    circuit.x(1)
    value = ddd.execute_with_ddd(circuit, lambda c: executor(backend, c), rule=ddd.rules.xx)
    assert 0.8 < value <= 1


def test_readout_mitigation_by_mitiq(backend: QubitdBackend) -> None:
    truth = backend.calibration()
    circuit = QuantumCircuit(1)
    circuit.x(0)

    def outcomes(given: QuantumCircuit) -> MeasurementResult:
        measured = given.copy()
        if not measured.num_clbits:
            measured.measure_all()
        native = transpile(measured, backend, optimization_level=0, initial_layout=[0])
        memory = backend.run(native, shots=4000, memory=True, seed_simulator=3).result().get_memory()
        return MeasurementResult([[int(bit)] for bit in memory])

    wrong = (truth.value(f"q0.measure.{name}") for name in ("prob_meas1_prep0", "prob_meas0_prep1"))
    inverse = rem.generate_inverse_confusion_matrix(1, *wrong)
    observable = Observable(PauliString("Z"))
    raw = 1 - 2 * sum(bits[0] for bits in outcomes(circuit).result) / 4000
    better = rem.execute_with_rem(circuit, outcomes, observable, inverse_confusion_matrix=inverse)
    assert raw > -0.98
    assert abs(better.real + 1) < abs(raw + 1) / 2


def test_clifford_data_regression_by_mitiq(backend: QubitdBackend) -> None:
    def played(circuit: QuantumCircuit) -> float:
        return 2 * executor(backend, circuit) - 1

    def exact(circuit: QuantumCircuit) -> float:
        return float(2 * Statevector(circuit).probabilities()[0] - 1)

    circuit = QuantumCircuit(2)
    for turn in range(4):
        circuit.rz(0.2 + 0.1 * turn, 0)
        circuit.sx(0)
        circuit.cx(0, 1)
        circuit.cx(0, 1)
        circuit.rz(0.1 * turn, 1)
    better = cdr.execute_with_cdr(circuit, played, simulator=exact, num_training_circuits=8, seed=1)
    assert abs(better - exact(circuit)) < abs(played(circuit) - exact(circuit)) + 0.02
