"""Control flow <-> messages. What arrives is checked: blocks are balanced, conditions exist, loops stay bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qubitd.core.circuit import Circuit, Operation, brackets_of
from qubitd.core.control import CONTROL_ARITY, MAX_CONDITION_BITS, Condition, bracket_problems, condition_problem
from qubitd.core.errors import Problem
from qubitd.v1 import circuits_pb2
from qubitd.wire.errors import clip, malformed
from qubitd.wire.parsing import check_count, check_text

MAX_CONDITIONS = 65_536
MAX_CONDITION_TEXT = 256


def encode_conditions(conditions: Sequence[Condition]) -> list[circuits_pb2.Condition]:
    """Give the messages of a circuit's conditions."""
    return [
        circuits_pb2.Condition(
            clbits=condition.clbits,
            truth=condition.truth.to_bytes(_truth_bytes(len(condition.clbits)), "little"),
            text=clip(condition.text, MAX_CONDITION_TEXT),
        )
        for condition in conditions
    ]


def decode_conditions(messages: Sequence[circuits_pb2.Condition], *, num_clbits: int) -> tuple[Condition, ...]:
    """Read and check the conditions of a circuit.

    Raises:
        MalformedMessageError: one is too large, or reads bits that do not exist.
    """
    check_count(len(messages), where="number of conditions", most=MAX_CONDITIONS)
    return tuple(_decode_condition(message, i, num_clbits) for i, message in enumerate(messages))


def check_row(row: Operation, where: str) -> Operation:
    """Give a row of the table of operations back.

    Raises:
        MalformedMessageError: it is a bracket with operands.
    """
    if row.name in CONTROL_ARITY and (row.num_qubits or row.num_params or row.num_clbits):
        raise malformed(where, f"`{row.name}` is a bracket of control flow; it has no qubits, parameters or bits")
    return row


def control_problems(circuit: Circuit, rows: Sequence[Operation], index: int) -> Iterator[Problem]:
    """Say what is wrong with the brackets of a circuit whose columns fit each other."""
    brackets = brackets_of(circuit, rows)
    found = bracket_problems(
        brackets, circuit.controls, num_conditions=len(circuit.conditions), num_operations=len(circuit)
    )
    for operation, what in found:
        where = f"operation {operation} ({rows[int(circuit.opcodes[operation])].name})"
        yield Problem(where=where, what=what, circuit=index, operation=operation)


def _decode_condition(message: circuits_pb2.Condition, index: int, num_clbits: int) -> Condition:
    where = f"condition {index}"
    count = check_count(len(message.clbits), where=f"{where}, number of bits", least=1, most=MAX_CONDITION_BITS)
    check_count(
        len(message.truth), where=f"{where}, bytes of its table", least=_truth_bytes(count), most=_truth_bytes(count)
    )
    condition = Condition(
        clbits=tuple(message.clbits),
        truth=int.from_bytes(message.truth, "little"),
        text=check_text(message.text, where=f"{where}, text", most=MAX_CONDITION_TEXT),
    )
    what = condition_problem(condition, num_clbits=num_clbits)
    if what is not None:
        raise malformed(where, what)
    return condition


def _truth_bytes(num_clbits: int) -> int:
    return -(-(1 << num_clbits) // 8)
