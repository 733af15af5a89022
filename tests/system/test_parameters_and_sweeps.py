"""Parameterised circuits and sweeps of a Qiskit user, through daemon, controller and chip."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter

from qubitd.provider import JobRefusedError, QubitdBackend, QubitdProvider

pytestmark = pytest.mark.lowest

THETA, TAU = Parameter("theta"), Parameter("tau")
SHOTS = 400


def turn(backend: QubitdBackend) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1, name="turn")
    circuit.ry(THETA, 0)
    circuit.measure(0, 0)
    return transpile(circuit, backend, optimization_level=1)


def excited(counts: list[dict[str, int]]) -> NDArray[np.float64]:
    return np.array([each.get("1", 0) / SHOTS for each in counts])


def test_a_circuit_is_run_with_each_row_of_values(backend: QubitdBackend, provider: QubitdProvider) -> None:
    angles = np.linspace(0, np.pi, 5)
    plain = QuantumCircuit(1, 1)
    plain.x(0)
    plain.measure(0, 0)
    job = backend.run([turn(backend), plain], parameter_values=[{THETA: angles}, None], shots=SHOTS, seed_simulator=1)
    counts = job.result().get_counts()
    assert len(counts) == 6
    np.testing.assert_allclose(excited(counts[:5]), np.sin(angles / 2) ** 2, atol=0.1)
    assert excited(counts[5:])[0] > 0.9
    assert provider.job(job.job_id()).result().get_counts() == counts


def test_values_that_are_no_list_for_several_circuits_are_refused(backend: QubitdBackend) -> None:
    with pytest.raises(JobRefusedError, match="must be a sequence with one entry for each of the 2 circuits"):
        backend.run([turn(backend)] * 2, parameter_values={THETA: [0.1]})


def test_an_explanation_counts_every_row(backend: QubitdBackend) -> None:
    plan = backend.explain(turn(backend), parameter_values={THETA: [0.1, 0.2, 0.3]})
    assert len(plan.programs) == 3
