"""Circuits <-> messages. Columns that arrive are not trusted: lengths, ranges and numbers are checked before use.

The checks are those that need no device: whether a gate exists, and on which qubits, is the compiler's question.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.circuit import Circuit, CircuitBatch, Offsets, Operation
from qubitd.core.control import CONTROL_ARITY, control_counts
from qubitd.core.errors import Problem
from qubitd.v1 import circuits_pb2
from qubitd.wire.bindings import decode_bindings, encode_bindings
from qubitd.wire.control import check_row, control_problems, decode_conditions, encode_conditions
from qubitd.wire.errors import MalformedMessageError, clip
from qubitd.wire.parsing import check_count, check_text, column, pack_column, refuse_if_any

MAX_TABLE_ROWS = 4_096
MAX_OPERATION_NAME = 64
MAX_OPERANDS = 65_536
MAX_CIRCUIT_NAME = 256
MAX_CIRCUITS = 10_000
MAX_QUBITS = 65_536
MAX_CLBITS = 65_536
MAX_LENGTH = 1_000_000
MAX_ENTRIES = 4_000_000

UINT16 = np.dtype("<u2")
UINT32 = np.dtype("<u4")
FLOAT64 = np.dtype("<f8")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Table:
    """The table of operations with its arities as arrays, made once for all circuits of a batch."""

    rows: tuple[Operation, ...]
    qubits: NDArray[np.int64]
    params: NDArray[np.int64]
    clbits: NDArray[np.int64]
    controls: NDArray[np.int64]
    has_control: bool

    @classmethod
    def of(cls, rows: tuple[Operation, ...]) -> _Table:
        return cls(
            rows=rows,
            qubits=np.array([row.num_qubits for row in rows], dtype=np.int64),
            params=np.array([row.num_params for row in rows], dtype=np.int64),
            clbits=np.array([row.num_clbits for row in rows], dtype=np.int64),
            controls=control_counts([row.name for row in rows]),
            has_control=any(row.name in CONTROL_ARITY for row in rows),
        )

    def offsets(self, opcodes: NDArray[np.uint16]) -> Offsets:
        return Offsets(
            qubits=_starts(self.qubits[opcodes]),
            params=_starts(self.params[opcodes]),
            clbits=_starts(self.clbits[opcodes]),
            controls=_starts(self.controls[opcodes]),
        )


def encode_batch(batch: CircuitBatch) -> circuits_pb2.CircuitBatch:
    """Give the message of a batch."""
    return circuits_pb2.CircuitBatch(
        operations=[
            circuits_pb2.Operation(
                name=o.name, num_qubits=o.num_qubits, num_params=o.num_params, num_clbits=o.num_clbits
            )
            for o in batch.operations
        ],
        circuits=[_encode_circuit(circuit) for circuit in batch.circuits],
    )


def decode_batch(message: circuits_pb2.CircuitBatch) -> CircuitBatch:
    """Read and check a batch.

    Raises:
        MalformedMessageError: with everything that was found wrong.
    """
    check_count(len(message.operations), where="number of operations in the table", most=MAX_TABLE_ROWS)
    check_count(len(message.circuits), where="number of circuits", least=1, most=MAX_CIRCUITS)
    table = _Table.of(tuple(_decode_operation(row, index) for index, row in enumerate(message.operations)))
    circuits: list[Circuit] = []
    problems: list[Problem] = []
    for index, circuit in enumerate(message.circuits):
        try:
            circuits.append(_decode_circuit(circuit, index, table))
        except MalformedMessageError as error:
            problems += (_in_circuit(problem, circuit.name, index) for problem in error.problems)
    refuse_if_any(problems)
    return CircuitBatch(operations=table.rows, circuits=tuple(circuits))


def _encode_circuit(circuit: Circuit) -> circuits_pb2.Circuit:
    return circuits_pb2.Circuit(
        name=clip(circuit.name, MAX_CIRCUIT_NAME),
        num_qubits=circuit.num_qubits,
        num_clbits=circuit.num_clbits,
        opcodes=pack_column(circuit.opcodes, UINT16),
        qubits=pack_column(circuit.qubits, UINT16),
        params=pack_column(circuit.params, FLOAT64),
        clbits=pack_column(circuit.clbits, UINT32),
        controls=pack_column(circuit.controls, UINT32),
        conditions=encode_conditions(circuit.conditions),
        bindings=None if circuit.bindings is None else encode_bindings(circuit.bindings),
    )


def _decode_operation(message: circuits_pb2.Operation, index: int) -> Operation:
    where = f"row {index} of the table of operations"
    row = Operation(
        name=check_text(message.name, where=f"{where}, name", least=1, most=MAX_OPERATION_NAME),
        num_qubits=check_count(message.num_qubits, where=f"{where}, num_qubits", most=MAX_OPERANDS),
        num_params=check_count(message.num_params, where=f"{where}, num_params", most=MAX_OPERANDS),
        num_clbits=check_count(message.num_clbits, where=f"{where}, num_clbits", most=MAX_OPERANDS),
    )
    return check_row(row, where)


def _decode_circuit(message: circuits_pb2.Circuit, index: int, table: _Table) -> Circuit:
    opcodes = column(message.opcodes, UINT16, where="opcodes")
    check_count(len(opcodes), where="number of operations", most=MAX_LENGTH)
    check_count(len(message.qubits) // UINT16.itemsize, where="entries of qubits", most=MAX_ENTRIES)
    check_count(len(message.params) // FLOAT64.itemsize, where="entries of params", most=MAX_ENTRIES)
    check_count(len(message.clbits) // UINT32.itemsize, where="entries of clbits", most=MAX_ENTRIES)
    if len(opcodes):
        check_count(int(opcodes.max()), where="largest opcode", most=len(table.rows) - 1)
    num_clbits = check_count(message.num_clbits, where="num_clbits", most=MAX_CLBITS)
    circuit = Circuit(
        name=check_text(message.name, where="name", most=MAX_CIRCUIT_NAME),
        num_qubits=check_count(message.num_qubits, where="num_qubits", most=MAX_QUBITS),
        num_clbits=num_clbits,
        opcodes=opcodes,
        qubits=column(message.qubits, UINT16, where="qubits"),
        params=column(message.params, FLOAT64, where="params"),
        clbits=column(message.clbits, UINT32, where="clbits"),
        controls=column(message.controls, UINT32, where="controls"),
        conditions=decode_conditions(message.conditions, num_clbits=num_clbits),
        bindings=decode_bindings(message.bindings) if message.HasField("bindings") else None,
    )
    start = table.offsets(opcodes)
    refuse_if_any(list(_length_problems(circuit, start)))
    refuse_if_any(list(_value_problems(circuit, start, index, table)))
    if table.has_control:
        refuse_if_any(list(control_problems(circuit, table.rows, index)))
    return circuit


def _length_problems(circuit: Circuit, start: Offsets) -> Iterator[Problem]:
    columns = (
        ("qubits", circuit.qubits, start.qubits),
        ("params", circuit.params, start.params),
        ("clbits", circuit.clbits, start.clbits),
        ("controls", circuit.controls, start.controls),
    )
    for name, values, starts in columns:
        if len(values) != starts[-1]:
            what = f"holds {len(values)} entries; the opcodes and the table of operations ask for {starts[-1]}"
            yield Problem(where=name, what=what)
    bindings = circuit.bindings
    if bindings is not None and len(bindings.positions) and bindings.positions[-1] >= len(circuit.params):
        what = (
            f"position {bindings.positions[-1]} of a circuit with {len(circuit.params)} parameters; they count from 0"
        )
        yield Problem(where="bindings", what=what)


def _value_problems(circuit: Circuit, start: Offsets, index: int, table: _Table) -> Iterator[Problem]:
    def problem(operation: int, what: str) -> Problem:
        name = table.rows[int(circuit.opcodes[operation])].name
        return Problem(where=f"operation {operation} ({name})", what=what, circuit=index, operation=operation)

    for i in _first(circuit.qubits >= circuit.num_qubits):
        what = f"qubit {circuit.qubits[i]} of a circuit on {circuit.num_qubits} qubits; they count from 0"
        yield problem(_owner(start.qubits, i), what)
    for i in _first(circuit.clbits >= circuit.num_clbits):
        what = f"classical bit {circuit.clbits[i]} of a circuit with {circuit.num_clbits}; they count from 0"
        yield problem(_owner(start.clbits, i), what)
    for i in _first(~np.isfinite(circuit.params)):
        yield problem(_owner(start.params, i), f"parameter is {circuit.params[i]}; give a finite number")
    for operation, qubit in _repeated_qubits(circuit, start):
        yield problem(operation, f"acts on qubit {qubit} twice")


def _repeated_qubits(circuit: Circuit, start: Offsets) -> Iterator[tuple[int, int]]:
    """Sort the operands within each operation, all at once, and compare neighbours."""
    owners = np.repeat(np.arange(len(circuit)), np.diff(start.qubits))
    keys = np.sort(owners * MAX_QUBITS + circuit.qubits)
    for i in _first(keys[1:] == keys[:-1]):
        yield divmod(int(keys[i]), MAX_QUBITS)


def _first(wrong: NDArray[np.bool_]) -> list[int]:
    """The first places that are wrong: hundreds of the same kind help nobody."""
    return [int(i) for i in np.flatnonzero(wrong)[:5]]


def _owner(starts: NDArray[np.int64], entry: int) -> int:
    """The operation to which an entry of a flat column belongs."""
    return int(np.searchsorted(starts, entry, side="right")) - 1


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))


def _in_circuit(problem: Problem, name: str, index: int) -> Problem:
    where = f"circuit {index} ({clip(name, MAX_CIRCUIT_NAME)!r}), {problem.where}"
    return Problem(where=where, what=problem.what, circuit=index, operation=problem.operation)
