"""Parameters of Qiskit circuits: values travel as columns beside the circuit, and misfits are refused by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector

from qubitd.client import Limits
from qubitd.compiler.device_file import load_device
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import Circuit, instructions
from qubitd.provider.encode import Encoded, Encoder
from qubitd.provider.headers import JobHeader, read_header, write_header
from qubitd.wire.backends import backend_info

FILE = load_device("line5")
LINE5 = backend_info(
    FILE.device,
    FILE.snapshot(),
    limits=Limits(max_shots=100_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26),
    operational=True,
    simulated=True,
    server_version="1.2.3",
)
THETA, TAU = Parameter("theta"), Parameter("tau")


def ramsey(angle: Any = THETA, wait: Any = TAU, unit: str = "us") -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1, name="ramsey")
    circuit.sx(0)
    circuit.delay(wait, 0, unit)
    circuit.rz(angle, 0)
    circuit.rz(0.25, 0)
    circuit.measure(0, 0)
    return circuit


def encoded(circuit: QuantumCircuit, values: Any) -> Encoded:
    encoder = Encoder(LINE5)
    found = encoder.encode([circuit], [values])
    assert encoder.problems == []
    return found


def columns(circuit: QuantumCircuit, values: Any) -> tuple[Circuit, np.ndarray[Any, np.dtype[np.float64]]]:
    (found,) = encoded(circuit, values).batch.circuits
    assert found.bindings is not None
    return found, found.bindings.values


def refusal(circuit: QuantumCircuit, values: Any) -> str:
    encoder = Encoder(LINE5)
    encoder.encode([circuit], [values])
    (problem,) = encoder.problems
    return str(problem)


def test_each_parameter_becomes_a_column_in_its_unit() -> None:
    circuit, values = columns(ramsey(), {"theta": [0.1, 0.2], TAU: [1, 2]})
    assert values.tolist() == [[1e-6, 0.1], [2e-6, 0.2]]
    batch = encoded(ramsey(), {"theta": [0.1, 0.2], TAU: [1, 2]}).batch
    params = [i.params for i in instructions(batch.circuits[0], batch.operations)]
    assert params == [(), (FromColumn(column=0),), (FromColumn(column=1),), (0.25,), ()]
    assert circuit.num_bindings == 2


def test_an_array_has_its_columns_in_the_order_of_the_circuits_parameters() -> None:
    _, values = columns(ramsey(), [[3, 0.1], [4, 0.2], [5, 0.3]])
    assert [parameter.name for parameter in ramsey().parameters] == ["tau", "theta"]
    assert values[:, 1].tolist() == [0.1, 0.2, 0.3]
    assert values.shape == (3, 2)


def test_one_row_is_one_binding_and_a_grid_is_a_row_for_each_point() -> None:
    assert columns(ramsey(wait=1), [0.5])[1].tolist() == [[0.5]]
    grid = np.arange(6.0).reshape(2, 3, 1)
    assert columns(ramsey(wait=1), grid)[1][:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_row_that_makes_a_delay_too_long_or_negative_is_refused_with_the_limit() -> None:
    assert refusal(ramsey(unit="s"), {THETA: [0.0, 0.0, 0.0], TAU: [1.0, 1.5, 2.0]}) == (
        "circuit 0 ('ramsey'), operation 1 (delay): binding 1 makes it 1.5 s, which is above 1 s"
    )
    assert refusal(ramsey(unit="s"), {THETA: [0.0], TAU: [1 + 1e-9]}).endswith(
        "binding 0 makes it 1.000000001 s, which is above 1 s"
    )
    assert refusal(ramsey(), {THETA: [0.0], TAU: [-1.0]}).endswith(
        "binding 0 makes it -1e-06 s, which is negative; the least is 0"
    )


def test_equal_expressions_share_a_column() -> None:
    circuit = ramsey(2 * THETA, 1)
    circuit.rz(2 * THETA, 0)
    circuit.rz(THETA, 0)
    found, values = columns(circuit, {THETA: [1.0, 2.0]})
    assert found.bindings is not None
    assert found.bindings.columns.tolist() == [0, 0, 1]
    assert values.tolist() == [[2, 1], [4, 2]]


def test_expressions_have_the_values_that_qiskit_gives_them() -> None:
    phi = ParameterVector("phi", 2)
    rows = np.random.default_rng(1).uniform(-3, 3, (5, 2))
    for expression in (
        2 * phi[0] - phi[1] / 3 + 0.5,
        phi[0] * phi[1],
        phi[0].sin() + phi[1] ** 2,
        -phi[1],
        2 * phi[0].sign() + phi[1],  # of which Qiskit has no derivative
    ):
        used = ramsey(expression, 1)
        chosen = rows[:, [phi[:].index(parameter) for parameter in used.parameters]]
        theirs = [float(used.assign_parameters(row).data[2].params[0]) for row in chosen]
        np.testing.assert_allclose(columns(used, chosen)[1][:, 0], theirs, rtol=1e-15, atol=1e-15)


def test_a_parameter_that_only_turns_the_global_phase_needs_a_value_and_no_column() -> None:
    circuit = ramsey(0.5, 1)
    circuit.global_phase = THETA
    found, values = columns(circuit, [[0.1], [0.2]])
    assert found.num_bindings == len(values) == 2
    assert found.bindings is not None
    assert not len(found.bindings.positions)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (None, "parameters tau, theta have no values; give parameter_values"),
        ([[1.0]], "do not fit its parameters tau, theta|have 1 columns for 2 parameters"),
        ({"theta": [1.0]}, "do not fit its parameters tau, theta"),
        ({"theta": [1.0], "other": [2.0]}, "do not fit its parameters tau, theta"),
        ("nonsense", "do not fit its parameters tau, theta"),
        (np.zeros((0, 2)), "hold no row"),
        ([[1.0, math.nan]], "hold a value that is not a finite number"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: Any, reason: str) -> None:
    found = refusal(ramsey(), values)
    assert found.startswith("circuit 0 ('ramsey')")
    assert any(part in found for part in reason.split("|"))


def test_an_expression_without_a_finite_value_is_refused_with_the_row() -> None:
    assert "is inf for" in (found := refusal(ramsey(1 / THETA, 1), [[1.0], [0.0]])) or "has no value for" in found
    assert "theta = 0" in found
    assert "log(theta)" in refusal(ramsey(THETA.log(), 1), [[-1.0]])


def test_values_for_a_circuit_without_parameters_are_refused() -> None:
    assert "has no parameters, but parameter_values are given" in refusal(ramsey(0.1, 1), [[1.0]])


def test_headers_of_bindings_travel_once() -> None:
    sent = JobHeader(circuits=encoded(ramsey(), np.ones((1000, 2))).headers, memory=False)
    data = write_header(sent)
    assert len(data) < 1000
    assert read_header(data, num_programs=1000) == sent
    assert read_header(data, num_programs=999).circuits[0].fields["name"] == "circuit-0"
