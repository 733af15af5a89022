"""Circuits as columns: one table of operations per batch, a few arrays per circuit, no object per gate.

An operation of a circuit is an index into the batch's table; its qubits, angles and classical bits follow one another
in flat arrays, as many as the table says. Qubit i of a circuit is qubit i of the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qubitd.core.bindings import Bindings, FromColumn
from qubitd.core.control import CONTROL_ARITY, Brackets, Condition, control_counts
from qubitd.core.errors import InvalidCircuitError, Problem

Ints = NDArray[np.int64]
_T = TypeVar("_T", bound=np.generic)

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
class CircuitBounds:
    """Where each circuit's part of a column begins, and where that of the last one ends; shape (circuits + 1,) each."""

    opcodes: Ints
    qubits: Ints
    params: Ints
    clbits: Ints
    controls: Ints

    def of(self, block: range) -> CircuitBounds:
        """Give those of some circuits that follow each other, counted from the first of these on."""
        if len(block) == len(self.opcodes) - 1:
            return self
        parts = {name: getattr(self, name)[block.start : block.stop + 1] for name in self.__slots__}
        return CircuitBounds(**{name: part - part[0] for name, part in parts.items()})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CircuitColumns(Sequence[Circuit]):
    """The columns of all circuits of a batch, each one whole. A `Circuit`, which is a view, is made when asked for."""

    names: Sequence[str]
    num_qubits: Ints
    """Of each circuit, shape (circuits,)."""
    num_clbits: Ints
    opcodes: NDArray[np.uint16]
    qubits: NDArray[np.uint16]
    params: NDArray[np.float64]
    clbits: NDArray[np.uint32]
    controls: NDArray[np.uint32]
    bounds: CircuitBounds
    conditions: Mapping[int, tuple[Condition, ...]]
    """By circuit; only of those that have any."""
    bindings: Mapping[int, Bindings]
    """By circuit; only of those that have them."""
    _views: dict[int, Circuit] = field(init=False, default_factory=dict)

    @classmethod
    def of(cls, circuits: Sequence[Circuit]) -> CircuitColumns:
        """Put circuits behind each other."""
        made = cls(
            names=[circuit.name for circuit in circuits],
            num_qubits=np.array([circuit.num_qubits for circuit in circuits], dtype=np.int64),
            num_clbits=np.array([circuit.num_clbits for circuit in circuits], dtype=np.int64),
            opcodes=_joined([circuit.opcodes for circuit in circuits], np.uint16),
            qubits=_joined([circuit.qubits for circuit in circuits], np.uint16),
            params=_joined([circuit.params for circuit in circuits], np.float64),
            clbits=_joined([circuit.clbits for circuit in circuits], np.uint32),
            controls=_joined([circuit.controls for circuit in circuits], np.uint32),
            bounds=_bounds_of(circuits),
            conditions={i: circuit.conditions for i, circuit in enumerate(circuits) if circuit.conditions},
            bindings={i: circuit.bindings for i, circuit in enumerate(circuits) if circuit.bindings is not None},
        )
        if len(circuits) == 1:
            made._views[0] = circuits[0]
        return made

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Circuit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Circuit, ...]: ...
    def __getitem__(self, index: int | slice) -> Circuit | tuple[Circuit, ...]:
        """Give a circuit, the same whenever it is asked for, or several."""
        if isinstance(index, slice):
            return tuple(map(self.__getitem__, range(len(self))[index]))
        found = self._views.get(index)
        return self._view(range(len(self))[index]) if found is None else found

    def __iter__(self) -> Iterator[Circuit]:
        return map(self.__getitem__, range(len(self)))

    def __repr__(self) -> str:
        return repr(tuple(self))

    @property
    def num_bindings(self) -> Ints:
        """How often each circuit runs at each point of a sweep, shape (circuits,)."""
        found = np.ones(len(self), dtype=np.int64)
        for index, bindings in self.bindings.items():
            found[index] = len(bindings)
        return found

    def _view(self, index: int) -> Circuit:
        bounds, is_only = self.bounds, len(self) == 1

        def part(column: NDArray[_T], begin: Ints) -> NDArray[_T]:
            return column if is_only else column[begin[index] : begin[index + 1]]

        found = self._views[index] = Circuit(
            name=self.names[index],
            num_qubits=int(self.num_qubits[index]),
            num_clbits=int(self.num_clbits[index]),
            opcodes=part(self.opcodes, bounds.opcodes),
            qubits=part(self.qubits, bounds.qubits),
            params=part(self.params, bounds.params),
            clbits=part(self.clbits, bounds.clbits),
            controls=part(self.controls, bounds.controls),
            conditions=self.conditions.get(index, ()),
            bindings=self.bindings.get(index),
        )
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CircuitBatch:
    """The circuits of a job and the table of operations that they share."""

    operations: tuple[Operation, ...]
    circuits: Sequence[Circuit]
    """Given one by one or as columns."""
    columns: CircuitColumns = field(init=False, repr=False)
    """The same circuits."""

    def __post_init__(self) -> None:
        whole = self.circuits if isinstance(self.circuits, CircuitColumns) else CircuitColumns.of(self.circuits)
        object.__setattr__(self, "circuits", whole)
        object.__setattr__(self, "columns", whole)

    @property
    def num_bindings(self) -> int:
        """Circuits x bindings: programs at each point of a sweep."""
        bindings = self.columns.bindings
        return len(self.columns) - len(bindings) + sum(map(len, bindings.values()))

    def bound(self) -> CircuitBatch:
        """Give the batch with a circuit for each binding."""
        if not self.columns.bindings:
            return self
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


def _joined(parts: Sequence[NDArray[_T]], kind: type[_T]) -> NDArray[_T]:
    if not parts:
        return np.zeros(0, dtype=kind)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _bounds_of(circuits: Sequence[Circuit]) -> CircuitBounds:
    return CircuitBounds(
        opcodes=_ends([len(circuit.opcodes) for circuit in circuits]),
        qubits=_ends([len(circuit.qubits) for circuit in circuits]),
        params=_ends([len(circuit.params) for circuit in circuits]),
        clbits=_ends([len(circuit.clbits) for circuit in circuits]),
        controls=_ends([len(circuit.controls) for circuit in circuits]),
    )


def _ends(lengths: Sequence[int]) -> Ints:
    return np.array([0, *itertools.accumulate(lengths)], dtype=np.int64)


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
