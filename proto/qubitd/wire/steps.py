"""The table of steps that the circuits of a job are made of, and circuits written as indices into it.

A step is an operation on certain qubits, or an operation that has parameters and the one after it that has none, both
on one qubit: a turn about z before a pulse, which is most of what there is, takes one index.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.circuit import CircuitBatch, Operation
from qubitd.core.control import CONTROL_ARITY
from qubitd.v1 import circuits_pb2
from qubitd.wire.control import check_row
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import UINT8, UINT16, UINT32, check_count, check_text, column, pack_column, parse

MAX_TABLE_ROWS = 4_096
"""Rows of the table of operations."""
MAX_OPERATION_NAME = 64
MAX_OPERANDS = 65_536
MAX_STEPS = 1_000_000
MAX_STEP_LENGTH = 16
"""Operations that one step stands for."""

_SMALL = 4_096
"""Bytes of a table that is remembered; entries of circuits that are."""

Ints = NDArray[np.int64]
_DENSE = 2**20
"""Most keys that are told apart by a table instead of by sorting."""
_WORDS = (np.dtype("<u2"), np.dtype("<u4"), np.dtype("<u8"))
"""Of one, two and four entries."""
_PLACE = 2**16
"""More than any index of a qubit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepTable:
    """Steps, and what they stand for."""

    operations: tuple[Operation, ...]
    length: Ints
    """Operations of each step, shape (steps,)."""
    opcodes: NDArray[np.uint16]
    """Of all steps one after another."""
    qubits: NDArray[np.uint16]
    """Operands of all operations one after another."""

    def __len__(self) -> int:
        return len(self.length)

    @property
    def arity(self) -> Ints:
        """Qubits of each operation of the table, shape (operations,)."""
        return np.array([o.num_qubits for o in self.operations], dtype=np.int64)


class StepReader:
    """Gives what circuits written as steps consist of. All that depends on the table alone is worked out once."""

    def __init__(self, table: StepTable) -> None:
        rows = [(o.num_qubits, o.num_params, o.num_clbits) for o in table.operations]
        per_operation = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        self.operations = table.operations
        self.counts = np.array([table.length, *(_per_step(table, counts) for counts in per_operation)], dtype=np.int64)
        """Operations, operands, parameters and bits of each step, shape (4, steps)."""
        self.highest_qubit = int(table.qubits.max(initial=0))
        self.has_control = any(o.name in CONTROL_ARITY for o in table.operations)
        """Whether there can be control flow."""
        self._is_one_each = np.array_equal(self.counts[0], self.counts[1])
        """Whether each operation has one operand."""
        alike = ((table.opcodes, table.qubits),) if self._is_one_each else ((table.opcodes,), (table.qubits,))
        self._copies = [Copies(columns, count) for columns, count in zip(alike, self.counts, strict=False)]
        self._ends = [(int(count.min(initial=0)), int(count.max(initial=0))) for count in self.counts]
        """The smallest and the largest number that a step has, of each of the four."""

    def __len__(self) -> int:
        return len(self.counts[0])

    def totals(self, steps: Ints) -> list[int]:
        """Count the operations, operands, parameters and bits of some steps, before any of them takes memory."""
        totals: list[int] = self.counts.dot(np.bincount(steps, minlength=len(self))).tolist()
        return totals

    def columns(self, steps: Ints, totals: Sequence[int]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Give the opcodes of some steps, and their qubits; `totals` are of these."""
        found = (copies.of(steps, total) for copies, total in zip(self._copies, totals, strict=False))
        opcodes, qubits = itertools.chain.from_iterable(found)
        return opcodes, qubits

    def bounds(self, steps: Ints, begins: Ints, totals: Sequence[int]) -> list[Ints]:
        """Find where the part of each circuit begins in columns of operations, operands, parameters and bits.

        Args:
            steps: of all circuits.
            begins: where the steps of each circuit begin, and those of the last one end.
            totals: of all circuits.
        """
        if len(begins) == 2:
            return [np.array([0, total]) for total in totals]
        owning = np.flatnonzero(begins[1:] > begins[:-1])
        found: list[Ints] = []
        for kind, (count, ends, total) in enumerate(zip(self.counts, self._ends, totals, strict=True)):
            if kind == 1 and self._is_one_each:
                found.append(found[0])
                continue
            alike = next((each for each in ends if total == each * len(steps)), None)
            if alike is not None:
                found.append(begins * alike)
                continue
            own = np.zeros(len(begins), dtype=np.int64)
            own[owning + 1] = np.add.reduceat(count[steps], begins[owning])
            found.append(own.cumsum())
        return found


def _per_step(table: StepTable, per_operation: Ints) -> Ints:
    """Sum a number that each operation of the table has over each step."""
    total = np.zeros(len(table.opcodes) + 1, dtype=np.int64)
    np.cumsum(per_operation[table.opcodes], out=total[1:])
    end = np.cumsum(table.length)
    return np.asarray(total[end] - total[end - table.length], dtype=np.int64)


class Copies:
    """Copies the entries of a table's rows, from columns that have as many for each row.

    Rows of up to four entries are copied as one word each, and what they are filled up with is dropped.
    """

    def __init__(self, columns: Sequence[NDArray[np.uint16]], count: Ints) -> None:
        """Take columns with the entries of all rows one after another, and how many each row has."""
        widest = int(count.max(initial=0))
        self._columns = columns
        self._count = count
        self._word = next((word for word in _WORDS if 2 * widest <= word.itemsize), None)
        if self._word is None:
            return
        filled = np.arange(self._word.itemsize // 2) < count[:, np.newaxis]
        self._rows = [_rows(column, filled).view(self._word).ravel() for column in columns]
        self._filled = filled.view(f"<u{filled.shape[1]}").ravel()

    def of(self, index: Ints, total: int) -> list[NDArray[np.uint16]]:
        """Give the entries of some rows, `total` in all, one after another."""
        if not total:
            return [column[:0] for column in self._columns]
        if self._word is None:
            places = expand(np.cumsum(self._count) - self._count, self._count, index)
            return [column.take(places) for column in self._columns]
        found = [rows[index].view(np.uint16) for rows in self._rows]
        if len(found[0]) == total:
            return found
        places = self._filled.take(index).view(np.bool_).nonzero()[0]
        return [column.take(places) for column in found]


def _rows(column: NDArray[np.uint16], filled: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Lay the entries of a column out in rows."""
    rows = np.zeros(filled.shape, dtype=np.uint16)
    rows[filled] = column
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Circuits as steps, as bytes."""

    table: bytes
    """`qubitd.v1.StepTable`."""
    steps: bytes
    """Of all circuits one after another: indices into the table."""
    counts: tuple[int, ...]
    """Steps of each circuit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """Circuits as steps."""

    table: StepTable
    steps: Ints
    """Index into the table, of all circuits one after another."""
    bounds: Ints
    """Where each circuit's steps begin, and where the last one's end."""


def expand(first: Ints, count: Ints, index: Ints) -> Ints:
    """Give the places of all entries of rows that have `count` entries from `first` on, for these rows in turn."""
    if len(count) and count.min() == count.max() == 1:
        return first.take(index)
    times = count.take(index)
    end = np.cumsum(times)
    places = np.repeat(first.take(index) + times - end, times)
    places += np.arange(len(places))
    return places


def encode_table(table: StepTable) -> circuits_pb2.StepTable:
    """Give the message of a table."""
    return circuits_pb2.StepTable(
        operations=[
            circuits_pb2.Operation(
                name=o.name, num_qubits=o.num_qubits, num_params=o.num_params, num_clbits=o.num_clbits
            )
            for o in table.operations
        ],
        lengths=pack_column(table.length, UINT8),
        opcodes=pack_column(table.opcodes, UINT16),
        qubits=pack_column(table.qubits, UINT16),
    )


def decode_table(content: bytes) -> StepReader:
    """Read and check a table that circuits are to be read with; small ones, which come again and again, are remembered.

    Raises:
        MalformedMessageError: its columns do not fit each other, or an operation acts on a qubit twice.
    """
    return _decode_small(content) if len(content) <= _SMALL else _decode(content)


@functools.lru_cache(maxsize=64)
def _decode_small(content: bytes) -> StepReader:
    return _decode(content)


def _decode(content: bytes) -> StepReader:
    message = parse(circuits_pb2.StepTable, content)
    check_count(len(message.operations), where="number of operations in the table", most=MAX_TABLE_ROWS)
    operations = tuple(_decode_operation(row, index) for index, row in enumerate(message.operations))
    length = column(message.lengths, UINT8, where="lengths of steps").astype(np.int64)
    opcodes = column(message.opcodes, UINT16, where="opcodes")
    qubits = column(message.qubits, UINT16, where="qubits")
    check_count(len(length), where="number of steps", most=MAX_STEPS)
    if len(length):
        check_count(int(length.min()), where="least length of a step", least=1, most=MAX_STEP_LENGTH)
        check_count(int(length.max()), where="largest length of a step", least=1, most=MAX_STEP_LENGTH)
    _check_length("opcodes", len(opcodes), int(length.sum()))
    if len(opcodes):
        check_count(int(opcodes.max()), where="largest opcode", most=len(operations) - 1)
    table = StepTable(operations=operations, length=length, opcodes=opcodes, qubits=qubits)
    count = table.arity[opcodes]
    _check_length("qubits", len(qubits), int(count.sum()))
    _check_distinct(table, np.repeat(np.arange(len(opcodes)), count))
    return StepReader(table)


def pack_steps(batch: CircuitBatch) -> Packed:
    """Write circuits as steps; short ones, which come again and again with other angles, are remembered."""
    columns = batch.columns
    bounds = columns.bounds.opcodes
    if len(columns.opcodes) + len(columns.qubits) + len(bounds) > _SMALL:
        return _packed(batch.operations, columns.opcodes, columns.qubits, bounds)
    return _pack_small(batch.operations, columns.opcodes.tobytes(), columns.qubits.tobytes(), bounds.tobytes())


@functools.lru_cache(maxsize=64)
def _pack_small(operations: tuple[Operation, ...], opcodes: bytes, qubits: bytes, bounds: bytes) -> Packed:
    return _packed(
        operations,
        np.frombuffer(opcodes, np.uint16),
        np.frombuffer(qubits, np.uint16),
        np.frombuffer(bounds, np.int64),
    )


def _packed(
    operations: tuple[Operation, ...], opcodes: NDArray[np.uint16], qubits: NDArray[np.uint16], bounds: Ints
) -> Packed:
    written = _write_steps(operations, opcodes, qubits, bounds)
    return Packed(
        table=encode_table(written.table).SerializeToString(),
        steps=pack_column(written.steps, index_type(len(written.table))),
        counts=tuple(np.diff(written.bounds).tolist()),
    )


def _write_steps(
    operations: tuple[Operation, ...], opcodes: NDArray[np.uint16], qubits: NDArray[np.uint16], bounds: Ints
) -> Written:
    """Write circuits as steps, in whichever of the two ways takes fewer bytes."""
    table, steps = _single_steps(operations, opcodes.astype(np.int64), qubits)
    plain = Written(table=table, steps=steps, bounds=bounds)
    return min((plain, _paired(plain)), key=_size) if len(steps) else plain


def index_type(count: int) -> np.dtype[np.uint8 | np.uint16 | np.uint32]:
    """Give the type of an index that has so many values."""
    return UINT8 if count <= 2**8 else UINT16 if count <= 2**16 else UINT32


def _size(written: Written) -> int:
    table = written.table
    size = len(written.steps) * index_type(len(table)).itemsize + len(table)
    return size + table.opcodes.nbytes + table.qubits.nbytes


def _single_steps(
    operations: tuple[Operation, ...], opcode: Ints, qubits: NDArray[np.uint16]
) -> tuple[StepTable, Ints]:
    """A step for each operation on each operands that occurs, sorted; barriers and other wide ones after the rest."""
    arity = np.array([o.num_qubits for o in operations], dtype=np.int64)
    width = arity.take(opcode) if len(opcode) else opcode
    start = np.cumsum(width) - width
    place = int(qubits.max(initial=0)) + 2
    narrow, index = _distinct(_keys(opcode, qubits, width, start, place))
    steps = [_operands(key, place) for key in narrow.tolist() if key >= 0]
    wide: dict[tuple[int, ...], int] = {}
    if len(narrow) and narrow[0] < 0:
        index -= 1
        for op in np.flatnonzero(width > 2).tolist():
            step = (int(opcode[op]), *qubits[start[op] : start[op] + width[op]].tolist())
            index[op] = len(steps) + wide.setdefault(step, len(wide))
    return _table_of(operations, [*steps, *wide]), index


def _keys(opcode: Ints, qubits: NDArray[np.uint16], width: Ints, start: Ints, place: int) -> Ints:
    """A number for each operation on at most two qubits, its operands as digits; -1 for a wider one."""
    key = opcode * place**2
    for position, digit in ((0, place), (1, 1)):
        have = np.flatnonzero(width > position)
        key[have] += (qubits.take(start[have] + position).astype(np.int64) + 1) * digit
    key[width > 2] = -1
    return key


def _operands(key: int, place: int) -> tuple[int, ...]:
    rest, second = divmod(key, place)
    opcode, first = divmod(rest, place)
    return (opcode, *(digit - 1 for digit in (first, second) if digit))


def _table_of(operations: tuple[Operation, ...], steps: Sequence[tuple[int, ...]]) -> StepTable:
    return StepTable(
        operations=operations,
        length=np.ones(len(steps), dtype=np.int64),
        opcodes=np.array([step[0] for step in steps], dtype=np.uint16),
        qubits=np.array([qubit for step in steps for qubit in step[1:]], dtype=np.uint16),
    )


def _paired(plain: Written) -> Written:
    """Write a turn and the pulse after it on the same qubit as one step."""
    table, steps, bounds = plain.table, plain.steps, plain.bounds
    turned, pulsed = _turned_and_pulsed(table)
    joins = np.zeros(len(steps), dtype=bool)
    joins[:-1] = turned[steps[:-1]] == pulsed[steps[1:]]
    joins[bounds[1:] - 1] = False
    head = np.flatnonzero(joins)
    pairs, index = _distinct(steps[head] * len(table) + steps[head + 1])
    written = steps.copy()
    written[head] = len(table) + index
    keeps = np.ones(len(steps), dtype=bool)
    keeps[head + 1] = False
    begin = np.concatenate(([0], np.cumsum(keeps)))[bounds]
    return Written(table=_with_pairs(table, pairs), steps=written[keeps], bounds=begin)


def _turned_and_pulsed(table: StepTable) -> tuple[Ints, Ints]:
    """For each step of one operation, the qubit that it turns, else -1; the qubit that it pulses, else -2."""
    rows = [(o.num_qubits == 1 and not o.num_clbits, o.num_params > 0) for o in table.operations]
    alone, turns = np.array(rows, dtype=bool).reshape(-1, 2).T
    count = table.arity[table.opcodes]
    first = table.qubits.astype(np.int64).take(np.cumsum(count) - count, mode="clip") if len(table.qubits) else count
    is_turn = (alone & turns)[table.opcodes]
    is_pulse = (alone & ~turns)[table.opcodes]
    return np.where(is_turn, first, -1), np.where(is_pulse, first, -2)


def _with_pairs(table: StepTable, pairs: Ints) -> StepTable:
    both = np.stack(np.divmod(pairs, max(1, len(table))), axis=1).ravel()
    count = table.arity[table.opcodes]
    first = np.cumsum(count) - count
    return StepTable(
        operations=table.operations,
        length=np.concatenate((table.length, np.full(len(pairs), 2))),
        opcodes=np.concatenate((table.opcodes, table.opcodes[both])),
        qubits=np.concatenate((table.qubits, table.qubits[expand(first, count, both)])),
    )


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """Give the distinct keys, sorted, and where each key stands among them."""
    if not len(keys):
        return keys, keys
    low = int(keys.min())
    span = int(keys.max()) - low + 1
    if span > max(_DENSE, len(keys)):
        found, index = np.unique(keys, return_inverse=True)
        return found, index
    present = np.zeros(span, dtype=bool)
    present[keys - low] = True
    place = np.cumsum(present) - 1
    return np.flatnonzero(present) + low, place.take(keys - low)


def _decode_operation(message: circuits_pb2.Operation, index: int) -> Operation:
    where = f"row {index} of the table of operations"
    row = Operation(
        name=check_text(message.name, where=f"{where}, name", least=1, most=MAX_OPERATION_NAME),
        num_qubits=check_count(message.num_qubits, where=f"{where}, num_qubits", most=MAX_OPERANDS),
        num_params=check_count(message.num_params, where=f"{where}, num_params", most=MAX_OPERANDS),
        num_clbits=check_count(message.num_clbits, where=f"{where}, num_clbits", most=MAX_OPERANDS),
    )
    return check_row(row, where)


def _check_length(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise malformed(f"table of steps, {name}", f"holds {found} entries; its steps and operations ask for {wanted}")


def _check_distinct(table: StepTable, owners: Ints) -> None:
    """Sort the operands within each operation, all at once, and compare neighbours."""
    keys = np.sort(owners * _PLACE + table.qubits)
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        entry, qubit = divmod(int(keys[twice[0]]), _PLACE)
        step = int(np.searchsorted(np.cumsum(table.length), entry, side="right"))
        name = table.operations[int(table.opcodes[entry])].name
        raise malformed(f"step {step} of the table ({name})", f"acts on qubit {qubit} twice")
