"""qiskit-algorithms, qiskit-ibm-runtime in its local mode, and Qiskit Aer as a twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager, transpile
from qiskit.circuit.library import n_local
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_algorithms import VQE, AmplificationProblem, Grover
from qiskit_algorithms.optimizers import SPSA
from qiskit_ibm_runtime import Batch, EstimatorV2, SamplerV2, Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qubitd.provider import QubitdBackend


def pair() -> QuantumCircuit:
    """A Bell pair, measured."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.fixture
def bell(backend: QubitdBackend) -> QuantumCircuit:
    """The pair in the backend's gates."""
    return transpile(pair(), backend, optimization_level=2, seed_transpiler=1)


def correlation(counts: Mapping[str, int]) -> float:
    """How often both bits agree."""
    return (counts["00"] + counts["11"]) / sum(counts.values())


@pytest.mark.parametrize("kind", ["qiskit's", "ours"])
def test_vqe_finds_a_ground_state(backend: QubitdBackend, kind: str) -> None:
    from qubitd.provider import QubitdEstimator

    estimator = BackendEstimatorV2(backend=backend) if kind == "qiskit's" else QubitdEstimator(backend)
    ansatz = n_local(2, ["ry"], "cz", reps=1)
    native = generate_preset_pass_manager(1, backend=backend, initial_layout=[0, 1]).run(ansatz)
    observable = SparsePauliOp(["ZZ", "XI"], [1.0, 0.5])
    optimizer = SPSA(maxiter=15, learning_rate=0.3, perturbation=0.2)
    vqe = VQE(estimator, native, optimizer, initial_point=np.full(4, 0.8))
    result = vqe.compute_minimum_eigenvalue(observable)
    assert result.optimal_value < -0.7


def test_grover_finds_what_is_marked(backend: QubitdBackend) -> None:
    oracle = QuantumCircuit(2)
    oracle.cz(0, 1)
    passes = generate_preset_pass_manager(1, backend=backend)
    grover = Grover(iterations=1, sampler=BackendSamplerV2(backend=backend), transpiler=passes)
    result = grover.amplify(AmplificationProblem(oracle, is_good_state=["11"]))
    assert result.top_measurement == "11"


@pytest.mark.parametrize("mode", [Session, Batch])
def test_the_runtimes_local_mode(backend: QubitdBackend, bell: QuantumCircuit, mode: type[Session]) -> None:
    with mode(backend=backend) as opened:
        sampler = SamplerV2(mode=opened)
        assert correlation(sampler.run([bell], shots=1000).result()[0].data.meas.get_counts()) > 0.85
        plain = bell.remove_final_measurements(inplace=False)
        observable = SparsePauliOp("ZZ").apply_layout(bell.layout)
        estimator = EstimatorV2(mode=opened)
        assert estimator.run([(plain, observable)], precision=0.05).result()[0].data.evs > 0.7


def test_a_simulator_made_from_the_backend_gives_what_the_chip_gives(
    backend: QubitdBackend, bell: QuantumCircuit
) -> None:
    """A circuit that was transpiled for the simulator, and one for the backend in which the lab's own gate stands."""
    here = correlation(backend.run(bell, shots=10_000, seed_simulator=1).result().get_counts())
    made = AerSimulator.from_backend(backend, seed_simulator=1)
    theirs = transpile(pair(), made, optimization_level=1, seed_transpiler=1)
    assert "sy" in bell.count_ops()
    for circuit in (theirs, backend.simulable(bell)):
        there = made.run(circuit, shots=10_000).result().get_counts()
        assert correlation(there) == pytest.approx(here, abs=0.04)
    twin = AerSimulator(noise_model=backend.noise_model(), seed_simulator=1)
    twins = twin.run(backend.simulable(bell), shots=10_000).result().get_counts()
    assert correlation(twins) == pytest.approx(here, abs=0.03)
