"""Qiskit circuits become columns, or are refused by name with everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Clbit, Gate, Parameter, QuantumRegister
from qiskit.circuit import Instruction as QiskitInstruction
from qiskit.circuit.classical import expr
from qiskit.circuit.library import UnitaryGate

from qubitd.client import BackendInfo, Limits
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import Instruction, instructions
from qubitd.core.errors import Problem
from qubitd.provider.encode import Encoded, Encoder, listed
from qubitd.provider.target import build_target
from qubitd.wire.backends import backend_info

LIMITS = Limits(max_shots=100_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26)


def describe(device: str = "line5") -> BackendInfo:
    file = load_device(device)
    return backend_info(
        file.device, file.snapshot(), limits=LIMITS, operational=True, simulated=True, server_version="1.2.3"
    )


LINE5 = describe()


def encode(*circuits: QuantumCircuit) -> Encoded:
    encoder = Encoder(LINE5)
    encoded = encoder.encode(circuits)
    assert encoder.problems == []
    return encoded


def written(circuit: QuantumCircuit) -> list[Instruction]:
    encoded = encode(circuit)
    return list(instructions(encoded.batch.circuits[0], encoded.batch.operations))


def problems(*circuits: QuantumCircuit) -> list[Problem]:
    encoder = Encoder(LINE5)
    encoder.encode(circuits)
    return encoder.problems


def only(circuit: QuantumCircuit) -> str:
    (problem,) = problems(circuit)
    return str(problem)


def circuit_of(build: Callable[[QuantumCircuit], Any], qubits: int = 3, name: str = "c") -> QuantumCircuit:
    circuit = QuantumCircuit(qubits, 2, name=name)
    build(circuit)
    return circuit


def test_every_native_operation_is_written_out_as_it_was_meant() -> None:
    def build(circuit: QuantumCircuit) -> None:
        circuit.rz(0.25, 2)
        circuit.sx(0)
        circuit.x(1)
        circuit.id(0)
        circuit.cz(1, 0)
        circuit.barrier(0, 2)
        circuit.reset(1)
        circuit.measure(2, 1)

    assert written(circuit_of(build)) == [
        Instruction(name="rz", qubits=(2,), params=(0.25,), clbits=()),
        Instruction(name="sx", qubits=(0,), params=(), clbits=()),
        Instruction(name="x", qubits=(1,), params=(), clbits=()),
        Instruction(name="id", qubits=(0,), params=(), clbits=()),
        Instruction(name="cz", qubits=(1, 0), params=(), clbits=()),
        Instruction(name="barrier", qubits=(0, 2), params=(), clbits=()),
        Instruction(name="reset", qubits=(1,), params=(), clbits=()),
        Instruction(name="measure", qubits=(2,), params=(), clbits=(1,)),
    ]


@pytest.mark.parametrize(
    ("duration", "unit", "seconds"),
    [(100, "dt", 1e-7), (1, "s", 1.0), (3, "ms", 3e-3), (4.5, "us", 4.5e-6), (7, "ns", 7e-9), (500, "ps", 5e-10)],
)
def test_a_delay_is_seconds_whatever_its_unit(duration: float, unit: str, seconds: float) -> None:
    (delay,) = written(circuit_of(lambda c: c.delay(duration, 0, unit=unit)))
    assert delay.params[0] == pytest.approx(seconds, rel=1e-15)


def test_what_transpile_makes_can_be_encoded_and_the_daemon_takes_it() -> None:
    circuit = QuantumCircuit(5)
    circuit.h(0)
    for qubit in range(4):
        circuit.ccx(qubit, (qubit + 1) % 5, (qubit + 2) % 5)
        circuit.u(0.1, 0.2, 0.3, qubit)
    circuit.measure_all()
    native = transpile(circuit, target=build_target(LINE5), optimization_level=2, seed_transpiler=1)
    device = load_device("line5")
    compile_circuits(device.device, device.snapshot(), encode(native).batch)


def test_circuits_share_one_table_of_operations() -> None:
    first, second = (circuit_of(lambda c: (c.sx(0), c.cz(0, 1), c.measure(0, 0))) for _ in range(2))
    batch = encode(first, second).batch
    assert [row.name for row in batch.operations] == ["sx", "cz", "measure"]
    assert [list(circuit.opcodes) for circuit in batch.circuits] == [[0, 1, 2]] * 2


def test_a_bound_expression_is_a_number() -> None:
    angle = Parameter("a")
    circuit = circuit_of(lambda c: c.rz(2 * angle, 0)).assign_parameters({angle: 0.3})
    assert written(circuit)[0].params == (0.6,)


def test_a_circuit_that_measures_nothing_says_so_in_its_header() -> None:
    assert [h.measures for h in encode(QuantumCircuit(1), circuit_of(lambda c: c.measure(0, 0))).headers] == [
        False,
        True,
    ]


def test_a_gate_that_the_target_lacks_is_refused_by_name() -> None:
    assert only(circuit_of(lambda c: (c.sx(0), c.ccx(0, 1, 2)), name="toffoli")) == (
        "circuit 0 ('toffoli'), operation 1 (ccx on q0, q1, q2): line5 has no such gate "
        "(it has cz, delay, id, measure, reset, rz, sx, sy, x); "
        "transpile the circuit first: transpile(circuit, backend)"
    )


def test_a_matrix_is_refused_by_name() -> None:
    assert "unitary on q0): line5 has no such gate" in only(circuit_of(lambda c: c.append(UnitaryGate(np.eye(2)), [0])))


def test_an_uncoupled_pair_is_refused_with_the_couplers() -> None:
    text = only(circuit_of(lambda c: c.cz(0, 2)))
    assert "(cz on q0, q2): qubits 0 and 2 are not coupled (the couplers are 0-1, 1-2, 2-3, 3-4)" in text


def test_an_unbound_parameter_is_refused_by_name() -> None:
    circuit = circuit_of(lambda c: (c.rz(Parameter("theta"), 0), c.delay(Parameter("tau"), 0, unit="s")))
    assert only(circuit) == (
        "circuit 0 ('c'): parameters tau, theta have no values; "
        "give parameter_values, or bind with circuit.assign_parameters"
    )


@pytest.mark.parametrize("angle", [math.nan, math.inf, -math.inf])
def test_an_angle_that_is_not_finite_is_refused(angle: float) -> None:
    circuit = circuit_of(lambda c: (c.rz(0.1, 0), c.rz(angle, 1)))
    assert only(circuit) == f"circuit 0 ('c'), operation 1 (rz on q1): parameter is {angle}; give a finite number"


def test_a_parameter_that_is_no_number_is_refused() -> None:
    circuit = circuit_of(lambda c: c.append(QiskitInstruction("rz", 1, 0, ["x"]), [0]))
    assert only(circuit).endswith("operation 0 (rz on q0): parameter is x; give a finite number")


def test_a_delay_that_is_no_time_is_refused() -> None:
    text = only(circuit_of(lambda c: c.delay(math.nan, 0, unit="ns")))
    assert text.endswith("operation 0 (delay on q0): parameter is nan; give a finite number")


def test_a_delay_that_is_a_nanosecond_too_long_does_not_read_like_the_longest() -> None:
    text = only(circuit_of(lambda c: c.delay(1_000_000_001, 0, unit="ns")))
    assert text.endswith("a delay of 1.000000001 s is above 1 s, the most; was it meant in another unit?")


def test_an_overlong_delay_is_refused_with_the_limit_wherever_it_stands() -> None:
    what = "a delay of 1.5 s is above 1 s, the most; was it meant in another unit?"
    assert only(circuit_of(lambda c: (c.x(0), c.delay(1500, 0, unit="ms")), name="late")) == (
        f"circuit 0 ('late'), operation 1 (delay on q0): {what}"
    )
    wait = Parameter("tau")
    bound = circuit_of(lambda c: c.delay(3 * wait, 0, unit="s")).assign_parameters({wait: 0.5})
    assert only(bound).endswith(f"operation 0 (delay on q0): {what}")
    looped = QuantumCircuit(1)
    with looped.for_loop(range(3)):
        looped.delay(1.5, 0, unit="s")
    assert only(looped).endswith(f"operation 0 (for_loop on q0): {what}")
    assert only(circuit_of(lambda c: c.delay(1_500_000_000, 0, unit="dt"))).endswith(what)


def test_a_stretch_is_refused() -> None:
    circuit = QuantumCircuit(1)
    circuit.delay(circuit.add_stretch("s"), 0)
    assert only(circuit).endswith(
        "operation 0 (delay on q0): is as long as a stretch or an expression says, which line5 does not work out; "
        "give a number and a unit"
    )


def test_a_circuit_that_is_too_wide_is_refused_with_both_numbers() -> None:
    found = problems(circuit_of(lambda c: c.x(6), qubits=7))
    assert str(found[0]) == ("circuit 0 ('c'): has 7 qubits and line5 5; leave out those that are idle")
    assert found[1].what == "qubit 6 is not on line5, which has qubits 0 to 4"
    assert (found[1].circuit, found[1].operation) == (0, 0)


def test_a_real_time_variable_is_refused_by_name() -> None:
    circuit = QuantumCircuit(1)
    circuit.add_var("v", expr.lift(True))
    assert "operation 0 (store): line5 has no real-time variables" in only(circuit)


def test_a_gate_with_another_number_of_qubits_or_angles_is_refused() -> None:
    assert "acts on 2 qubits; sx of line5 acts on 1" in only(circuit_of(lambda c: c.append(Gate("sx", 2, []), [0, 1])))
    assert "has 2 parameters; rz of line5 takes 1" in only(circuit_of(lambda c: c.append(Gate("rz", 1, [1.0, 2]), [0])))


def test_a_gate_that_is_not_calibrated_on_a_qubit_is_refused_with_where_it_is() -> None:
    info = replace(LINE5, operations=tuple(o for o in LINE5.operations if (o.name, o.operands) != ("sx", (1,))))
    encoder = Encoder(info)
    encoder.encode([circuit_of(lambda c: c.sx(1))])
    (problem,) = encoder.problems
    assert "sx is not calibrated there at revision 1 (it is on 0, 2, 3, 4)" in problem.what


def test_everything_wrong_in_every_circuit_is_reported_at_once() -> None:
    first = circuit_of(lambda c: (c.h(0), c.cz(0, 2), c.rz(math.nan, 0)))
    found = problems(first, circuit_of(lambda c: c.sx(0)), circuit_of(lambda c: c.swap(0, 1)))
    assert [(problem.circuit, problem.operation) for problem in found] == [(0, 0), (0, 1), (0, 2), (2, 0)]


def test_a_flood_of_problems_is_counted() -> None:
    many = circuit_of(lambda c: [c.h(0) for _ in range(100)])
    for circuits, listing, more in ((1, 20, "80 more problems"), (2, 20, "180 more problems"), (10, 20, "980 more")):
        encoder = Encoder(LINE5)
        encoder.encode([many] * circuits)
        assert len({problem.circuit for problem in encoder.problems}) == circuits
        found = listed(encoder.problems, encoder.unlisted)
        assert len(found) == listing + 1
        assert more in found[-1].what
    assert listed(problems(many)[:20]) == problems(many)
    assert listed(problems(many), 1)[-1].what == "1 more problem"


def test_loose_bits_and_registers_are_numbered_like_the_circuit() -> None:
    circuit = QuantumCircuit(QuantumRegister(1, "a"), QuantumRegister(2, "b"), [Clbit()])
    circuit.x(2)
    circuit.measure(2, 0)
    assert [row.qubits for row in written(circuit)] == [(2,), (2,)]


def test_qubits_that_stand_in_another_order_are_numbered_as_in_each_circuit() -> None:
    a, b = QuantumRegister(1, "a"), QuantumRegister(1, "b")
    circuits = [QuantumCircuit(*order) for order in ((a, b), (a, b), (b, a), (a, b))]
    for circuit in circuits:
        circuit.x(a[0])
    batch = encode(*circuits).batch
    assert [circuit.qubits.tolist() for circuit in batch.circuits] == [[0], [0], [1], [0]]


def test_a_gate_with_another_number_of_angles_is_refused_beside_one_that_is_not() -> None:
    circuit = circuit_of(lambda c: (c.rz(1.0, 0), c.append(Gate("rz", 1, [1.0, 2]), [0]), c.rz(1.0, 0)))
    assert only(circuit).startswith("circuit 0 ('c'), operation 1 (rz on q0): has 2 parameters")
