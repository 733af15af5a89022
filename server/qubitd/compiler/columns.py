"""Some circuits of a batch as one set of columns, so that every pass is a few array operations for all of them.

The columns hold whole circuits, one after another in order. Each circuit's qubits are wires of their own
(wire = circuit * qubits + qubit), so a pass along wires need not know where one circuit ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler import native
from qubitd.core.circuit import CircuitBatch, CircuitColumns, Operation

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Keys = Ints | NDArray[np.uint16]
_T = TypeVar("_T", bound=np.generic)

_BLOCK_OPERATIONS = 40_000
"""Operations of a block: its columns stay in the processor's cache, and memory is bounded by a few of them."""
_BLOCK_LINES = 60_000
"""Circuits x lines of a block; below 2^16, so that sorting plays by line is a radix sort."""
_RARE = 16
"""Operations for each that has entries, if these are few."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Operations of some circuits. `*_start` has one entry more than there are operations."""

    circuits: int
    num_qubits: int
    """Qubits of the device: wires per circuit."""
    operations: tuple[Operation, ...]
    """The table that `opcode` indexes."""
    circuit: Ints
    """Which circuit of the block each operation belongs to; shape (operations,)."""
    opcode: Ints
    """Shape (operations,)."""
    qubits: Ints
    """Operands of all operations one after another."""
    qubit_start: Ints
    params: Floats
    """Of all operations one after another; with an axis in front if the one circuit has several bindings."""
    param_start: Ints
    clbits: Ints
    clbit_start: Ints

    def __len__(self) -> int:
        return len(self.opcode)

    def param(self, ops: Ints, place: int) -> Floats:
        """Give one of the parameters of some operations, all of which have that many; shape (..., ops)."""
        where = self.param_start[ops]
        return picked(self.params, where + place if place else where)

    @property
    def num_wires(self) -> int:
        """Circuits x qubits."""
        return self.circuits * self.num_qubits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wires:
    """Operands along the wires. One entry per operand; an operation on two qubits has two."""

    op: Ints
    """The operation of each operand, in the order of `Columns.qubits`."""
    wire: Ints
    """The wire of each operand, in the same order."""
    order: Ints
    """Positions of the operands, sorted by wire and along each wire in program order."""
    begin: Ints
    """Where each used wire begins in `order`."""
    count: Ints
    """Operands on each used wire."""
    joint: Ints
    """The operations on several qubits."""
    is_single: bool
    """Whether each operation has one operand, so that `op` counts up."""
    is_sorted: bool
    """Whether the wires follow each other in program order, so that `order` counts up."""

    @property
    def last(self) -> Ints:
        """Where each used wire ends in `order`."""
        return self.begin + self.count - 1

    def of_operands(self, values: NDArray[_T]) -> NDArray[_T]:
        """Give what each operation has to each of its operands, in the order of `Columns.qubits`."""
        return values if self.is_single else values[self.op]

    def along(self, values: NDArray[_T]) -> NDArray[_T]:
        """Bring what each operand has from the order of `Columns.qubits` into that of `order`; cases are in front."""
        return values if self.is_sorted else picked(values, self.order)

    def back(self, values: NDArray[_T]) -> NDArray[_T]:
        """Undo `along`."""
        if self.is_sorted:
            return values
        found = np.empty_like(values)
        found[..., self.order] = values
        return found

    def exclusive_sum(self, values: Ints) -> Ints:
        """Sum along each wire what came before; `values` and the result are in the order of `order`.

        There may be an axis in front, of cases that are summed up alike.
        """
        before = values.cumsum(axis=-1)
        before -= values
        before -= picked(before, self.begin).repeat(self.count, axis=-1)
        return before


def blocks(circuits: CircuitColumns, *, lines: int, within: range | None = None) -> Iterator[range]:
    """Cut a batch into runs of circuits that are compiled together in bounded memory.

    Args:
        circuits: of the whole batch.
        lines: lines of the device.
        within: the circuits to be cut, if not all.
    """
    most = max(1, _BLOCK_LINES // max(1, lines))
    begin = circuits.bounds.opcodes
    first, end = (0, len(circuits)) if within is None else (within.start, within.stop)
    while first < end:
        most_held = int(begin[first]) + _BLOCK_OPERATIONS
        full = int(np.searchsorted(begin, most_held, side="right")) - 1
        stop = min(end, first + most, max(first + 1, full))
        yield range(first, stop)
        first = stop


def cases_at_once(operations: int, *, lines: int) -> int:
    """Give how many bindings and points of one circuit are compiled together in bounded memory.

    Args:
        operations: of the circuit.
        lines: lines of the device.
    """
    return max(1, min(_BLOCK_OPERATIONS // max(1, operations), _BLOCK_LINES // max(1, lines)))


def fits_a_block(columns: Columns) -> bool:
    """Whether columns are as small as those of a block of several circuits."""
    return len(columns) <= _BLOCK_OPERATIONS


def opcodes_of(circuits: CircuitColumns, block: range) -> Ints:
    """Give the opcodes of some circuits, one after another."""
    return _of(circuits.opcodes, circuits.bounds.opcodes, block).astype(np.int64)


def gather(batch: CircuitBatch, block: range, num_qubits: int, *, opcode: Ints | None = None) -> Columns:
    """Give some circuits side by side. Their columns must fit the table of operations (`check` sees to that).

    Args:
        batch: in which they are.
        block: which; at least one.
        num_qubits: of the device.
        opcode: `opcodes_of` the circuits, if they are known.
    """
    circuits, operations = batch.columns, batch.operations
    bounds = circuits.bounds
    opcode = opcodes_of(circuits, block) if opcode is None else opcode
    begin = bounds.opcodes[block.start : block.stop + 1]
    return Columns(
        circuits=len(block),
        num_qubits=num_qubits,
        operations=operations,
        circuit=np.arange(len(block)).repeat(begin[1:] - begin[:-1]),
        opcode=opcode,
        qubits=_of(circuits.qubits, bounds.qubits, block).astype(np.int64),
        qubit_start=starts([o.num_qubits for o in operations], opcode),
        params=_of(circuits.params, bounds.params, block),
        param_start=starts([o.num_params for o in operations], opcode),
        clbits=_of(circuits.clbits, bounds.clbits, block).astype(np.int64),
        clbit_start=starts([o.num_clbits for o in operations], opcode),
    )


def _of(column: NDArray[_T], bounds: Ints, block: range) -> NDArray[_T]:
    return column[bounds[block.start] : bounds[block.stop]]


def without_operands(columns: Columns, *, circuits: int, order: Ints, circuit: Ints) -> Columns:
    """Give some operations in another order, or several times, with their qubits alone.

    Args:
        columns: the operations.
        circuits: how many circuits the new ones belong to.
        order: the operations to take.
        circuit: circuit of each of these.
    """
    widths = np.diff(columns.qubit_start)[order]
    begin = np.zeros(len(order) + 1, dtype=np.int64)
    np.cumsum(widths, out=begin[1:])
    within = np.arange(int(begin[-1])) - np.repeat(begin[:-1], widths)
    nothing = np.zeros(len(order) + 1, dtype=np.int64)
    return replace(
        columns,
        circuits=circuits,
        circuit=circuit,
        opcode=columns.opcode[order],
        qubits=columns.qubits[np.repeat(columns.qubit_start[order], widths) + within],
        qubit_start=begin,
        params=columns.params[..., :0],
        param_start=nothing,
        clbits=columns.clbits[:0],
        clbit_start=nothing,
    )


def starts(arity: Sequence[int], opcode: Ints) -> Ints:
    """Find where each operation's entries start in a flat column, and where the last one's end."""
    if len(set(arity)) == 1:
        each = np.arange(len(opcode) + 1)
        return each if arity[0] == 1 else each * arity[0]
    if not len(opcode):
        return np.zeros(1, dtype=np.int64)
    counts = np.array(arity, dtype=np.int64)
    done = native.starts(counts, opcode)
    if done is not None:
        return done
    has_any = (counts > 0).take(opcode)
    number = np.count_nonzero(has_any)
    if number * _RARE < len(opcode):
        owning = has_any.nonzero()[0]
        return _starts_of_few(counts[opcode[owning]], owning, len(opcode))
    found = np.zeros(len(opcode) + 1, dtype=np.int64)
    each = has_any.view(np.int8).astype(np.int64) if max(arity) == 1 else counts[opcode]
    each.cumsum(out=found[1:])
    return found


def _starts_of_few(counts: Ints, owning: Ints, operations: int) -> Ints:
    """The same, if only some operations have entries: a sum of few numbers, each repeated up to the next."""
    ends = np.zeros(len(counts) + 1, dtype=np.int64)
    counts.cumsum(out=ends[1:])
    until = np.empty(len(counts) + 2, dtype=np.int64)
    until[0], until[1:-1], until[-1] = -1, owning, operations
    return ends.repeat(until[1:] - until[:-1])


def owners(start: Ints) -> Ints:
    """Find the operation that each entry of a flat column belongs to, from where each operation's entries start."""
    every = np.arange(len(start) - 1)
    count = start[1:] - start[:-1]
    return every if (count == 1).all() else every.repeat(count)


def wires_of(columns: Columns) -> Wires:
    """Lay the operands out along the wires."""
    width = columns.qubit_start[1:] - columns.qubit_start[:-1]
    joint = (width > 1).nonzero()[0]
    laid = native.wires(
        columns.circuit, columns.qubits, columns.qubit_start, num_qubits=columns.num_qubits, wires=columns.num_wires
    )
    if laid is not None:
        return Wires(
            op=laid.op,
            wire=laid.wire,
            order=laid.order,
            begin=laid.begin,
            count=np.append(laid.begin[1:], len(laid.op)) - laid.begin,
            joint=joint,
            is_single=len(laid.op) == len(columns) and not len(joint),
            is_sorted=laid.is_sorted,
        )
    op = np.arange(len(columns))
    is_single = not len(joint) and len(columns.qubits) == len(columns)
    if not is_single:
        op = op.repeat(width)
    wire = (columns.circuit if is_single else columns.circuit[op]) * columns.num_qubits
    wire += columns.qubits
    is_sorted = is_ascending(wire)
    order = np.arange(len(wire)) if is_sorted else stable_order(wire, columns.num_wires)
    along = wire if is_sorted else wire[order]
    is_first = np.ones(len(along) + 1, dtype=bool)
    np.not_equal(along[1:], along[:-1], out=is_first[1:-1])
    bounds = is_first.nonzero()[0]
    begin = bounds[:-1]
    return Wires(
        op=op,
        wire=wire,
        order=order,
        begin=begin,
        count=bounds[1:] - begin,
        joint=joint,
        is_single=is_single,
        is_sorted=is_sorted,
    )


def is_ascending(keys: Keys) -> bool:
    """Whether no key is smaller than the one before."""
    return len(keys) < 2 or bool(np.count_nonzero(keys[1:] < keys[:-1]) == 0)


def stable_order(keys: Keys, size: int) -> Ints:
    """Sort keys from 0 to size - 1, which do not ascend, equal ones in their order; small keys by radix."""
    narrow = keys.astype(np.uint16) if size <= 2**16 else keys
    return narrow.argsort(kind="stable")


def picked(values: NDArray[_T], index: Ints) -> NDArray[_T]:
    """Give some entries of the last axis."""
    # numpy indexes one axis in half the time that `take` needs, and several in twice that time.
    return values[index] if values.ndim == 1 else values.take(index, axis=-1)


def joined(parts: Sequence[NDArray[_T]]) -> NDArray[_T]:
    """Put arrays, at least one, behind each other."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
