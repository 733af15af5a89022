"""Circuits as columns: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, Instruction, Operation, instructions, offsets, pack
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


@pytest.mark.parametrize("qubit", [-1, 2**16])
def test_an_operand_outside_its_column_is_refused_with_the_circuit(qubit: int) -> None:
    bad = CircuitBuilder(name="bad", num_qubits=2, num_clbits=0).add("sx", qubit)
    with pytest.raises(InvalidCircuitError, match=r"circuit 1 \('bad'\): an operand does not fit") as refused:
        pack([bell("good"), bad])
    assert refused.value.problems[0].circuit == 1
