"""Rows for the gates that a job plays: one per (gate, operands), found for whole columns at once.

Row 0 stands for what plays nothing and has no length of its own: barrier, delay, bracket, and the passive reset before
a shot.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler import native
from qubitd.compiler.columns import Columns, Ints
from qubitd.core.circuit import Operation
from qubitd.core.control import CONTROL_ARITY

NO_GATE = 0
"""The row of barrier, delay, reset and brackets of control flow."""
NOT_GATES = ("barrier", "delay", "reset", *CONTROL_ARITY)

_DENSE = 2**20
"""Most codes that are told apart by a table instead of by sorting."""
_NARROW = 2
"""Operands of a gate that is no wider than most."""
_FEW = 1024
"""Gates, and rows of a table of operations, that are remembered from job to job."""


class GateKey(NamedTuple):
    """A gate on its operands, in the order that the circuit gives. A tuple, since it is looked up all the time."""

    name: str
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kinds:
    """The distinct gates among some operations, barriers and delays like gates of their own."""

    gates: tuple[GateKey, ...]
    code: Ints
    """For each operation a number that tells its gate from others."""
    codes: Ints
    """That of each gate."""
    size: int
    """More than any of them."""

    @property
    def of(self) -> Ints:
        """For each operation the index of its gate."""
        return self.spread(np.arange(len(self.gates)))

    def spread(self, values: Ints) -> Ints:
        """Give what each gate has to each of its operations."""
        table = np.zeros(self.size, dtype=np.int64)
        table[self.codes] = values
        return table[self.code]


class GateTable:
    """Grows with each block of a job; a row once given stays."""

    def __init__(self) -> None:
        self._rows: dict[GateKey, int] = {}

    @property
    def keys(self) -> tuple[GateKey, ...]:
        """What rows 1, 2, ... stand for."""
        return tuple(self._rows)

    def rows_of(self, kinds: Kinds) -> Ints:
        """Give the row of each operation, and new rows to gates that have none."""
        return kinds.spread(np.array([self._row(gate) for gate in kinds.gates], dtype=np.int64))

    def _row(self, key: GateKey) -> int:
        return NO_GATE if key.name in NOT_GATES else self._rows.setdefault(key, len(self._rows) + 1)


def gate_key(columns: Columns, op: int) -> GateKey:
    """Write out which gate an operation is, and on what."""
    begin, end = columns.qubit_start[op], columns.qubit_start[op + 1]
    name = columns.operations[int(columns.opcode[op])].name
    return GateKey(name=name, operands=tuple(int(q) for q in columns.qubits[begin:end]))


def kinds_of(columns: Columns) -> Kinds:
    """Tell operations apart by name and operands; of a barrier the operands do not matter.

    The qubits must be within the device.
    """
    codes = _codes(columns, columns.opcode)
    done = codes.occurring(columns) if codes.size <= _DENSE else None
    return _kinds(codes, codes.of(columns)) if done is None else _told_apart(codes, *done)


def distinct_gates(columns: Columns, ops: Ints) -> Kinds:
    """Tell some operations apart, whose qubits are within the device; as `kinds_of`."""
    codes = _codes(columns, columns.opcode[ops])
    return _kinds(codes, codes.of(columns)[ops])


def _kinds(codes: _Codes, code: Ints) -> Kinds:
    size = codes.size
    if size > _DENSE:
        found, of = np.unique(code, return_inverse=True)
        return Kinds(gates=_named(codes, found), code=of, codes=np.arange(len(found)), size=len(found))
    return _told_apart(codes, code, np.bincount(code, minlength=size) > 0)


def _told_apart(codes: _Codes, code: Ints, occurs: NDArray[np.bool_]) -> Kinds:
    found = occurs.nonzero()[0]
    return Kinds(gates=_named(codes, found), code=code, codes=found, size=codes.size)


def _named(codes: _Codes, found: Ints) -> tuple[GateKey, ...]:
    is_small = max(len(found), len(codes.operations)) <= _FEW
    return (_gates_of if is_small else _gates_of.__wrapped__)(codes, tuple(found.tolist()))


@functools.lru_cache(maxsize=64)
def _gates_of(codes: _Codes, found: tuple[int, ...]) -> tuple[GateKey, ...]:
    """Write codes out; job after job has the same."""
    return tuple(map(codes.gate, found))


def where_named(columns: Columns, *names: str) -> Ints:
    """Find the operations with one of these names, mostly none."""
    if {row.name for row in columns.operations}.isdisjoint(names):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(mask_of(columns, *names))


def mask_of(columns: Columns, *names: str) -> NDArray[np.bool_]:
    """Find the operations with one of these names."""
    named = np.array([row.name in names for row in columns.operations], dtype=bool)
    return named[columns.opcode] if len(columns) else np.zeros(0, dtype=bool)


def _codes(columns: Columns, opcode: Ints) -> _Codes:
    """Give the numbers for the gates that occur; a barrier, of any width, needs none of its own."""
    width = max([row.num_qubits for row in columns.operations if row.name != "barrier"], default=0)
    if width > _NARROW:
        present: list[int] = np.bincount(opcode).nonzero()[0].tolist()
        occurring = (columns.operations[i] for i in present)
        width = max((row.num_qubits for row in occurring if row.name != "barrier"), default=0)
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
        return len(self.operations) * int(self.num_qubits**self.width)

    def of(self, columns: Columns) -> Ints:
        """Give the code of each operation; of one that is wider, such as a barrier, only the first operands count."""
        width = self.width
        code: Ints = columns.opcode * self.num_qubits**width
        for position in range(width):
            digit = self.num_qubits ** (width - 1 - position)
            reaches = [row.num_qubits > position for row in self.operations]
            if all(reaches):
                is_each = len(columns.qubits) == len(columns)  # one operand of each operation
                qubit = columns.qubits if is_each else columns.qubits[columns.qubit_start[:-1] + position]
                code += qubit if digit == 1 else qubit * digit
            else:
                have = np.flatnonzero(np.array(reaches, dtype=bool)[columns.opcode])
                code[have] += columns.qubits[columns.qubit_start[have] + position] * digit
        return code

    def occurring(self, columns: Columns) -> tuple[Ints, NDArray[np.bool_]] | None:
        """The same, and which of all codes occur, if a compiled loop can tell."""
        if not native.are_many(columns.opcode):
            return None
        return native.codes(
            columns.opcode,
            np.array([row.num_qubits for row in self.operations], dtype=np.int64),
            columns.qubits,
            columns.qubit_start,
            num_qubits=self.num_qubits,
            width=self.width,
            kinds=len(self.operations),
        )

    def gate(self, code: int) -> GateKey:
        """Give what a code stands for."""
        opcode, rest = divmod(code, self.num_qubits**self.width)
        row = self.operations[opcode]
        digits = [rest // self.num_qubits ** (self.width - 1 - i) % self.num_qubits for i in range(self.width)]
        return GateKey(name=row.name, operands=tuple(digits[: row.num_qubits]))
