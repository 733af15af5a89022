"""qiskit-experiments: what its analyses find agrees with the calibration that the emulated chip was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import CZGate, SXGate
from qiskit_experiments.framework import BaseExperiment, BatchExperiment, ParallelExperiment
from qiskit_experiments.library import (
    T1,
    CorrelatedReadoutError,
    FineSXAmplitude,
    InterleavedRB,
    LocalReadoutError,
    MultiStateDiscrimination,
    ProcessTomography,
    QuantumVolume,
    ReadoutAngle,
    StandardRB,
    StateTomography,
    T2Hahn,
    T2Ramsey,
)

if TYPE_CHECKING:
    from qubitd.core.snapshot import Snapshot
    from qubitd.provider import QubitdBackend


@pytest.fixture(scope="session")
def truth(backend: QubitdBackend) -> Snapshot:
    """What the calibration states of the chip."""
    return backend.calibration()


def found(backend: QubitdBackend, experiment: BaseExperiment, name: str, **options: Any) -> Any:
    """Run an experiment its own default way and give one of its results."""
    data = experiment.run(backend, seed_simulator=1, **options).block_for_results()
    assert data.status().name == "DONE", data.errors()
    table = data.analysis_results(dataframe=True)
    return table[table["name"] == name].iloc[0].value


def test_t1(backend: QubitdBackend, truth: Snapshot) -> None:
    delays = np.linspace(1e-6, 90e-6, 12)
    t1 = found(backend, T1([0], delays), "T1", shots=2000)
    assert abs(t1.n - truth.value("q0.t1")) < 5 * t1.s + 2e-6


def test_t2_echo(backend: QubitdBackend, truth: Snapshot) -> None:
    delays = np.linspace(1e-6, 80e-6, 12)
    t2 = found(backend, T2Hahn([0], delays, num_echoes=1), "T2", shots=2000)
    assert 0.7 * truth.value("q0.t2") < t2.n < 2.1 * truth.value("q0.t1")


def test_t2_ramsey_finds_the_detuning_that_was_asked_for(backend: QubitdBackend) -> None:
    delays = np.linspace(0, 20e-6, 40)
    frequency = found(backend, T2Ramsey([0], delays, osc_freq=200e3), "Frequency", shots=1000)
    assert frequency.n == pytest.approx(200e3, rel=0.1)


def test_randomised_benchmarking_of_one_and_two_qubits(backend: QubitdBackend, truth: Snapshot) -> None:
    one = found(backend, StandardRB([0], [1, 50, 150, 300], num_samples=2, seed=1), "EPC", shots=500)
    assert one.n < 6 * truth.value("q0.sx.error")
    two = found(backend, StandardRB([0, 1], [1, 5, 15, 30], num_samples=2, seed=1), "EPC", shots=500)
    assert truth.value("q0_q1.cz.error") < two.n < 0.1


def test_interleaved_benchmarking(backend: QubitdBackend, truth: Snapshot) -> None:
    one = found(backend, InterleavedRB(SXGate(), [0], [1, 60, 200], num_samples=2, seed=1), "EPC", shots=500)
    assert abs(one.n) < 10 * truth.value("q0.sx.error")
    two = found(backend, InterleavedRB(CZGate(), [1, 2], [1, 8, 20], num_samples=2, seed=1), "EPC", shots=500)
    assert abs(two.n) < 0.1


def test_state_tomography_of_a_bell_pair(backend: QubitdBackend) -> None:
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    assert found(backend, StateTomography(bell), "state_fidelity", shots=1000) > 0.85


def test_process_tomography_of_a_gate(backend: QubitdBackend) -> None:
    gate = QuantumCircuit(1)
    gate.sx(0)
    assert found(backend, ProcessTomography(gate), "process_fidelity", shots=1000) > 0.9


def test_readout_errors(backend: QubitdBackend, truth: Snapshot) -> None:
    local = found(backend, LocalReadoutError([0, 1, 2]), "Local Readout Mitigator", shots=4000)
    wrong = local.assignment_matrix(0)[1, 0]
    assert wrong == pytest.approx(truth.value("q0.measure.prob_meas1_prep0"), abs=0.006)
    correlated = found(backend, CorrelatedReadoutError([0, 1]), "Correlated Readout Mitigator", shots=1000)
    assert correlated.assignment_matrix().shape == (4, 4)


def test_iq_points(backend: QubitdBackend) -> None:
    # The runtime's local mode, through which experiments go by default, knows no IQ points.
    assert np.isfinite(found(backend, ReadoutAngle([0]), "readout_angle", shots=500, backend_run=True))
    states = MultiStateDiscrimination([0], n_states=2)
    assert found(backend, states, "fidelity", shots=500, backend_run=True) > 0.9


def test_a_gates_angle_error(backend: QubitdBackend) -> None:
    assert abs(found(backend, FineSXAmplitude([1]), "d_theta", shots=500).n) < 0.05


def test_quantum_volume_of_two_qubits(backend: QubitdBackend) -> None:
    probability = found(backend, QuantumVolume([0, 1], trials=100, seed=1), "mean_HOP", shots=50)
    assert probability.n > 2 / 3


def test_experiments_in_parallel_and_in_a_batch(backend: QubitdBackend, truth: Snapshot) -> None:
    delays = np.linspace(1e-6, 100e-6, 8)
    each = [T1([qubit], delays) for qubit in (0, 2)]
    for kind in (ParallelExperiment, BatchExperiment):
        data = kind(each, backend=backend).run(shots=1000, seed_simulator=2).block_for_results()
        assert data.status().name == "DONE", data.errors()
        table = data.analysis_results(dataframe=True).query("name == 'T1'")
        for qubit, t1 in zip((0, 2), table.value, strict=True):
            assert t1.n == pytest.approx(truth.value(f"q{qubit}.t1"), rel=0.25)


def test_the_backends_own_run_in_place_of_a_sampler(backend: QubitdBackend, truth: Snapshot) -> None:
    t1 = found(backend, T1([1], np.linspace(1e-6, 90e-6, 8)), "T1", shots=1000, backend_run=True)
    assert t1.n == pytest.approx(truth.value("q1.t1"), rel=0.25)
