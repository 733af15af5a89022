"""Circuits as columns: one table of operations per batch, a few arrays per circuit, no object per gate.

An operation of a circuit is an index into the batch's table; its qubits, angles and classical bits follow one another
in flat arrays, as many as the table says. Qubit i of a circuit is qubit i of the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qubitd.core.bindings import Bindings, FromColumn
from qubitd.core.control import CONTROL_ARITY, Brackets, Condition, control_counts
from qubitd.core.errors import InvalidCircuitError, Problem

HERALD_CLBIT = 2**32 - 1
"""Stands where a measurement's classical bit would, if its outcome only decides whether the shot counts."""
HIDDEN_CLBIT = 2**32 - 2
"""The same, if its outcome is in no result and serves conditions alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of a batch's table of operations. A barrier has a row for each width that occurs."""

    name: str
    """Name in the device's gate table, `barrier`, `delay`, `measure`, `reset`, or a bracket of `CONTROL_ARITY`."""
    num_qubits: int
    num_params: int
    """Angles in radians; the one parameter of `delay` is seconds."""
    num_clbits: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Circuit:
    """One circuit in native gates, in program order."""

    name: str
    num_qubits: int
    num_clbits: int
    opcodes: NDArray[np.uint16]
    """Index into the batch's table, shape (operations,)."""
    qubits: NDArray[np.uint16]
    """Operands of all operations one after another."""
    params: NDArray[np.float64]
    """Parameters of all operations one after another."""
    clbits: NDArray[np.uint32]
    """Classical bits of all operations one after another."""
    controls: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))
    """Numbers of all brackets (`qubitd.core.control`) one after another; empty without control flow."""
    conditions: tuple[Condition, ...] = ()
    """What the numbers of `if` and `while` index."""
    bindings: Bindings | None = None
    """Rows of values for some of `params`; without them the circuit runs once, as it stands."""

    def __len__(self) -> int:
        return len(self.opcodes)

    @property
    def num_bindings(self) -> int:
        """How often it runs at each point of a sweep."""
        return 1 if self.bindings is None else len(self.bindings)

    def bound(self) -> Iterator[Circuit]:
        """Give the circuit with the values of each row filled in."""
        if self.bindings is None:
            yield self
            return
        for row in range(len(self.bindings)):
            params = self.bindings.into(self.params, slice(row, row + 1))[0]
            yield replace(self, params=params, bindings=None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CircuitBatch:
    """The circuits of a job and the table of operations that they share."""

    operations: tuple[Operation, ...]
    circuits: tuple[Circuit, ...]

    @property
    def num_bindings(self) -> int:
        """Circuits x bindings: programs at each point of a sweep."""
        return sum(circuit.num_bindings for circuit in self.circuits)

    def bound(self) -> CircuitBatch:
        """Give the batch with a circuit for each binding."""
        return replace(self, circuits=tuple(bound for circuit in self.circuits for bound in circuit.bound()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """Where each operation's operands start in the flat columns; shape (operations + 1,) each."""

    qubits: NDArray[np.int64]
    params: NDArray[np.int64]
    clbits: NDArray[np.int64]
    controls: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One operation written out, for messages, pictures and tests; never made on a hot path."""

    name: str
    qubits: tuple[int, ...]
    params: tuple[float | FromColumn, ...]
    clbits: tuple[int, ...]
    controls: tuple[int, ...] = ()


class CircuitBuilder:
    """Writes a circuit operation by operation; `pack` turns builders into a batch."""

    def __init__(self, *, name: str, num_qubits: int, num_clbits: int) -> None:
        self.name = name
        self.num_qubits = num_qubits
        self.num_clbits = num_clbits
        self.conditions: dict[Condition, int] = {}
        self.values: NDArray[np.float64] | None = None
        self._instructions: list[Instruction] = []

    def add(
        self, name: str, *qubits: int, params: Sequence[float | FromColumn] = (), clbits: Sequence[int] = ()
    ) -> CircuitBuilder:
        """Append an operation and give the builder back, so that calls chain."""
        self._instructions.append(Instruction(name=name, qubits=qubits, params=tuple(params), clbits=tuple(clbits)))
        return self

    def measure(self, qubit: int, clbit: int) -> CircuitBuilder:
        """Append a measurement of one qubit into one classical bit."""
        return self.add("measure", qubit, clbits=(clbit,))

    def delay(self, qubit: int, seconds: float | FromColumn) -> CircuitBuilder:
        """Append a delay."""
        return self.add("delay", qubit, params=(seconds,))

    def if_(self, condition: Condition) -> CircuitBuilder:
        """Open a block that happens if a condition holds."""
        return self._bracket("if", self._condition(condition))

    def else_(self) -> CircuitBuilder:
        """Part the block of an `if`: what follows happens if its condition does not hold."""
        return self._bracket("else")

    def for_(self, times: int) -> CircuitBuilder:
        """Open a block that is repeated."""
        return self._bracket("for", times)

    def while_(self, condition: Condition, *, most: int) -> CircuitBuilder:
        """Open a block that is repeated while a condition holds, at most so many times."""
        return self._bracket("while", self._condition(condition), most)

    def break_(self) -> CircuitBuilder:
        """Leave the loop."""
        return self._bracket("break")

    def continue_(self) -> CircuitBuilder:
        """Go on with the next repetition of the loop."""
        return self._bracket("continue")

    def end(self) -> CircuitBuilder:
        """Close the block that was opened last."""
        return self._bracket("end")

    def _bracket(self, name: str, *numbers: int) -> CircuitBuilder:
        self._instructions.append(Instruction(name=name, qubits=(), params=(), clbits=(), controls=numbers))
        return self

    def _condition(self, condition: Condition) -> int:
        return self.conditions.setdefault(condition, len(self.conditions))

    def bind(self, values: ArrayLike) -> CircuitBuilder:
        """Give the values of every `FromColumn`, shape (bindings, columns)."""
        self.values = np.array(values, dtype=np.float64, ndmin=2)
        return self

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self._instructions)


def pack(builders: Sequence[CircuitBuilder]) -> CircuitBatch:
    """Turn builders into one batch with a shared table of operations.

    Raises:
        InvalidCircuitError: an operand does not fit its column.
    """
    table: dict[Operation, int] = {}
    circuits = tuple(_pack_one(builder, index, table) for index, builder in enumerate(builders))
    return CircuitBatch(operations=tuple(table), circuits=circuits)


def offsets(circuit: Circuit, operations: Sequence[Operation]) -> Offsets:
    """Find where each operation's operands start. The opcodes must be indices of `operations`."""
    return Offsets(
        qubits=_starts([o.num_qubits for o in operations], circuit.opcodes),
        params=_starts([o.num_params for o in operations], circuit.opcodes),
        clbits=_starts([o.num_clbits for o in operations], circuit.opcodes),
        controls=_starts([CONTROL_ARITY.get(o.name, 0) for o in operations], circuit.opcodes),
    )


def brackets_of(circuit: Circuit, operations: Sequence[Operation]) -> Brackets:
    """Find the control flow of a circuit. The opcodes must be indices of `operations`."""
    names = np.array([o.name if o.name in CONTROL_ARITY else "" for o in operations], dtype=np.str_)
    is_bracket = names != ""
    op = np.flatnonzero(is_bracket[circuit.opcodes]) if len(circuit) else np.zeros(0, dtype=np.int64)
    rows = circuit.opcodes[op]
    count = control_counts([o.name for o in operations])[rows]
    return Brackets(op=op, name=names[rows], first=np.cumsum(count) - count)


def instructions(circuit: Circuit, operations: Sequence[Operation]) -> Iterator[Instruction]:
    """Write a circuit out, operation by operation."""
    start = offsets(circuit, operations)
    params: list[float | FromColumn] = circuit.params.tolist()
    if circuit.bindings is not None:
        for position, column in zip(circuit.bindings.positions, circuit.bindings.columns, strict=True):
            params[position] = FromColumn(column=int(column))
    for i, opcode in enumerate(circuit.opcodes):
        yield Instruction(
            name=operations[int(opcode)].name,
            qubits=tuple(int(q) for q in circuit.qubits[start.qubits[i] : start.qubits[i + 1]]),
            params=tuple(params[start.params[i] : start.params[i + 1]]),
            clbits=tuple(int(c) for c in circuit.clbits[start.clbits[i] : start.clbits[i + 1]]),
            controls=tuple(int(c) for c in circuit.controls[start.controls[i] : start.controls[i + 1]]),
        )


def _starts(arity: Sequence[int], opcodes: NDArray[np.uint16]) -> NDArray[np.int64]:
    counts = np.asarray(arity, dtype=np.int64)[opcodes] if len(opcodes) else np.zeros(0, dtype=np.int64)
    return np.concatenate(([0], np.cumsum(counts)))


def _pack_one(builder: CircuitBuilder, index: int, table: dict[Operation, int]) -> Circuit:
    opcodes: list[int] = []
    qubits: list[int] = []
    params: list[float | FromColumn] = []
    clbits: list[int] = []
    controls: list[int] = []
    for instruction in builder:
        row = Operation(
            name=instruction.name,
            num_qubits=len(instruction.qubits),
            num_params=len(instruction.params),
            num_clbits=len(instruction.clbits),
        )
        opcodes.append(table.setdefault(row, len(table)))
        qubits.extend(instruction.qubits)
        params.extend(instruction.params)
        clbits.extend(instruction.clbits)
        controls.extend(instruction.controls)
    try:
        return Circuit(
            name=builder.name,
            num_qubits=builder.num_qubits,
            num_clbits=builder.num_clbits,
            opcodes=np.array(opcodes, dtype=np.uint16),
            qubits=np.array(qubits, dtype=np.uint16),
            params=np.array([0.0 if isinstance(p, FromColumn) else p for p in params], dtype=np.float64),
            clbits=np.array(clbits, dtype=np.uint32),
            controls=np.array(controls, dtype=np.uint32),
            conditions=tuple(builder.conditions),
            bindings=None if builder.values is None else _bindings(params, builder.values),
        )
    except OverflowError as error:
        where = f"circuit {index} ({builder.name!r})"
        what = f"an operand does not fit its column ({error}); qubits and clbits count from 0"
        raise InvalidCircuitError([Problem(where=where, what=what, circuit=index)]) from error


def _bindings(params: Sequence[float | FromColumn], values: NDArray[np.float64]) -> Bindings:
    free = [(position, p.column) for position, p in enumerate(params) if isinstance(p, FromColumn)]
    return Bindings(
        positions=np.array([position for position, _ in free], dtype=np.uint32),
        columns=np.array([column for _, column in free], dtype=np.uint32),
        values=values,
    )
