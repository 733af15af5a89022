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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """Gates on one qubit that stand for another, one behind the other."""

    opcodes: NDArray[np.uint16]
    """Their rows in the table of operations; shape (pieces,)."""
    angles: NDArray[np.float64]
    """The parameters of those that have one, radians, or factors; shape (angles,)."""
    are_shares: NDArray[np.bool_]
    """Which of these are factors of the parameter of what they stand for; shape (angles,)."""


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

    def with_pieces(self, sources: Sequence[int], pieces: Sequence[Pieces], table: dict[Operation, int]) -> Extended:
        """Put what stands for some operations behind the end, in the same order; the table has all its rows."""
        if not pieces:
            return self
        positions = np.array(sources)
        of = np.repeat(positions, [len(one.opcodes) for one in pieces])
        params, bindings = _shared(self.circuit, self.start.params[positions], pieces)
        circuit = replace(
            self.circuit,
            opcodes=np.concatenate([self.circuit.opcodes, *(one.opcodes for one in pieces)]),
            qubits=np.concatenate([self.circuit.qubits, self.circuit.qubits[self.start.qubits[of]]]),
            params=np.concatenate([self.circuit.params, params]),
            bindings=bindings,
        )
        source = np.concatenate([self.source, self.source[of]])
        return Extended(circuit=circuit, start=offsets(circuit, tuple(table)), source=source)

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


def _shared(circuit: Circuit, starts: Ints, pieces: Sequence[Pieces]) -> tuple[NDArray[np.float64], Bindings | None]:
    """Give the parameters of pieces behind a circuit's end, and its bindings with those that come from columns.

    Args:
        circuit: without them.
        starts: of the parameters of what each stands for.
        pieces: of all these.
    """
    params = np.concatenate([one.angles for one in pieces])
    shares = np.flatnonzero(np.concatenate([one.are_shares for one in pieces]))
    places = np.repeat(starts, [len(one.angles) for one in pieces])[shares]
    factors = params[shares]
    params[shares] *= circuit.params[places]
    if circuit.bindings is None:
        return params, None
    column = _column_of(circuit, circuit.bindings)[places]
    bound = np.flatnonzero(column >= 0)
    if not len(bound):
        return params, circuit.bindings
    given, which = np.unique(np.stack([column[bound], factors[bound]]), axis=1, return_inverse=True)
    values = circuit.bindings.values
    return params, Bindings(
        positions=np.concatenate([circuit.bindings.positions, (len(circuit.params) + shares[bound]).astype(np.uint32)]),
        columns=np.concatenate([circuit.bindings.columns, (values.shape[1] + which.reshape(-1)).astype(np.uint32)]),
        values=np.concatenate([values, values[:, given[0].astype(np.int64)] * given[1]], axis=1),
    )


def _column_of(circuit: Circuit, bindings: Bindings) -> Ints:
    """Give the column that each parameter comes from; -1 where it stands itself."""
    column = np.full(len(circuit.params), -1, dtype=np.int64)
    column[bindings.positions] = bindings.columns
    return column


def _taken_bindings(circuit: Circuit, params: Ints) -> Bindings | None:
    """Let the columns of values go where their parameters went, be it to several places.

    Args:
        circuit: as it was.
        params: place there of each parameter of the new one.
    """
    if circuit.bindings is None:
        return None
    column = _column_of(circuit, circuit.bindings)
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
