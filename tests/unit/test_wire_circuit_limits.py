"""Every limit of the circuit columns holds at its edge, and a refusal names table, circuit and operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.errors import Problem
from qubitd.v1 import circuits_pb2
from qubitd.wire import circuits
from qubitd.wire.circuits import decode_batch, encode_batch
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.steps import MAX_STEPS


def bell() -> circuits_pb2.CircuitBatch:
    """Five steps of one operation each, in the order of the circuit."""
    builder = CircuitBuilder(name="bell", num_qubits=2, num_clbits=2)
    builder.add("sx", 0).add("cz", 0, 1).add("rz", 1, params=[0.5]).measure(0, 0).measure(1, 1)
    return encode_batch(pack([builder]))


def hand_made(table: circuits_pb2.StepTable, **columns: Any) -> circuits_pb2.CircuitBatch:
    """One circuit on one qubit, or on as many as `num_qubits` says."""
    count = len(columns["steps"]) // columns.pop("width", 1)
    circuit = circuits_pb2.Circuit(num_qubits=columns.pop("num_qubits", 1), num_steps=count)
    content = table.SerializeToString()
    return circuits_pb2.CircuitBatch(circuits=[circuit], step_table=circuits_pb2.Table(content=content), **columns)


def change_table(batch: circuits_pb2.CircuitBatch, change: Callable[[circuits_pb2.StepTable], object]) -> None:
    table = circuits_pb2.StepTable.FromString(batch.step_table.content)
    change(table)
    batch.step_table.content = table.SerializeToString()


def problems_of(batch: circuits_pb2.CircuitBatch) -> tuple[Problem, ...]:
    with pytest.raises(MalformedMessageError) as caught:
        decode_batch(batch)
    return caught.value.problems


def uint16(*values: int) -> bytes:
    return np.array(values, dtype="<u2").tobytes()


def float64(*values: float) -> bytes:
    return np.array(values, dtype="<f8").tobytes()


def test_columns_are_little_endian() -> None:
    builder = CircuitBuilder(name="", num_qubits=300, num_clbits=70_000).add("u", 258, params=[1.0], clbits=[65_538])
    batch = encode_batch(pack([builder]))
    assert circuits_pb2.StepTable.FromString(batch.step_table.content).qubits == b"\x02\x01"
    assert batch.params == b"\x00\x00\x00\x00\x00\x00\xf0\x3f"
    assert batch.clbits == b"\x02\x00\x01\x00"


@pytest.mark.parametrize(("count", "width"), [(256, 1), (257, 2), (65_536, 2), (65_537, 4)])
def test_an_index_is_as_wide_as_the_number_of_its_values_asks_for(count: int, width: int) -> None:
    builder = CircuitBuilder(name="", num_qubits=1, num_clbits=count).measure(0, 0)
    assert len(encode_batch(pack([builder])).clbits) == width


def test_a_turn_and_the_pulse_after_it_take_one_index_of_one_byte() -> None:
    builder = CircuitBuilder(name="", num_qubits=2, num_clbits=0)
    for angle in range(100):
        builder.add("rz", angle % 2, params=[float(angle)]).add("sx", angle % 2)
    assert len(encode_batch(pack([builder])).steps) == 100


def test_a_turn_at_the_end_of_a_circuit_is_not_joined_to_the_next_circuit() -> None:
    turn = CircuitBuilder(name="", num_qubits=1, num_clbits=0).add("rz", 0, params=[1.0])
    pulse = CircuitBuilder(name="", num_qubits=1, num_clbits=0).add("sx", 0)
    decoded = decode_batch(encode_batch(pack([turn, pulse] * 40)))
    assert [len(circuit) for circuit in decoded.circuits] == [1] * 80


def test_values_that_occur_again_and_again_stand_in_a_table() -> None:
    builder = CircuitBuilder(name="", num_qubits=1, num_clbits=0)
    for i in range(1000):
        builder.add("rz", 0, params=[(-0.0, 0.0, 1e300)[i % 3]])
    batch = encode_batch(pack([builder]))
    assert (len(batch.params), len(batch.value_table.content)) == (1000, 24)
    (circuit,) = decode_batch(batch).circuits
    assert circuit.params[:3].tobytes() == float64(-0.0, 0.0, 1e300)


@pytest.mark.parametrize("count", [10, 100_000])
def test_values_that_all_differ_are_sent_as_they_are(count: int) -> None:
    builder = CircuitBuilder(name="", num_qubits=1, num_clbits=0)
    for i in range(count):
        builder.add("rz", 0, params=[i / count])
    batch = encode_batch(pack([builder]))
    assert (len(batch.params), batch.HasField("value_table")) == (8 * count, False)


def test_a_qubit_out_of_range_is_named_with_its_circuit_and_operation() -> None:
    batch = bell()
    change_table(batch, lambda table: setattr(table, "qubits", uint16(0, 0, 7, 1, 0, 1)))
    (problem,) = problems_of(batch)
    assert (problem.circuit, problem.operation) == (0, 1)
    assert str(problem) == ("circuit 0 ('bell'), operation 1 (cz): qubit 7 of a circuit on 2 qubits; they count from 0")


def test_a_repeated_qubit_is_named() -> None:
    batch = bell()
    change_table(batch, lambda table: setattr(table, "qubits", uint16(0, 1, 1, 1, 0, 1)))
    (problem,) = problems_of(batch)
    assert str(problem) == "step 1 of the table (cz): acts on qubit 1 twice"


@pytest.mark.parametrize("angle", [float("nan"), float("inf"), float("-inf")])
def test_an_angle_that_is_not_finite_is_named(angle: float) -> None:
    batch = bell()
    batch.params = float64(angle)
    (problem,) = problems_of(batch)
    assert problem.operation == 2
    assert f"parameter is {angle}" in problem.what
    batch.value_table.content = float64(0.5, angle)
    batch.params = b"\x00"
    assert str(problems_of(batch)[0]) == f"value_table, entry 1: is {angle}; give a finite number"


def test_a_classical_bit_out_of_range_is_named() -> None:
    batch = bell()
    batch.clbits = b"\x00\x02"
    assert problems_of(batch)[0].operation == 4


@pytest.mark.parametrize(
    ("field", "entry", "where"),
    [("steps", 1, "steps"), ("params", 8, "params"), ("clbits", 1, "clbits")],
)
def test_a_column_of_the_wrong_length_is_named(field: str, entry: int, where: str) -> None:
    batch = bell()
    setattr(batch, field, getattr(batch, field) + bytes(entry))
    (problem,) = problems_of(batch)
    assert problem.where == where
    assert problem.what.startswith("holds ")


def test_numbers_of_brackets_that_are_not_there_are_named() -> None:
    batch = bell()
    batch.circuits[0].controls = bytes(4)
    (problem,) = problems_of(batch)
    assert str(problem) == ("circuit 0 ('bell'), controls: holds 1 entries; the brackets of control flow ask for 0")


def set_rows(**columns: bytes) -> Callable[[circuits_pb2.StepTable], None]:
    def change(table: circuits_pb2.StepTable) -> None:
        for name, data in columns.items():
            setattr(table, name, data)

    return change


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"opcodes": b"\x00"}, "opcodes: has 1 bytes, which is no multiple of 2"),
        ({"opcodes": uint16(0, 1, 2, 3)}, "opcodes: holds 4 entries; its steps and operations ask for 5"),
        ({"opcodes": uint16(0, 1, 2, 3, 4)}, "largest opcode: is 4; the limits are 0 and 3"),
        ({"qubits": uint16(0, 0, 1, 1, 0)}, "qubits: holds 5 entries; its steps and operations ask for 6"),
        ({"lengths": b"\x01\x01\x01\x01\x00"}, "least length of a step: is 0"),
        ({"lengths": b"\x01\x01\x01\x01\x11"}, "largest length of a step: is 17; the limits are 1 and 16"),
        ({"lengths": b"\x01\x01\x01\x02", "qubits": b""}, "qubits: holds 0 entries"),
    ],
)
def test_a_table_whose_columns_do_not_fit_is_refused(columns: dict[str, bytes], what: str) -> None:
    batch = bell()
    change_table(batch, set_rows(**columns))
    assert what in str(problems_of(batch)[0])


def test_a_table_of_too_many_steps_is_refused() -> None:
    table = circuits_pb2.StepTable(lengths=bytes(MAX_STEPS + 1))
    assert "number of steps: is 1000001" in str(problems_of(hand_made(table, steps=b""))[0])


def test_an_index_beyond_its_table_is_refused() -> None:
    batch = bell()
    batch.steps = b"\x00\x01\x02\x03\x05"
    assert "largest index of a step: is 5; the limits are 0 and 4" in str(problems_of(batch)[0])
    batch = bell()
    batch.value_table.content = float64(0.5)
    batch.params = b"\x01"
    assert "largest index of a value: is 1; the limits are 0 and 0" in str(problems_of(batch)[0])


def test_a_table_of_too_many_values_is_refused() -> None:
    batch = bell()
    batch.value_table.content = bytes(8 * 65_537)
    assert "number of values in the table: is 65537; the limits are 0 and 65536" in str(problems_of(batch)[0])


def test_a_table_without_content_is_refused_where_nobody_can_fill_it_in() -> None:
    batch = bell()
    batch.step_table.ClearField("content")
    assert "step_table: has no content" in str(problems_of(batch)[0])


def four(*faulty: int) -> circuits_pb2.CircuitBatch:
    """Four times the same on two qubits, some of which are said to be on one."""
    builder = CircuitBuilder(name="bell", num_qubits=2, num_clbits=0).add("cz", 0, 1)
    batch = encode_batch(pack([builder] * 30))
    for index in faulty:
        batch.circuits[index].num_qubits = 1
    return batch


def test_all_faulty_circuits_are_reported_together() -> None:
    assert [problem.circuit for problem in problems_of(four(1, 3))] == [1, 3]


def test_a_flood_of_problems_is_counted() -> None:
    assert problems_of(four(*range(30)))[-1].what == "10 more problems"


def test_a_batch_without_circuits_is_refused() -> None:
    assert "number of circuits" in problems_of(circuits_pb2.CircuitBatch())[0].where


def test_an_operation_may_be_as_long_as_its_limit_and_no_longer() -> None:
    batch = bell()
    change_table(batch, lambda table: setattr(table.operations[0], "name", "g" * 64))
    decode_batch(batch)
    change_table(batch, lambda table: setattr(table.operations[0], "name", "g" * 65))
    assert problems_of(batch)[0].what == "takes 65 bytes; the limits are 1 and 64"


def pulses(count: int) -> circuits_pb2.StepTable:
    """One step that stands for so many operations on qubit 0."""
    operation = circuits_pb2.Operation(name="sx", num_qubits=1)
    return circuits_pb2.StepTable(
        operations=[operation], lengths=bytes([count]), opcodes=uint16(*[0] * count), qubits=uint16(*[0] * count)
    )


def test_a_circuit_may_have_a_million_operations_and_no_more() -> None:
    (circuit,) = decode_batch(hand_made(pulses(10), steps=bytes(100_000))).circuits
    assert len(circuit) == 1_000_000
    (problem,) = problems_of(hand_made(pulses(10), steps=bytes(100_001)))
    assert problem.where == "circuit 0 (''), number of operations"


def test_what_few_bytes_stand_for_is_bounded_before_it_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuits, "MAX_IN_ALL", 1_000)
    decode_batch(hand_made(pulses(10), steps=bytes(100)))
    (problem,) = problems_of(hand_made(pulses(10), steps=bytes(101)))
    assert str(problem) == "number of operations in all: is 1010; the limits are 0 and 1000"


def test_wide_operations_count_by_their_operands() -> None:
    barrier = circuits_pb2.Operation(name="barrier", num_qubits=65_536)
    table = circuits_pb2.StepTable(
        operations=[barrier], lengths=b"\x01", opcodes=uint16(0), qubits=np.arange(65_536, dtype="<u2").tobytes()
    )
    (problem,) = problems_of(hand_made(table, steps=bytes(257), num_qubits=65_536))
    assert str(problem) == "number of operands in all: is 16842752; the limits are 0 and 16777216"


def test_an_overlong_name_of_a_circuit_is_cut_on_the_way_out() -> None:
    circuit = encode_batch(pack([CircuitBuilder(name="ä" * 300, num_qubits=1, num_clbits=0)])).circuits[0]
    assert circuit.name.endswith("ä...")
    assert len(circuit.name.encode()) <= 256


def dynamic() -> circuits_pb2.CircuitBatch:
    condition = Condition(clbits=(0,), truth=0b10, text="c0")
    builder = CircuitBuilder(name="dynamic", num_qubits=1, num_clbits=1).measure(0, 0).if_(condition).add("x", 0).end()
    return encode_batch(pack([builder]))


def test_a_block_that_is_not_closed_is_named() -> None:
    batch = dynamic()
    batch.steps = batch.steps[:-1]
    batch.circuits[0].num_steps -= 1
    (problem,) = problems_of(batch)
    assert (problem.circuit, problem.operation) == (0, 1)
    assert problem.where == "circuit 0 ('dynamic'), operation 1 (if)"
    assert "still open" in problem.what


def test_a_bracket_has_no_operands() -> None:
    batch = dynamic()
    change_table(batch, lambda table: setattr(table.operations[3], "num_qubits", 1))
    (problem,) = problems_of(batch)
    assert "`end` is a bracket of control flow" in problem.what


def wire_condition(*clbits: int, truth: bytes = b"\x02", text: str = "") -> circuits_pb2.Condition:
    return circuits_pb2.Condition(clbits=clbits, truth=truth, text=text)


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        (wire_condition(), "number of bits: is 0"),
        (wire_condition(*range(11)), "number of bits: is 11"),
        (wire_condition(1), "reads classical bit 1 of 1"),
        (wire_condition(0, truth=b""), "bytes of its table: is 0"),
        (wire_condition(0, truth=bytes(2)), "bytes of its table: is 2"),
        (wire_condition(0, truth=b"\x04"), "does not fit 1 bits"),
        (wire_condition(0, text="x" * 257), "text: takes 257 bytes"),
    ],
)
def test_a_condition_outside_its_limits_is_named(condition: circuits_pb2.Condition, what: str) -> None:
    batch = dynamic()
    batch.circuits[0].conditions[0].CopyFrom(condition)
    (problem,) = problems_of(batch)
    assert what in str(problem)
