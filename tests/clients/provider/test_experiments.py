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
    FineXAmplitude,
    HalfAngle,
    InterleavedRB,
    LayerFidelity,
    LocalReadoutError,
    MitigatedProcessTomography,
    MitigatedStateTomography,
    MultiStateDiscrimination,
    ProcessTomography,
    PurityRB,
    QuantumVolume,
    RamseyXY,
    ReadoutAngle,
    StandardRB,
    StateTomography,
    T2Hahn,
    T2Ramsey,
    Tphi,
    ZZRamsey,
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
    t2 = found(backend, T2Hahn([0], delays, num_echoes=1), "T2", shots=4000)
    assert abs(t2.n - truth.value("q0.t2")) < 5 * t2.s + 1e-6


def test_t2_ramsey_finds_the_detuning_that_was_asked_for_and_t2(backend: QubitdBackend, truth: Snapshot) -> None:
    experiment = T2Ramsey([0], np.linspace(0, 80e-6, 60), osc_freq=100e3)
    frequency, t2 = (found(backend, experiment, name, shots=2000) for name in ("Frequency", "T2star"))
    assert abs(frequency.n - 100e3) < 5 * frequency.s
    assert abs(t2.n - truth.value("q0.t2")) < 5 * t2.s  # the chip has no slow noise, which an echo would undo


def test_dephasing_alone(backend: QubitdBackend, truth: Snapshot) -> None:
    experiment = Tphi([0], np.linspace(1e-6, 60e-6, 15), np.linspace(1e-6, 60e-6, 30), osc_freq=100e3)
    dephasing = found(backend, experiment, "T_phi", shots=1000)
    rate = 1 / truth.value("q0.t2") - 1 / (2 * truth.value("q0.t1"))
    assert abs(dephasing.n - 1 / rate) < 5 * dephasing.s


def test_a_frequency_by_ramsey_in_two_quadratures(backend: QubitdBackend) -> None:
    experiment = RamseyXY([0], delays=np.linspace(0, 10e-6, 40), osc_freq=300e3)
    frequency = found(backend, experiment, "freq", shots=1000)
    assert abs(frequency.n - 300e3) < 5 * frequency.s


def test_what_a_neighbour_shifts(backend: QubitdBackend, truth: Snapshot) -> None:
    shift = found(backend, ZZRamsey([0, 1], delays=np.linspace(0, 10e-6, 30)), "zz", shots=1000)
    assert abs(shift.n - truth.value("q0_q1.zz")) < 5 * shift.s


def test_randomised_benchmarking_of_one_and_two_qubits(backend: QubitdBackend, truth: Snapshot) -> None:
    one = found(backend, StandardRB([0], [1, 150, 400, 800, 1600], num_samples=3, seed=1), "EPG_sx", shots=1000)
    assert abs(one.n - truth.value("q0.sx.error")) < 5 * one.s
    experiment = StandardRB([0, 1], [1, 15, 40, 80, 160], num_samples=3, seed=1)
    two = found(backend, experiment, "EPC", shots=1000)
    wanted = decay_per_clifford(backend, truth, experiment)
    assert abs(two.n - wanted) < 5 * two.s + CLIFFORD_MODEL * wanted


CLIFFORD_MODEL = 0.1
"""What `decay_per_clifford` leaves out, relative: leakage, and that decay is no depolarisation."""


def decay_per_clifford(backend: QubitdBackend, truth: Snapshot, experiment: StandardRB) -> float:
    """Average infidelity of a two-qubit Clifford if nothing but decay and dephasing happens while it lasts."""
    experiment.backend = backend
    circuits = experiment._transpiled_circuits()
    lengths = [circuit.metadata["xval"] for circuit in circuits]
    seconds = np.polyfit(lengths, [program.duration for program in backend.explain(circuits).programs], 1)[0]
    rates = sum(1 / truth.value(f"q{q}.t1") + 2 / truth.value(f"q{q}.t2") for q in (0, 1))
    return float(6 / 5 * seconds * rates / 6)


def test_interleaved_benchmarking(backend: QubitdBackend, truth: Snapshot) -> None:
    one = found(backend, InterleavedRB(SXGate(), [0], [1, 100, 300, 800], num_samples=3, seed=1), "EPC", shots=1000)
    assert abs(one.n - truth.value("q0.sx.error")) < 5 * one.s
    two = found(backend, InterleavedRB(CZGate(), [1, 2], [1, 10, 30, 80], num_samples=3, seed=1), "EPC", shots=1000)
    assert abs(two.n - truth.value("q1_q2.cz.error")) < 5 * two.s


def test_purity_benchmarking(backend: QubitdBackend, truth: Snapshot) -> None:
    error = found(backend, PurityRB([0], [1, 200, 600], num_samples=2, seed=1), "EPG_pur_sx", shots=500)
    assert abs(error.n - truth.value("q0.sx.error")) < 5 * error.s


def test_fidelity_of_layers(backend: QubitdBackend, truth: Snapshot) -> None:
    """Three gates, and of each layer two qubits or four while they wait for it."""
    layers = [[(0, 1), (2, 3)], [(1, 2)]]
    experiment = LayerFidelity(
        physical_qubits=[0, 1, 2, 3],
        two_qubit_layers=layers,
        lengths=[2, 10, 30],
        two_qubit_gate="cz",
        one_qubit_basis_gates=["rz", "sx", "x"],
        num_samples=3,
        seed=1,
    )
    fidelity = found(backend, experiment, "LF", shots=300)
    gates = sum(truth.value(f"{pair}.cz.error") for pair in ("q0_q1", "q1_q2", "q2_q3"))
    assert 0.8 < fidelity.n < 1 - gates + 5 * fidelity.s


def contrast(truth: Snapshot, *qubits: int) -> float:
    """How much of a product of Pauli operators is left by the readout of its qubits."""
    errors = [truth.value(f"q{q}.measure.{name}") for q in qubits for name in ("prob_meas1_prep0", "prob_meas0_prep1")]
    return float(np.prod([1 - sum(errors[2 * i : 2 * i + 2]) for i in range(len(qubits))]))


SPREAD = 5 * 0.005
"""Five standard deviations of a fidelity from a few bases of 1000 shots each, some percent of which are misread."""


def test_state_tomography_of_a_bell_pair(backend: QubitdBackend, truth: Snapshot) -> None:
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    fidelity = found(backend, StateTomography(bell), "state_fidelity", shots=1000)
    left = contrast(truth, 0, 1) * (1 - truth.value("q0_q1.cz.error") - 4 * truth.value("q0.sx.error"))
    assert abs(fidelity - (1 + 3 * left) / 4) < SPREAD


def test_process_tomography_of_a_gate(backend: QubitdBackend, truth: Snapshot) -> None:
    gate = QuantumCircuit(1)
    gate.sx(0)
    fidelity = found(backend, ProcessTomography(gate), "process_fidelity", shots=1000)
    left = contrast(truth, 0) * (1 - 3 * truth.value("q0.sx.error"))
    assert abs(fidelity - (1 + 3 * left) / 4) < SPREAD


def test_tomography_that_mends_the_readout(backend: QubitdBackend, truth: Snapshot) -> None:
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    fidelity = found(backend, MitigatedStateTomography(bell), "state_fidelity", shots=1000)
    left = 1 - truth.value("q0_q1.cz.error") - 4 * truth.value("q0.sx.error")
    assert abs(fidelity - left) < SPREAD
    gate = QuantumCircuit(1)
    gate.sx(0)
    of_gate = found(backend, MitigatedProcessTomography(gate), "process_fidelity", shots=1000)
    assert abs(of_gate - (1 - 3 * truth.value("q0.sx.error"))) < SPREAD


def test_readout_errors(backend: QubitdBackend, truth: Snapshot) -> None:
    local = found(backend, LocalReadoutError([0, 1, 2]), "Local Readout Mitigator", shots=4000)
    wrong = local.assignment_matrix(0)[1, 0]
    assert wrong == pytest.approx(truth.value("q0.measure.prob_meas1_prep0"), abs=0.006)
    correlated = found(backend, CorrelatedReadoutError([0, 1]), "Correlated Readout Mitigator", shots=1000)
    assert correlated.assignment_matrix().shape == (4, 4)


def test_iq_points(backend: QubitdBackend, truth: Snapshot) -> None:
    angle = found(backend, ReadoutAngle([0]), "readout_angle", shots=2000)
    # The clouds of 0 and 1 are as far from the origin: what parts them is at right angles to where their middle is.
    across = angle + truth.value("q0.readout.rotation") - np.pi / 2
    assert abs((across + np.pi / 2) % np.pi - np.pi / 2) < 0.05
    states = MultiStateDiscrimination([0], n_states=2)
    fidelity = found(backend, states, "fidelity", shots=2000, backend_run=True)
    wrong = truth.value("q0.measure.error")
    assert abs(1 - fidelity - wrong) < 5 * np.sqrt(wrong / 4000)


@pytest.mark.parametrize(
    ("experiment", "name"), [(FineSXAmplitude, "d_theta"), (FineXAmplitude, "d_theta"), (HalfAngle, "d_hac")]
)
def test_a_gates_angle_error(backend: QubitdBackend, experiment: type[BaseExperiment], name: str) -> None:
    error = found(backend, experiment([1]), name, shots=500)
    assert abs(error.n) < 5 * error.s


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
            assert abs(t1.n - truth.value(f"q{qubit}.t1")) < 5 * t1.s + 2e-6


def test_the_backends_own_run_in_place_of_a_sampler(backend: QubitdBackend, truth: Snapshot) -> None:
    t1 = found(backend, T1([1], np.linspace(1e-6, 90e-6, 8)), "T1", shots=1000, backend_run=True)
    assert abs(t1.n - truth.value("q1.t1")) < 5 * t1.s + 2e-6
