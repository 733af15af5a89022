"""Qiskit's control flow becomes brackets and truth tables; what cannot be run is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit, QuantumRegister
from qiskit.circuit.classical import expr, types

from qubitd.client import Limits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import instructions
from qubitd.core.control import Condition
from qubitd.core.errors import Problem
from qubitd.provider.conditions import evaluate
from qubitd.provider.encode import Encoder
from qubitd.provider.headers import JobHeader, read_header, write_header
from qubitd.provider.target import build_target
from qubitd.wire.backends import backend_info

LIMITS = Limits(max_shots=100_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26)
FILE = load_device("line5")
LINE5 = backend_info(FILE.device, FILE.snapshot(), limits=LIMITS, operational=True, simulated=True, server_version="1")


def blank(qubits: int = 2, clbits: int = 3) -> QuantumCircuit:
    return QuantumCircuit(QuantumRegister(qubits, "q"), ClassicalRegister(clbits, "c"), name="flow")


def encoded(circuit: QuantumCircuit, **options: Any) -> tuple[list[str], tuple[Condition, ...]]:
    """Operations as words, and the conditions."""
    encoder = Encoder(LINE5, **options)
    batch = encoder.encode([circuit]).batch
    assert encoder.problems == []
    return [_word(step) for step in instructions(batch.circuits[0], batch.operations)], batch.circuits[0].conditions


def _word(step: Any) -> str:
    parts = [step.name, *step.controls, *step.qubits, *(round(p, 3) for p in step.params)]
    return " ".join(map(str, parts)) + "".join(f" -> {clbit}" for clbit in step.clbits)


def refusal(circuit: QuantumCircuit) -> str:
    encoder = Encoder(LINE5)
    encoder.encode([circuit])
    (problem,) = encoder.problems
    return str(problem)


def test_if_and_else_part_a_block() -> None:
    circuit = blank()
    circuit.x(0)
    with circuit.if_test((circuit.clbits[1], True)) as otherwise:
        circuit.x(1)
        circuit.measure(1, 2)
    with otherwise:
        circuit.sx(1)
    steps, conditions = encoded(circuit)
    assert steps == ["x 0", "if 0", "x 1", "measure 1 -> 2", "else", "sx 1", "end"]
    assert conditions == (Condition(clbits=(1,), truth=0b10, text="c[1] == 1"),)


def test_a_register_is_compared_as_a_number() -> None:
    circuit = blank()
    with circuit.if_test((circuit.cregs[0], 5)):
        circuit.x(1)
    _, (condition,) = encoded(circuit)
    assert (condition.clbits, condition.truth) == ((0, 1, 2), 1 << 5)
    assert condition.text == "(c[0], c[1], c[2]) == (1, 0, 1)"


def test_a_switch_is_one_if_after_another() -> None:
    circuit = blank(clbits=1)
    with circuit.switch(circuit.cregs[0]) as case:
        with case(0):
            circuit.x(0)
        with case(case.DEFAULT):
            circuit.x(1)
    steps, conditions = encoded(circuit)
    assert steps == ["if 0", "x 0", "else", "x 1", "end"]
    assert conditions[0].truth == 0b01


def test_a_loop_is_repeated_on_the_controller_unless_its_index_is_an_angle() -> None:
    theta = Parameter("theta")
    circuit = blank()
    with circuit.for_loop(range(3)):
        circuit.x(0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.break_loop()
    with circuit.for_loop((1, 2), theta):
        circuit.rz(theta, 0)
    steps, _ = encoded(circuit)
    assert steps == ["for 3", "x 0", "if 0", "break", "end", "end", "rz 0 1.0", "rz 0 2.0"]


@pytest.mark.parametrize(
    ("leave", "expected"),
    [
        ("break_loop", ["for 1", *["rz 0 1.0", "if 0", "break", "end", "x 0"], *["rz 0 2.0", "if 0", "break", "end"]]),
        ("continue_loop", ["for 1", "rz 0 1.0", "if 0", "continue", "end", "x 0", "end", "for 1", "rz 0 2.0"]),
    ],
)
def test_a_loop_that_is_written_out_can_be_left(leave: str, expected: list[str]) -> None:
    theta = Parameter("theta")
    circuit = blank()
    with circuit.for_loop((1, 2), theta):
        circuit.rz(theta, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            getattr(circuit, leave)()
        circuit.x(0)
    steps, _ = encoded(circuit)
    assert steps[: len(expected)] == expected


def test_a_while_loop_takes_its_bound_from_the_job() -> None:
    circuit = blank()
    with circuit.while_loop((circuit.clbits[0], 0)):
        circuit.measure(0, 0)
    steps, _ = encoded(circuit, max_iterations=4)
    assert steps == ["while 0 4", "measure 0 -> 0", "end"]
    assert "(while_loop on q0): has no bound" in refusal(circuit)


def test_values_of_parameters_reach_into_blocks() -> None:
    theta = Parameter("theta")
    circuit = blank()
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rz(theta, 0)
    encoder = Encoder(LINE5)
    bindings = encoder.encode([circuit], [[[0.1], [0.2]]]).batch.circuits[0].bindings
    assert bindings is not None
    assert bindings.values.tolist() == [[0.1], [0.2]]


def expressions(c: ClassicalRegister) -> list[tuple[expr.Expr, Callable[[int], bool]]]:
    return [
        (expr.bit_and(c[0], c[1]), lambda v: v & 3 == 3),
        (expr.logic_or(c[0], expr.logic_not(c[2])), lambda v: bool(v & 1) or not v & 4),
        (expr.bit_xor(c[0], expr.bit_xor(c[1], c[2])), lambda v: v.bit_count() % 2 == 1),
        (expr.less(c, 3), lambda v: v < 3),
        (expr.greater_equal(c, 6), lambda v: v >= 6),
        (expr.not_equal(expr.bit_not(c), 7), lambda v: v != 0),
        (expr.equal(expr.bit_and(c, 5), 4), lambda v: v & 5 == 4),
        (expr.equal(expr.shift_right(c, 1), 2), lambda v: v >> 1 == 2),
        (expr.index(c, 2), lambda v: bool(v & 4)),
        (expr.cast(c, types.Bool()), lambda v: v != 0),
        (expr.equal(expr.shift_left(c, 1), 2), lambda v: (v << 1) & 7 == 2),
        (expr.equal(expr.add(c, 3), 1), lambda v: (v + 3) & 7 == 1),
        (expr.less(expr.sub(c, 2), 3), lambda v: (v - 2) & 7 < 3),
        (expr.equal(expr.mul(c, 3), 7), lambda v: (v * 3) & 7 == 7),
        (expr.equal(expr.div(c, 3), 1), lambda v: v // 3 == 1),
        (expr.less(expr.div(expr.cast(c, types.Float()), 4.0), 1.5), lambda v: v / 4 < 1.5),
        (expr.lift(True), lambda v: True),
        *(negations(c) if hasattr(expr, "negate") else ()),  # older Qiskit has none
    ]


def negations(c: ClassicalRegister) -> list[tuple[expr.Expr, Callable[[int], bool]]]:
    return [
        (expr.greater(expr.negate(expr.cast(c, types.Float())), -2.5), lambda v: -v > -2.5),
        (expr.less(expr.negate(expr.lift(0.5)), -0.75), lambda v: False),
    ]


@pytest.mark.parametrize("number", range(len(expressions(ClassicalRegister(3)))))
def test_an_expression_is_worked_out_for_every_value(number: int) -> None:
    circuit = blank()
    node, holds = expressions(circuit.cregs[0])[number]
    with circuit.if_test(node):
        circuit.x(0)
    _, (condition,) = encoded(circuit)
    for value in range(8):
        compact = sum((value >> clbit & 1) << j for j, clbit in enumerate(condition.clbits))
        assert condition.holds(compact) == holds(value)
        bits = {bit: value >> i & 1 for i, bit in enumerate(circuit.clbits)}
        assert bool(evaluate(node, bits.__getitem__)) == holds(value)


def test_what_cannot_be_run_is_refused_by_name() -> None:
    box = blank()
    with box.box():
        box.x(0)
    assert "(box on q0): `box` is not offered" in refusal(box)
    wide = blank(clbits=11)
    with wide.if_test((wide.cregs[0], 5)):
        wide.x(0)
    assert "its condition reads 11 classical bits; 1 to 10 are possible" in refusal(wide)
    by_zero = blank()
    with by_zero.if_test(expr.equal(expr.div(3, by_zero.cregs[0]), 1)):
        by_zero.x(0)
    assert "its condition divides by 0 for some values of its bits" in refusal(by_zero)
    variable = blank()
    value = variable.add_input("v", types.Bool())
    with variable.if_test(value):
        variable.x(0)
    assert "reads the real-time variable" in refusal(variable)
    theta = Parameter("theta")
    both = blank()
    with both.for_loop((1, 2), theta):
        both.rz(theta, 0)
        with both.if_test((both.clbits[0], 1)) as otherwise:
            both.break_loop()
        with otherwise:
            both.continue_loop()
    assert "both break and continue" in refusal(both)


def test_everything_wrong_in_and_beside_blocks_is_found_at_once() -> None:
    theta = Parameter("theta")
    circuit = blank(clbits=11)
    with circuit.box():
        circuit.h(0)
    with circuit.while_loop((circuit.clbits[0], 0)):
        circuit.t(1)
    with circuit.if_test((circuit.cregs[0], 5)):
        circuit.swap(0, 1)
    with circuit.for_loop((1, 2), theta):
        circuit.rz(theta, 0)
        circuit.s(0)
        with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
            circuit.break_loop()
        with otherwise:
            circuit.continue_loop()
    circuit.delay(5, 1, "s")
    with circuit.for_loop(range(10**15)):
        circuit.y(0)
    encoder = Encoder(LINE5)
    encoder.encode([circuit])
    found = [(problem.operation, problem.where.partition("(")[2].partition("(")[2]) for problem in encoder.problems]
    assert found == [
        (0, "box on q0)"),
        (0, "h on q0)"),
        (1, "while_loop on q1)"),
        (1, "t on q1)"),
        (2, "if_else on q0, q1)"),
        (2, "swap on q0, q1)"),
        (3, "for_loop on q0)"),
        (3, "s on q0)"),
        (4, "delay on q1)"),
        (5, "for_loop on q0)"),
        (5, "y on q0)"),
    ]


def test_a_problem_is_told_with_the_place_of_the_operation_in_the_users_circuit() -> None:
    theta = Parameter("theta")
    circuit = blank()
    circuit.x(0)
    with circuit.for_loop((1, 2, 3), theta):
        circuit.rz(theta, 0)
    with circuit.for_loop((), theta):
        circuit.rz(theta, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    circuit.sx(0)
    header = JobHeader(circuits=Encoder(LINE5).encode([circuit]).headers, memory=False)
    read = read_header(write_header(header), num_programs=1)
    sent = [Problem(where=f"circuit 0 ('flow'), operation {i} (a)", what="w", circuit=0, operation=i) for i in range(8)]
    whole = Problem(where="circuit 0 ('flow')", what="w", circuit=0)
    for told in (header.told([*sent, whole]), read.told([*sent, whole])):
        assert [problem.operation for problem in told] == [0, 1, 1, 1, 3, 3, 3, 4, None]
        assert told[6].where == "circuit 0 ('flow'), operation 3 (a)"


def test_a_gate_in_a_block_is_checked_like_any_other() -> None:
    circuit = blank()
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.h(0)
    assert "line5 has no such gate" in refusal(circuit)


@pytest.mark.parametrize("angle", [math.nan, math.inf])
def test_a_number_in_or_beside_a_block_that_is_not_finite_is_refused_with_its_place(angle: float) -> None:
    branch, beside = blank(), blank()
    with branch.if_test((branch.clbits[0], 1)):
        branch.rz(angle, 1)
    beside.rz(angle, 1)
    with beside.for_loop(range(3)):
        beside.x(0)
    what = f"parameter is {angle}; give a finite number"
    assert refusal(branch) == f"circuit 0 ('flow'), operation 0 (rz on q1): {what}"
    assert refusal(beside) == f"circuit 0 ('flow'), operation 0 (rz on q1): {what}"


@pytest.mark.parametrize(
    ("time", "what"), [(math.nan, "parameter is nan; give a finite number"), (math.inf, "a delay of inf s is above")]
)
def test_a_delay_in_a_block_that_is_no_time_is_refused_once(time: float, what: str) -> None:
    circuit = blank()
    with circuit.for_loop(range(3)):
        circuit.delay(time, 0, "ns")
    assert what in refusal(circuit)


def test_a_number_that_is_not_finite_is_refused_beside_parameters_that_wait_for_values() -> None:
    theta = Parameter("theta")
    circuit = blank()
    circuit.rz(math.nan, 1)
    circuit.rz(theta, 0)
    for rows in ([[0.1]], None):
        encoder = Encoder(LINE5)
        encoder.encode([circuit], [rows])
        assert "operation 0 (rz on q1): parameter is nan; give a finite number" in str(encoder.problems[-1])


def test_the_target_holds_control_flow_under_qiskits_names() -> None:
    names = {"if_else", "while_loop", "for_loop", "switch_case", "break_loop", "continue_loop"}
    assert names <= set(build_target(LINE5).operation_names)
