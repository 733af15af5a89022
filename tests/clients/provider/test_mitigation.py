"""mthree and mitiq: their corrections bring our noisy counts nearer to what is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mthree
import pytest
from mitiq import ddd, zne
from mitiq.zne.scaling import fold_global
from qiskit import QuantumCircuit, transpile

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
