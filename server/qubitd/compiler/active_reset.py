"""A reset of a qubit that was used: rounds of a measurement, and a flip if that gave 1.

A reset before the first gate is the passive one that every shot begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.beginning import begin_with
from qubitd.compiler.blocks import Branches, Item, Loop, blocks_of
from qubitd.compiler.columns import Ints
from qubitd.core.bindings import Bindings
from qubitd.core.circuit import HIDDEN_CLBIT, Circuit, CircuitBatch, Offsets, Operation, offsets
from qubitd.core.job import InitialReset

MEASURE = Operation(name="measure", num_qubits=1, num_params=0, num_clbits=1)
RESET = Operation(name="reset", num_qubits=1, num_params=0, num_clbits=0)
FLIP = Operation(name="x", num_qubits=1, num_params=0, num_clbits=0)
_UNTOUCHED = ("barrier", "delay", "reset")
"""Operations after which a qubit is still as the passive reset left it."""
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A gate on one qubit that stands for a part of another."""

    gate: Operation
    source: int
    """Position of what it stands for, whose qubit is its own."""
    angle: float = 0.0
    """Its parameter, if it has one, radians."""
    share: float | None = None
    """Instead: how much of the parameter of what it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extended:
    """A circuit with a measurement and a flip behind its end for each of its late resets."""

    circuit: Circuit
    start: Offsets
    source: Ints
    """Position of what each operation stems from; its own, for those of the circuit itself."""

    def added_for(self, reset: int) -> int:
        """Give the position of the measurement that belongs to a reset; the flip is next."""
        return int(np.flatnonzero(self.source == reset)[1])

    def with_gates(self, added: Sequence[Added], table: dict[Operation, int]) -> Extended:
        """Put gates behind the end; rows that are missing in the table of operations are added to it."""
        if not added:
            return self
        source = np.array([self.source[one.source] for one in added])
        opcodes = np.array([table.setdefault(one.gate, len(table)) for one in added], dtype=np.uint16)
        qubits = self.circuit.qubits[self.start.qubits[[one.source for one in added]]]
        turning = [one for one in added if one.gate.num_params]
        params, bindings = _shared(self.circuit, turning, self.start.params)
        circuit = replace(
            self.circuit,
            opcodes=np.concatenate([self.circuit.opcodes, opcodes]),
            qubits=np.concatenate([self.circuit.qubits, qubits]),
            params=np.concatenate([self.circuit.params, params]),
            bindings=bindings,
        )
        return Extended(
            circuit=circuit, start=offsets(circuit, tuple(table)), source=np.concatenate([self.source, source])
        )

    def taken(self, ops: Ints) -> Circuit:
        """Give the circuit that consists of some of the operations, in this order, without any bracket."""
        params = _entries(np.arange(len(self.circuit.params)), self.start.params, ops)
        return replace(
            self.circuit,
            opcodes=self.circuit.opcodes[ops],
            qubits=_entries(self.circuit.qubits, self.start.qubits, ops),
            params=self.circuit.params[params],
            bindings=_taken_bindings(self.circuit, params),
            clbits=_entries(self.circuit.clbits, self.start.clbits, ops),
            controls=self.circuit.controls[:0],
            conditions=(),
        )


def actively_begun(batch: CircuitBatch) -> CircuitBatch:
    """Put a reset of every qubit that it uses in front of each circuit, behind which all begins together."""
    return begin_with(batch, RESET)


def late_resets(circuit: Circuit, operations: Sequence[Operation], initial: InitialReset) -> NDArray[np.bool_]:
    """Find resets that the wait before a shot does not do: behind the first gate on their qubit, in a loop behind any
    gate of the loop; all of them if there is no such wait.
    """
    if initial in (InitialReset.ACTIVE, InitialReset.NONE):
        return np.array([o.name == "reset" for o in operations], dtype=bool)[circuit.opcodes]
    start = offsets(circuit, operations)
    touches = np.array([o.name not in _UNTOUCHED for o in operations], dtype=bool)[circuit.opcodes]
    owner = np.repeat(np.arange(len(circuit)), np.diff(start.qubits))
    touched = touches[owner]
    first = np.full(int(circuit.qubits.max(initial=0)) + 1, len(circuit))
    np.minimum.at(first, circuit.qubits[touched], owner[touched])
    resets = np.array([o.name == "reset" for o in operations], dtype=bool)[circuit.opcodes]
    late = np.zeros(len(circuit), dtype=bool)
    at = np.flatnonzero(resets)
    late[at] = first[circuit.qubits[start.qubits[at]]] < _last_visit(circuit, operations)[at]
    return late


def _last_visit(circuit: Circuit, operations: Sequence[Operation]) -> Ints:
    """Each operation's position, or that of the end of the outermost loop around it."""
    visit = np.arange(len(circuit))
    for item in blocks_of(circuit, operations):
        for loop in _outer_loops(item):
            visit[loop.op : loop.stop] = loop.stop
    return visit


def _outer_loops(item: Item) -> Sequence[Loop]:
    match item:
        case Loop():
            return (item,)
        case Branches():
            return [loop for inner in (*item.then, *item.otherwise) for loop in _outer_loops(inner)]
        case _:
            return ()


def with_active_resets(circuit: Circuit, late: Ints, table: dict[Operation, int]) -> Extended:
    """Write the late resets out; rows that are missing in the table of operations are added to it."""
    start = offsets(circuit, tuple(table))
    added = [table.setdefault(row, len(table)) for row in (MEASURE, FLIP)] if len(late) else []
    extended = replace(
        circuit,
        opcodes=np.concatenate([circuit.opcodes, np.tile(np.array(added, dtype=np.uint16), len(late))]),
        qubits=np.concatenate([circuit.qubits, np.repeat(circuit.qubits[start.qubits[late]], 2)]),
        clbits=np.concatenate([circuit.clbits, np.full(len(late), HIDDEN_CLBIT, dtype=np.uint32)]),
    )
    source = np.concatenate([np.arange(len(circuit)), np.repeat(late, 2)])
    return Extended(circuit=extended, start=offsets(extended, tuple(table)), source=source)


def _shared(circuit: Circuit, added: Sequence[Added], start: Ints) -> tuple[NDArray[np.float64], Bindings | None]:
    """Give the parameters of gates behind a circuit's end, and its bindings with those that come from columns."""
    places = [int(start[one.source]) for one in added]
    params = np.array(
        [
            one.angle if one.share is None else one.share * circuit.params[place]
            for one, place in zip(added, places, strict=True)
        ],
        dtype=np.float64,
    )
    bindings = circuit.bindings
    if bindings is None:
        return params, None
    column = dict(zip(bindings.positions.tolist(), bindings.columns.tolist(), strict=True))
    bound = [
        (len(circuit.params) + j, column[place], one.share)
        for j, (one, place) in enumerate(zip(added, places, strict=True))
        if one.share is not None and place in column
    ]
    if not bound:
        return params, bindings
    positions, columns, shares = map(np.array, zip(*bound, strict=True))
    width = bindings.values.shape[1]
    return params, Bindings(
        positions=np.concatenate([bindings.positions, positions.astype(np.uint32)]),
        columns=np.concatenate([bindings.columns, np.arange(width, width + len(bound), dtype=np.uint32)]),
        values=np.concatenate([bindings.values, bindings.values[:, columns] * shares], axis=1),
    )


def _taken_bindings(circuit: Circuit, params: Ints) -> Bindings | None:
    """Let the columns of values go where their parameters went, be it to several places.

    Args:
        circuit: as it was.
        params: place there of each parameter of the new one.
    """
    if circuit.bindings is None:
        return None
    column = np.full(len(circuit.params), -1, dtype=np.int64)
    column[circuit.bindings.positions] = circuit.bindings.columns
    positions = np.flatnonzero(column[params] >= 0)
    return replace(
        circuit.bindings,
        positions=positions.astype(np.uint32),
        columns=column[params[positions]].astype(np.uint32),
    )


def _entries(column: NDArray[_T], start: Ints, ops: Ints) -> NDArray[_T]:
    """Give the entries of some operations one after another."""
    count = start[ops + 1] - start[ops]
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(column[np.repeat(start[ops], count) + within])
