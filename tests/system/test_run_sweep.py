"""Sweeps through `backend.run` on the emulated chip: labelled arrays whose values are what physics says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers import JobStatus

from qubitd.cli.daemon_process import start_daemon
from qubitd.provider import JobFailedError, JobRefusedError, QubitdBackend, QubitdProvider

THETA, TAU = Parameter("theta"), Parameter("tau")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QubitdBackend]:
    data_dir: Path = tmp_path_factory.mktemp("data")
    with start_daemon(data_dir=data_dir) as daemon, QubitdProvider(daemon.address) as provider:
        yield provider.get_backend()


def flips(times: int = 1) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    for _ in range(times):
        circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def turned() -> QuantumCircuit:
    """A circuit with a parameter of its own."""
    circuit = flips()
    circuit.rz(THETA, 0)
    return circuit


def test_a_rabi_scan_is_a_labelled_array(backend: QubitdBackend) -> None:
    half_turn = backend.calibration().value("q0.x.amplitude")
    scales = np.array([0.0, 0.5, 1.0])
    job = backend.run(flips(), sweep={"q0.x.amplitude": half_turn * scales}, shots=2000, seed_simulator=1)
    assert job.result().success
    found = job.sweep()
    assert [axis.names for axis in found.axes] == [("q0.x.amplitude",)]
    assert found.shape == (3,)
    assert found.data[:, 0] == pytest.approx(np.sin(np.pi * scales / 2) ** 2, abs=0.06)
    again = QubitdProvider(backend.provider.client.address).job(job.job_id())
    assert np.array_equal(again.sweep().data, found.data)


def test_traces_of_a_sweep_have_their_place_in_the_array(backend: QubitdBackend) -> None:
    half_turn = backend.calibration().value("q0.x.amplitude")
    sweep = {"q0.x.amplitude": [0.0, half_turn]}
    job = backend.run(flips(), sweep=sweep, shots=50, meas_level=0, meas_return="avg", seed_simulator=1)
    found = job.sweep() if job.result().success else None
    assert found is not None
    assert found.data.shape == (2, 1, 480)
    for point in range(2):
        np.testing.assert_allclose(found.data[point, 0], job.result().get_memory(point)[0], atol=1e-6)


def test_the_array_is_there_while_the_job_runs_and_gains_shots(backend: QubitdBackend) -> None:
    half_turn = backend.calibration().value("q0.x.amplitude")
    amplitudes = np.linspace(0.0, half_turn, 50)
    job = backend.run(flips(), sweep={"q0.x.amplitude": amplitudes}, shots=100_000, seed_simulator=1)
    parts = job.stream(timeout=60)
    first = next(parts)
    early = job.sweep().data[:, 0]
    assert job.status() is JobStatus.RUNNING
    assert early == pytest.approx(np.sin(np.pi * amplitudes / half_turn / 2) ** 2, abs=0.06)
    seen, later = first.first_shot, early
    while (early == later).all():  # what it held early may be more than the first shots
        while (shot := next(parts).first_shot) == seen:
            continue
        seen, later = shot, job.sweep().data[:, 0]
    assert job.status() is JobStatus.RUNNING
    assert (early != later).any()
    job.cancel()


def test_axes_come_in_the_order_in_which_they_were_asked_for(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.rz(THETA, 0)
    circuit.sx(0)
    circuit.measure(0, 0)
    half_turn = backend.calibration().value("q0.sx.amplitude")
    sweep = {"q0.sx.amplitude": [half_turn, 0.0], THETA: [0.0, np.pi / 2, np.pi]}
    job = backend.run(circuit, sweep=sweep, shots=2000, seed_simulator=1)
    job.wait_for_final_state()
    found = job.sweep()
    assert found.shape == (2, 3)
    assert found.data[0, :, 0] == pytest.approx([1.0, 0.5, 0.0], abs=0.06)
    assert found.data[1, :, 0] == pytest.approx([0.0, 0.0, 0.0], abs=0.06)
    turned = backend.run(circuit, sweep=dict(reversed(sweep.items())), shots=2000, seed_simulator=1)
    turned.wait_for_final_state()
    assert turned.sweep().data[:, :, 0] == pytest.approx(found.data[:, :, 0].T, abs=0.08)


def test_a_circuits_parameter_and_the_labs_may_step_together(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.sx(0)
    circuit.rz(THETA, 0)
    circuit.sx(0)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    half, full = (backend.calibration().value(name) for name in ("q0.sx.amplitude", "q1.x.amplitude"))
    sweep = {
        "q1.x.amplitude": [0.0, full],
        ("q0.sx.amplitude", THETA): [[half, half, 0.0], [0.0, np.pi, 0.3]],
    }
    job = backend.run(circuit, sweep=sweep, shots=1000, seed_simulator=1)
    job.wait_for_final_state()
    found = job.sweep()
    assert found.data[:, :, 0] == pytest.approx(np.array([[1.0, 0.0, 0.0]] * 2), abs=0.06)
    assert found.data[:, :, 1] == pytest.approx(np.array([[0.0] * 3, [1.0] * 3]), abs=0.06)
    assert [axis.names for axis in found.axes] == [("q1.x.amplitude",), ("q0.sx.amplitude", "theta")]
    amplitudes, angles = found.axes[1].values
    assert (amplitudes == np.floor(np.array([half, half, 0.0]) * 32768 + 0.5) / 32768).all()
    assert angles.tolist() == [0.0, np.pi, 0.3]


def test_parameters_of_a_tuple_step_together_and_delays_may_be_swept(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x([0, 1])
    circuit.delay(TAU, 0, "s")
    circuit.measure([0, 1], [0, 1])
    amplitude = backend.calibration().value("q1.x.amplitude")
    together = {("q0.x.amplitude", "q1.x.amplitude"): [[0.0, amplitude], [amplitude, 0.0]], TAU: [0.0, 200e-6]}
    job = backend.run(circuit, sweep=together, shots=1000, meas_level=1, meas_return="avg")
    job.wait_for_final_state()
    points = job.sweep()
    assert points.shape == (2, 2)
    assert np.iscomplexobj(points.data)
    bits = backend.run(circuit, sweep=together, shots=1000, seed_simulator=1)
    bits.wait_for_final_state()
    data = bits.sweep().data
    assert data[:, 0, 0] == pytest.approx([0.0, 1.0], abs=0.06)
    assert data[:, 0, 1] == pytest.approx([1.0, 0.0], abs=0.06)
    assert data[1, 1, 0] < 0.1


@pytest.mark.parametrize(
    ("circuit", "sweep", "complaint"),
    [
        (flips(), {}, "sweep: has no axis"),
        ([flips(), flips()], {"q0.x.amplitude": [0.1]}, "sweep: runs over 2 circuits"),
        (flips(), {3: [0.1]}, "sweep: has the axis 3; give names"),
        (flips(), {("q0.x.amplitude", THETA): [[0.1], [0.2]]}, "gives values for theta; the circuit's parameters are"),
        (flips(), {"q0.x.amplitude": ["a"]}, "that are no numbers"),
        (flips(), {"q0.x.amplitude": []}, r"has values of shape \(1, 0\)"),
        (flips(), {"q0.x.amplitude": [0.1, float("nan")]}, "has nan as value 1 of q0.x.amplitude; give finite numbers"),
        (turned(), {"q0.x.amplitude": [0.1]}, "^sweep: gives no values for theta of the circuit; make it an axis, or"),
        (turned(), {"theta": [0.1]}, "^sweep: has the text 'theta', which is a parameter of the circuit: give the P"),
        (turned(), {"q0.x.amplitud": [0.1]}, r"lab has no such parameter; did you mean q0\.x\.amplitude or "),
        (flips(), {THETA: [0.1]}, "gives values for theta; the circuit's parameters are nothing"),
        (turned(), {THETA: [0.1], (THETA, "q0.x.beta"): [[0.2], [0.3]]}, "gives values for theta more than once"),
        (flips(), [0.1], "^sweep: is a list; give a mapping such as {'q0.x.amplitude': values}"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    backend: QubitdBackend, circuit: QuantumCircuit, sweep: dict[object, object], complaint: str
) -> None:
    with pytest.raises(JobRefusedError, match=complaint):
        backend.run(circuit, sweep=sweep)


def test_parameter_values_and_a_sweep_exclude_each_other(backend: QubitdBackend) -> None:
    with pytest.raises(JobRefusedError, match="comes with parameter_values; make them an axis of the sweep"):
        backend.run(flips(), sweep={"q0.x.amplitude": [0.1]}, parameter_values=[[0.1]])


def test_a_job_that_swept_nothing_says_so_and_a_plan_counts_the_grid(backend: QubitdBackend) -> None:
    job = backend.run(flips(), shots=10)
    with pytest.raises(JobFailedError, match="is no sweep"):
        job.sweep()
    assert len(backend.explain(flips(), sweep={"q0.x.amplitude": [0.1, 0.2]}, shots=10).programs) == 2


@pytest.mark.parametrize("pulses", [4, 9, 14, 20, 40])
def test_the_processor_keeps_ahead_however_many_phases_step(backend: QubitdBackend, pulses: int) -> None:
    circuit = QuantumCircuit(1, 1)
    for _ in range(pulses):
        circuit.sx(0)
        circuit.rz(THETA, 0)
    circuit.measure(0, 0)
    angles = np.linspace(0.1, 3.0, 24)
    swept = backend.run(circuit, sweep={THETA: angles}, shots=300, seed_simulator=1)
    bound = backend.run(circuit, parameter_values=angles[:, None], shots=300, seed_simulator=2)
    found = [bound.result().get_counts(i).get("1", 0) / 300 for i in range(len(angles))]
    assert swept.result().success
    assert swept.sweep().data[:, 0] == pytest.approx(found, abs=0.2)
