"""Rows for the gates that a job plays: one per (gate, operands), found for whole columns at once.

Row 0 stands for what plays nothing and has no length of its own: barrier, delay, bracket, and the passive reset before
a shot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.columns import Columns, Ints
from qubitd.core.circuit import Operation
from qubitd.core.control import CONTROL_ARITY

NO_GATE = 0
"""The row of barrier, delay, reset and brackets of control flow."""
NOT_GATES = ("barrier", "delay", "reset", *CONTROL_ARITY)

_UNKNOWN = -1
_DENSE = 2**20
"""Most codes that are told apart by a table instead of by sorting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateKey:
    """A gate on its operands, in the order that the circuit gives."""

    name: str
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kinds:
    """The distinct gates among some operations."""

    gates: tuple[GateKey, ...]
    of: Ints
    """For each operation the index of its gate."""


class GateTable:
    """Grows with each block of a job; a row once given stays."""

    def __init__(self) -> None:
        self._rows: dict[GateKey, int] = {}
        self._codes = _Codes(operations=(), num_qubits=0, width=0)
        self._row_of = np.zeros(0, dtype=np.int64)
        """Row of each code, as far as it is known."""

    @property
    def keys(self) -> tuple[GateKey, ...]:
        """What rows 1, 2, ... stand for."""
        return tuple(self._rows)

    def rows_of(self, columns: Columns) -> Ints:
        """Give the row of each operation, and new rows to gates that have none."""
        codes = _codes(columns, columns.opcode)
        code = codes.of(columns)
        if codes.size > _DENSE:
            found, inverse = np.unique(code, return_inverse=True)
            return np.array([self._row(codes, c) for c in found.tolist()], dtype=np.int64)[inverse]
        if codes != self._codes:
            self._codes, self._row_of = codes, np.full(codes.size, _UNKNOWN, dtype=np.int64)
        rows = self._row_of.take(code)
        unknown = code[rows == _UNKNOWN]
        if not len(unknown):
            return rows
        is_fresh = np.zeros(codes.size, dtype=bool)
        is_fresh[unknown] = True
        fresh = np.flatnonzero(is_fresh)
        self._row_of[fresh] = [self._row(codes, c) for c in fresh.tolist()]
        return self._row_of.take(code)

    def _row(self, codes: _Codes, code: int) -> int:
        key = codes.gate(code)
        return NO_GATE if key.name in NOT_GATES else self._rows.setdefault(key, len(self._rows) + 1)


def gate_operations(columns: Columns) -> Ints:
    """Find the operations that are gates."""
    is_gate = np.array([row.name not in NOT_GATES for row in columns.operations], dtype=bool)
    return np.flatnonzero(is_gate[columns.opcode]) if len(columns) else np.zeros(0, dtype=np.int64)


def gate_key(columns: Columns, op: int) -> GateKey:
    """Write out which gate an operation is, and on what."""
    begin, end = columns.qubit_start[op], columns.qubit_start[op + 1]
    name = columns.operations[int(columns.opcode[op])].name
    return GateKey(name=name, operands=tuple(int(q) for q in columns.qubits[begin:end]))


def distinct_gates(columns: Columns, ops: Ints) -> Kinds:
    """Tell gates apart by name and operands.

    Args:
        columns: qubits within the device.
        ops: the operations to look at.
    """
    codes = _codes(columns, columns.opcode.take(ops))
    code = codes.of(columns).take(ops)
    if codes.size > _DENSE:
        found, index = np.unique(code, return_inverse=True)
    else:
        present = np.zeros(codes.size, dtype=bool)
        present[code] = True
        found = np.flatnonzero(present)
        place = np.zeros(codes.size, dtype=np.int64)
        place[found] = np.arange(len(found))
        index = place.take(code) if len(code) else code
    return Kinds(gates=tuple(codes.gate(c) for c in found.tolist()), of=index)


def mask_of(columns: Columns, *names: str) -> NDArray[np.bool_]:
    """Find the operations with one of these names."""
    named = np.array([row.name in names for row in columns.operations], dtype=bool)
    return named[columns.opcode] if len(columns) else np.zeros(0, dtype=bool)


def _codes(columns: Columns, opcode: Ints) -> _Codes:
    """Give the numbers for the gates that occur; a barrier, of any width, needs none of its own."""
    times = np.bincount(opcode, minlength=len(columns.operations)).tolist()
    occurring = (row for row, count in zip(columns.operations, times, strict=True) if count and row.name != "barrier")
    width = max((row.num_qubits for row in occurring), default=0)
    return _Codes(operations=columns.operations, num_qubits=columns.num_qubits, width=width)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codes:
    """A number for each gate on each operands: the opcode, then the operands as digits."""

    operations: tuple[Operation, ...]
    num_qubits: int
    width: int
    """Digits: operands of the widest gate that occurs."""

    @property
    def size(self) -> int:
        """How many codes there are."""
        return int(len(self.operations) * self.num_qubits**self.width)

    def of(self, columns: Columns) -> Ints:
        """Give the code of each operation; of one that is wider, such as a barrier, only the first operands count."""
        width = self.width
        code: Ints = columns.opcode * self.num_qubits**width
        arity = np.array([min(row.num_qubits, width) for row in self.operations], dtype=np.int64)
        for position in range(width):
            digit = self.num_qubits ** (width - 1 - position)
            have = np.flatnonzero((arity > position).take(columns.opcode))
            if len(have) == len(code):
                code += columns.qubits.take(columns.qubit_start[:-1] + position) * digit
            else:
                code[have] += columns.qubits.take(columns.qubit_start[have] + position) * digit
        return code

    def gate(self, code: int) -> GateKey:
        """Give what a code stands for."""
        opcode, rest = divmod(code, self.num_qubits**self.width)
        row = self.operations[opcode]
        digits = [rest // self.num_qubits ** (self.width - 1 - i) % self.num_qubits for i in range(self.width)]
        return GateKey(name=row.name, operands=tuple(digits[: row.num_qubits]))
