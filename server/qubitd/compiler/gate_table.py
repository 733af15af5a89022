"""Rows for the gates that a job plays: one per (gate, operands), found for whole columns at once.

Row 0 stands for what plays nothing and has no length of its own: barrier, delay, and the passive reset before a shot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.columns import Columns, Ints

NO_GATE = 0
"""The row of barrier, delay and reset."""
NOT_GATES = ("barrier", "delay", "reset")

_DENSE = 2**20
"""Most keys that are told apart by a table instead of by sorting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateKey:
    """A gate on its operands, in the order that the circuit gives."""

    name: str
    operands: tuple[int, ...]


class GateTable:
    """Grows with each block of a job; a row once given stays."""

    def __init__(self) -> None:
        self._rows: dict[GateKey, int] = {}

    @property
    def keys(self) -> tuple[GateKey, ...]:
        """What rows 1, 2, ... stand for."""
        return tuple(self._rows)

    def rows_of(self, columns: Columns) -> Ints:
        """Give the row of each operation, and new rows to gates that have none."""
        ops = gate_operations(columns)
        rows = np.full(len(columns), NO_GATE, dtype=np.int64)
        first, inverse = distinct_gates(columns, ops)
        known = [self._row(gate_key(columns, op)) for op in first]
        rows[ops] = np.array(known, dtype=np.int64)[inverse] if known else NO_GATE
        return rows

    def _row(self, key: GateKey) -> int:
        return self._rows.setdefault(key, len(self._rows) + 1)


def gate_operations(columns: Columns) -> Ints:
    """Find the operations that are gates."""
    is_gate = np.array([row.name not in NOT_GATES for row in columns.operations], dtype=bool)
    return np.flatnonzero(is_gate[columns.opcode]) if len(columns) else np.zeros(0, dtype=np.int64)


def gate_key(columns: Columns, op: int) -> GateKey:
    """Write out which gate an operation is, and on what."""
    begin, end = columns.qubit_start[op], columns.qubit_start[op + 1]
    name = columns.operations[int(columns.opcode[op])].name
    return GateKey(name=name, operands=tuple(int(q) for q in columns.qubits[begin:end]))


def distinct_gates(columns: Columns, ops: Ints) -> tuple[Ints, Ints]:
    """Tell gates apart by name and operands.

    Args:
        columns: qubits within the device.
        ops: the operations to look at.

    Returns:
        An operation of each kind, and for each of `ops` the index of its kind.
    """
    arity = np.diff(columns.qubit_start)[ops]
    key = columns.opcode[ops]
    size = len(columns.operations)
    for position in range(int(arity.max(initial=0))):
        has = arity > position
        at = np.where(has, columns.qubit_start[ops] + position, 0)
        key = key * columns.num_qubits + np.where(has, columns.qubits[at], 0)
        size *= columns.num_qubits
    if size > _DENSE:
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return ops[first], inverse
    example = np.full(size, -1, dtype=np.int64)
    example[key[::-1]] = ops[::-1]
    kinds = np.flatnonzero(example >= 0)
    index = np.zeros(size, dtype=np.int64)
    index[kinds] = np.arange(len(kinds))
    return example[kinds], index[key]


def mask_of(columns: Columns, *names: str) -> NDArray[np.bool_]:
    """Find the operations with one of these names."""
    named = np.array([row.name in names for row in columns.operations], dtype=bool)
    return named[columns.opcode] if len(columns) else np.zeros(0, dtype=bool)
