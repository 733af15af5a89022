"""Circuits as columns: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, Instruction, Operation, instructions, offsets, pack
from qubitd.core.control import Condition
from qubitd.core.errors import InvalidCircuitError


def bell(name: str) -> CircuitBuilder:
    builder = CircuitBuilder(name=name, num_qubits=2, num_clbits=2)
    builder.add("rz", 0, params=(1.5,)).add("sx", 0).add("cz", 1, 0).add("barrier", 0, 1)
    return builder.delay(1, 20e-9).measure(0, 1).measure(1, 0)


def test_columns_give_back_the_operations() -> None:
    batch = pack([bell("a"), bell("b")])
    written = list(instructions(batch.circuits[1], batch.operations))
    assert written == list(bell("b"))
    assert written[2] == Instruction(name="cz", qubits=(1, 0), params=(), clbits=())
    assert written[5] == Instruction(name="measure", qubits=(0,), params=(), clbits=(1,))


def test_circuits_of_a_batch_share_one_table() -> None:
    batch = pack([bell("a"), CircuitBuilder(name="b", num_qubits=3, num_clbits=0).add("barrier", 0, 1, 2)])
    barriers = [row for row in batch.operations if row.name == "barrier"]
    assert [row.num_qubits for row in barriers] == [2, 3]
    assert len(batch.operations) == 7
    assert batch.operations[0] == Operation(name="rz", num_qubits=1, num_params=1, num_clbits=0)


def test_offsets_say_where_operands_start() -> None:
    batch = pack([bell("a")])
    start = offsets(batch.circuits[0], batch.operations)
    assert start.qubits.tolist() == [0, 1, 2, 4, 6, 7, 8, 9]
    assert start.params.tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    assert start.clbits.tolist() == [0, 0, 0, 0, 0, 0, 1, 2]
    assert len(batch.circuits[0]) == 7


def test_an_empty_circuit_has_empty_columns() -> None:
    batch = pack([CircuitBuilder(name="nothing", num_qubits=1, num_clbits=0)])
    assert len(batch.circuits[0]) == 0
    assert offsets(batch.circuits[0], batch.operations).qubits.tolist() == [0]
    assert batch.circuits[0].opcodes.dtype == np.uint16


def test_the_circuits_of_a_batch_are_views_of_its_columns() -> None:
    batch = pack([bell(name) for name in "abc"])
    first, last = batch.circuits[0], batch.circuits[-1]
    assert [circuit.name for circuit in batch.circuits] == ["a", "b", "c"]
    assert batch.circuits[2] is last
    assert batch.circuits[::2] == (first, last)
    assert np.shares_memory(last.qubits, batch.columns.qubits)
    with pytest.raises(IndexError):
        batch.circuits[3]


def test_what_only_some_circuits_have_stays_theirs() -> None:
    condition = Condition(clbits=(0,), truth=0b10, text="c0")
    looking = bell("looking").if_(condition).add("sx", 0).end()
    bound = CircuitBuilder(name="bound", num_qubits=1, num_clbits=0).bind(np.zeros((3, 1)))
    batch = pack([bell("plain"), looking, bound])
    assert [circuit.conditions for circuit in batch.circuits] == [(), (condition,), ()]
    assert [len(circuit.controls) for circuit in batch.circuits] == [0, 1, 0]
    assert [circuit.num_bindings for circuit in batch.circuits] == batch.columns.num_bindings.tolist() == [1, 1, 3]
    assert batch.num_bindings == 5


@pytest.mark.parametrize("qubit", [-1, 2**16])
def test_an_operand_outside_its_column_is_refused_with_the_circuit(qubit: int) -> None:
    bad = CircuitBuilder(name="bad", num_qubits=2, num_clbits=0).add("sx", qubit)
    with pytest.raises(InvalidCircuitError, match=r"circuit 1 \('bad'\): an operand does not fit") as refused:
        pack([bell("good"), bad])
    assert refused.value.problems[0].circuit == 1
