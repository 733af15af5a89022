"""What a user may ask of the readout, against a daemon on an emulated rack: both levels, heralds, order of the bits."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, QuantumRegister
from qiskit.circuit.library import IGate, XGate

from qubitd.provider import JobFailedError, JobRefusedError, QubitdBackend

pytestmark = pytest.mark.lowest


@pytest.fixture
def idle() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1, name="idle")
    circuit.id(0)
    circuit.measure(0, 0)
    return circuit


def test_bits_of_both_are_the_points_told_apart(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.sx(0)
    circuit.measure([0, 1], [0, 1])
    data = backend.run(circuit, shots=500, meas_level="both", memory=True, seed_simulator=1).result().data()
    ones = np.array([int(shot, 16) & 1 for shot in data["memory"]], dtype=bool)
    points = np.asarray(data["iq"])[:, 0] @ [1, 1j]
    assert points.shape == (500,)
    between = (points[ones].mean() + points[~ones].mean()) / 2
    along = np.real((points - between) * np.conj(points[ones].mean() - points[~ones].mean()))
    assert np.mean((along > 0) == ones) > 0.995


def test_shots_whose_herald_is_1_are_discarded_and_counted(backend: QubitdBackend, idle: QuantumCircuit) -> None:
    shots = 20_000
    plain, heralded = (
        backend.run(idle, shots=shots, herald=herald, seed_simulator=2).result().results[0] for herald in (False, True)
    )
    assert plain.header["discarded_shots"] == 0
    assert plain.shots == shots
    assert heralded.shots + heralded.header["discarded_shots"] == shots
    # This chip begins in 0, so the heralds that are 1 are those that were read wrongly.
    wrong = heralded.header["assignment_matrices"][0][1][0]
    assert abs(heralded.header["discarded_shots"] - wrong * shots) < 5 * np.sqrt(wrong * shots)
    assert sum(heralded.data.counts.values()) == heralded.shots


def test_assignment_matrices_come_with_the_counts(backend: QubitdBackend, idle: QuantumCircuit) -> None:
    (matrix,) = backend.run(idle, shots=10).result().results[0].header["assignment_matrices"]
    np.testing.assert_allclose(np.sum(matrix, axis=0), [1, 1])
    assert 0.97 < matrix[0][0] < 1
    assert 0.97 < matrix[1][1] < 1


@pytest.mark.parametrize("scheduling", ["alap", "asap"])
def test_one_qubit_measured_twice_keeps_both_results(backend: QubitdBackend, scheduling: str) -> None:
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    assert backend.run(circuit, shots=200, scheduling=scheduling).result().get_counts()["01"] > 180


def test_several_registers_and_loose_bits_stand_in_qiskits_order(backend: QubitdBackend) -> None:
    first, second = ClassicalRegister(2, "a"), ClassicalRegister(1, "b")
    circuit = QuantumCircuit(QuantumRegister(3), first, [Clbit()], second)
    circuit.x(0)
    circuit.x(2)
    circuit.measure(0, first[1])
    circuit.measure(1, circuit.clbits[2])
    circuit.measure(2, second[0])
    counts = backend.run(circuit, shots=200).result().get_counts()
    assert counts["1 0 10"] > 160


def test_registers_that_share_bits_keep_qiskits_order(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "a"))
    circuit.add_register(ClassicalRegister(name="b", bits=[circuit.clbits[1], circuit.clbits[0]]))
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    assert backend.run(circuit, shots=200).result().get_counts()["01"] > 160


def test_a_trace_holds_the_tones_of_all_qubits_of_the_feedline(backend: QubitdBackend) -> None:
    circuits = []
    for flips in (0, 1):
        circuit = QuantumCircuit(2, 2, name=f"flips {flips}")
        circuit.append(XGate() if flips else IGate(), [0])
        circuit.measure([0, 1], [0, 1])
        circuits.append(circuit)
    result = backend.run(circuits, shots=2000, meas_level=0, meas_return="avg", seed_simulator=3).result()
    assert [each.header["feedlines"] for each in result.results] == [[[0, 1]]] * 2
    traces = [result.get_memory(circuit)[0] for circuit in circuits]
    assert [len(trace) for trace in traces] == [480, 480]
    spectra = np.abs(np.fft.fft(traces, 480 * 8)) / 480
    frequency = np.fft.fftfreq(480 * 8, 1e-9) + 7.28e9
    near = {name: np.abs(frequency - tone) < 3e6 for name, tone in (("q0", 7.4483e9), ("q1", 7.24835e9))}
    assert all(spectra[:, band].max() > 0.05 for band in near.values())
    change = np.abs(np.fft.fft(traces[1] - traces[0], 480 * 8)) / 480
    assert change[near["q0"]].max() > 10 * change[near["q1"]].max()


def test_single_shots_have_no_trace(backend: QubitdBackend, idle: QuantumCircuit) -> None:
    with pytest.raises(JobRefusedError, match="not of one shot or qubit"):
        backend.run(idle, meas_level=0)
    with pytest.raises(JobFailedError, match="measures nothing, so there is no trace"):
        backend.run(QuantumCircuit(1, 1), meas_level=0, meas_return="avg").result()
