"""Pass: control flow becomes a line of operations, each with the test of outcomes under which it happens.

Loops are written out; nested branches, `else`, `break` and `continue` become one test each. Where there is none, gates
of one qubit become turns of its phase piece by piece, each under a test. A reset that finds its qubit used becomes
rounds of a measurement and a flip if that gave 1.

Before: circuits whose brackets are balanced and whose gates were checked. After: no bracket, and no reset behind the
first gate of its qubit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.active_reset import Extended, Pieces, late_resets, with_active_resets
from qubitd.compiler.axis import turns_of
from qubitd.compiler.blocks import Branches, Item, Jump, Loop, Stretch, blocks_of, conditions_in
from qubitd.compiler.columns import Ints
from qubitd.compiler.matrices import gate_matrix
from qubitd.compiler.outcomes import MAX_COMPARED, MAX_WORLDS, Bools, OutcomeTest, Truth, Worlds, find_test
from qubitd.compiler.parities import MOST_OUTCOMES, Parities, parities_of
from qubitd.compiler.pieces import PHASES, Piece, pieces_of_phase, pieces_of_turn
from qubitd.compiler.places import problem_at
from qubitd.core.circuit import Circuit, CircuitBatch, Operation, offsets
from qubitd.core.control import CONTROL_ARITY, Condition
from qubitd.core.device import Gate
from qubitd.core.errors import InvalidCircuitError, Problem
from qubitd.core.feedforward import ALWAYS
from qubitd.core.job import InitialReset

MAX_WRITTEN_OUT = 5_000_000
"""Operations of all circuits of a job that have loops, branches or resets, written out: about 20 bytes each."""
_UNTOLD = (
    "is none of OR, NOR, AND, NAND, XOR and XNOR of outcomes, which is all that the trigger network can tell (two "
    "outcomes of one qubit add up in one counter); write it with one of these, or measure into other bits. Under "
    f"another, of at most {MOST_OUTCOMES} qubits' outcomes, only gates of one qubit can stand whose meaning is known, "
    "and of their angles only those of rz, p and u1 may be bound to columns"
)
_LESS = "repeat less, or split it"
_WAITING = ("barrier", "delay", "id")
"""Operations that are the same whether they happen or not."""
_NO_GATES: Mapping[str, Gate] = {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guards:
    """What decides over the operations of one circuit without brackets."""

    tests: tuple[OutcomeTest, ...]
    test: Ints
    """Index into `tests` of each operation, or ALWAYS."""
    measurements: tuple[int, ...]
    """Position of the operation that gives each outcome."""
    source: Ints
    """Position of what each operation was written as."""
    front: int = 0
    """How many of these stand in front of the circuit that was sent."""

    @property
    def feeding(self) -> frozenset[int]:
        """Outcomes that a test looks at."""
        return frozenset(number for test in self.tests for number in test.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flattened:
    """A batch without control flow."""

    batch: CircuitBatch
    guards: Mapping[int, Guards]
    """By circuit; in one that is not in it, nothing depends on an outcome."""
    problems: tuple[Problem, ...]
    initial: InitialReset = InitialReset.PASSIVE


def flatten_batch(
    batch: CircuitBatch,
    *,
    rounds: int,
    initial: InitialReset = InitialReset.PASSIVE,
    but: Collection[int | None] = (),
    front: Sequence[int] = (),
    gates: Mapping[str, Gate] = _NO_GATES,
) -> Flattened:
    """Flatten every circuit that has brackets or resets of used qubits.

    Args:
        batch: that was checked.
        rounds: measurements and flips that a reset consists of.
        initial: how qubits come to be in 0 before each shot.
        but: circuits in which a check found something wrong; they are left alone.
        front: operations that each circuit has in front of those that were sent; none unless given.
        gates: the device's own gates, by name.
    """
    if {operation.name for operation in batch.operations}.isdisjoint(("reset", *CONTROL_ARITY)):
        return Flattened(batch=batch, guards={}, problems=())
    table = {operation: index for index, operation in enumerate(batch.operations)}
    sound = (i for i in range(len(batch.circuits)) if i not in but)
    dynamic = [i for i in sound if is_dynamic(batch.circuits[i], batch.operations, initial)]
    if not dynamic:
        return Flattened(batch=batch, guards={}, problems=())
    circuits = list(batch.circuits)
    guards: dict[int, Guards] = {}
    problems: list[Problem] = []
    written, compared = 0, 0
    for i in dynamic:
        begun = front[i] if front else 0
        flattening = _Flattening(batch, i, table, rounds, initial, MAX_COMPARED - compared, begun, gates)
        problems += flattening.problems
        written += flattening.size
        compared += flattening.compared
        if compared > MAX_COMPARED:
            break
        if written > MAX_WRITTEN_OUT:
            what = f"with its loops and conditions written out has more than {MAX_WRITTEN_OUT} operations; {_LESS}"
            problems.append(Problem(where="job", what=what))
            break
        circuits[i] = flattening.circuit()
        if (found := flattening.guards()).tests:
            guards[i] = found
    flat = replace(batch, operations=tuple(table), circuits=tuple(circuits))
    return Flattened(batch=flat, guards=guards, problems=tuple(problems), initial=initial)


def is_dynamic(circuit: Circuit, operations: Sequence[Operation], initial: InitialReset) -> bool:
    """Whether a circuit has brackets, or a reset of a qubit that was used."""
    if not any(row.name in CONTROL_ARITY or row.name == "reset" for row in operations):
        return False
    rows = np.flatnonzero(np.bincount(circuit.opcodes))
    names = {operations[int(row)].name for row in rows}
    has_late = "reset" in names and bool(late_resets(circuit, operations, initial).any())
    return not names.isdisjoint(CONTROL_ARITY) or has_late


class _TooManyWorldsError(Exception):
    """What happens next depends on too much."""

    def __init__(self, op: int, what: str) -> None:
        self.op = op
        self.what = what
        super().__init__(op, what)


@dataclass(slots=True, kw_only=True, eq=False)
class _Block:
    """A block that is being walked through."""

    truth: Truth
    """Whether what comes next in it happens."""
    op: int
    text: str
    test: int | None = None
    """Its test, once it was asked for; a jump makes it unknown again."""
    parities: Parities | None = None
    """What it is instead if there is no such test."""
    known: dict[tuple[int, bytes], tuple[Pieces, Ints] | None] = field(default_factory=dict, init=False)
    """Then: what stands for each gate, by its opcode and parameters, and the test of each piece; None for nothing."""


class _Flattening:
    """Walks through one circuit as if it ran, in all worlds at once."""

    def __init__(
        self,
        batch: CircuitBatch,
        index: int,
        table: dict[Operation, int],
        rounds: int,
        initial: InitialReset,
        most_compared: int,
        front: int,
        gates: Mapping[str, Gate],
    ) -> None:
        self.problems: list[Problem] = []
        self._index = index
        self._front = front
        self._circuit = batch.circuits[index]
        self._operations = batch.operations
        self._rounds = rounds
        self._most_compared = most_compared
        self._late = late_resets(self._circuit, batch.operations, initial)
        self._extended = with_active_resets(self._circuit, np.flatnonzero(self._late), table)
        self._rows = tuple(table)
        self._added: list[tuple[int, Pieces]] = []
        """What stands for operations piece by piece, behind the end of the extended circuit."""
        self._end = len(self._extended.circuit)
        self._bound = np.zeros(len(self._circuit.params), dtype=np.bool_)
        if self._circuit.bindings is not None:
            self._bound[self._circuit.bindings.positions] = True
        self._gates = gates
        self._table = table
        self._start = offsets(self._circuit, batch.operations)
        self._reads: dict[int, int] = {}
        """Position behind which each classical bit is not looked at any more."""
        self._worlds = Worlds()
        self._bits: dict[int, Truth] = {}
        self._blocks = [_Block(truth=self._carried(self._worlds.constant(holds=True)), op=0, text="")]
        self._loops: list[int] = []
        """Where in `_blocks` each loop begins."""
        self._ops: list[Ints] = []
        self._test: list[Ints] = []
        self._size = 0
        self._tests: dict[OutcomeTest, int] = {}
        self._qubit_of: list[int] = []
        self._measurements: list[int] = []
        self._flatten()

    @property
    def size(self) -> int:
        """Operations of the circuit as it is played."""
        return sum(map(len, self._ops))

    @property
    def compared(self) -> int:
        """Values of outcomes that it took."""
        return self._worlds.compared

    def circuit(self) -> Circuit:
        """Give the circuit as it is played."""
        return self._whole.taken(_joined(self._ops))

    def guards(self) -> Guards:
        """Give what decides over its operations."""
        return Guards(
            tests=tuple(self._tests),
            test=_joined(self._test),
            measurements=tuple(self._measurements),
            source=self._whole.source[_joined(self._ops)],
            front=self._front,
        )

    @cached_property
    def _whole(self) -> Extended:
        """All operations that there are; asked for once everything was written."""
        sources, pieces = zip(*self._added, strict=True) if self._added else ((), ())
        return self._extended.with_pieces(sources, pieces, self._table)

    def _flatten(self) -> None:
        items = blocks_of(self._circuit, self._operations)
        for condition, last in conditions_in(items):
            for clbit in condition.clbits:
                self._reads[clbit] = max(last, self._reads.get(clbit, 0))
        self._waits = np.array([row.name in _WAITING for row in self._rows], dtype=bool)
        self._special = self._late.copy()
        owner = np.repeat(np.arange(len(self._circuit)), np.diff(self._start.clbits))
        read = np.array([self._reads.get(clbit, -1) for clbit in self._circuit.clbits.tolist()], dtype=np.int64)
        self._special[owner[owner < read]] = True
        try:
            for item in items:
                self._forget(item.start if isinstance(item, Stretch) else item.op)
                self._walk((item,))
        except _TooManyWorldsError as error:
            self._refuse(error.op, f"what happens next depends on {error.what}")

    def _walk(self, items: Sequence[Item]) -> None:
        for item in items:
            if not self._blocks[-1].truth.holds.any():
                return
            match item:
                case Stretch():
                    self._stretch(item)
                case Branches():
                    self._branches(item)
                case Loop():
                    self._loop(item)
                case Jump():
                    self._jump(item)
                case _:
                    assert_never(item)

    def _stretch(self, item: Stretch) -> None:
        start = item.start
        special: list[int] = (item.start + np.flatnonzero(self._special[item.start : item.stop])).tolist()
        for op in special:
            if op < start:
                continue
            self._write(np.arange(start, op))
            if self._late[op]:
                start = self._resets(op, item.stop)
            else:
                self._measure(op, op, self._clbits(op))
                start = op + 1
        self._write(np.arange(start, item.stop))

    def _branches(self, item: Branches) -> None:
        holds = self._evaluate(item.condition)
        around = self._blocks[-1].truth
        depends = around.depends | holds.depends
        then = self._carried(Truth(holds=around.holds & holds.holds, depends=depends))
        otherwise = self._carried(Truth(holds=around.holds & ~holds.holds, depends=depends))
        self._inside(then, item.op, item.condition.text, item.then)
        self._inside(otherwise, item.op, f"not ({item.condition.text})", item.otherwise)

    def _loop(self, item: Loop) -> None:
        plain = self._plain((item,))
        if plain is not None:
            self._write(plain)
            return
        text = "" if item.condition is None else item.condition.text
        going = self._opened(_copy_of(self._blocks[-1].truth), item.op, text)
        self._loops.append(len(self._blocks) - 1)
        for _ in range(item.times):
            if item.condition is not None:
                holds = self._evaluate(item.condition)
                going.truth.holds = going.truth.holds & holds.holds
                going.truth.depends |= holds.depends
            if not going.truth.holds.any():
                break
            self._inside(self._carried(_copy_of(going.truth)), item.op, "", item.body)
        self._loops.pop()
        self._close()

    def _jump(self, item: Jump) -> None:
        loop = self._loops[-1]
        jumping = _copy_of(self._blocks[-1].truth)
        for block in self._blocks[loop if item.leaves else loop + 1 :]:
            block.truth.holds = block.truth.holds & ~jumping.holds
            block.truth.depends |= jumping.depends
            block.test = None

    def _resets(self, first: int, stop: int) -> int:
        """Reset qubits that are reset one behind the other, a round of all before the next: so the outcomes of one are
        on their way while another is measured. Give the position behind them.
        """
        end, seen = first, set[int]()
        while end < stop and self._late[end] and (qubit := self._qubit(end)) not in seen:
            seen.add(qubit)
            end += 1
        for _ in range(self._rounds):
            for op in range(first, end):
                self._reset(op)
        return end

    def _reset(self, op: int) -> None:
        measure = self._extended.added_for(op)
        self._measure(op, measure, ())
        number = len(self._measurements) - 1
        truth = Truth(holds=self._worlds.outcomes[number], depends=frozenset((number,)))
        self._opened(truth, op, "reset")
        self._write(np.array([measure + 1]))
        self._close()

    def _qubit(self, op: int) -> int:
        return int(self._circuit.qubits[self._start.qubits[op]])

    def _measure(self, op: int, extended: int, clbits: Sequence[int]) -> None:
        if len(clbits) > 1:
            self._refuse(op, "measures several qubits at once; conditions can only look at qubits measured one by one")
            return
        happens = self._blocks[-1].truth
        self._write(np.array([extended]))
        number = len(self._measurements)
        self._measurements.append(self._size - 1)
        self._qubit_of.append(self._qubit(op))
        self._worlds.make_room(int(happens.holds.sum()))
        if self._worlds.size + int(happens.holds.sum()) > MAX_WORLDS:
            many = f"more than {MAX_WORLDS} combinations of outcomes"
            raise _TooManyWorldsError(op, f"{many}; bound the loops lower, or let fewer outcomes decide")
        if self._worlds.compared > self._most_compared:
            many = f"{len(self._worlds.outcomes)} outcomes in {self._worlds.size} combinations"
            raise _TooManyWorldsError(op, f"{many}, and so did too many before; repeat less, or split the job")
        outcome = self._worlds.measure(number, happens)
        for clbit in clbits:
            self._set(clbit, number, outcome, happens)

    def _set(self, clbit: int, number: int, outcome: Bools, happens: Truth) -> None:
        """A bit keeps its value where the measurement does not happen."""
        depends = frozenset((number,))
        if happens.holds.all():
            new = Truth(holds=outcome, depends=depends)
        else:
            old = self._bits.get(clbit) or self._worlds.constant(holds=False)
            holds = np.where(happens.holds, outcome, old.holds)
            new = Truth(holds=holds, depends=depends | happens.depends | old.depends)
        self._drop(self._bits.pop(clbit, None))
        self._bits[clbit] = self._carried(new)

    def _forget(self, position: int) -> None:
        """Drop the bits that nothing looks at any more."""
        for clbit in [clbit for clbit in self._bits if self._reads[clbit] < position]:
            self._drop(self._bits.pop(clbit))

    def _evaluate(self, condition: Condition) -> Truth:
        value = np.zeros(self._worlds.size, dtype=np.int64)
        depends: frozenset[int] = frozenset()
        for j, clbit in enumerate(condition.clbits):
            bit = self._bits.get(clbit)
            if bit is not None:
                value |= bit.holds.astype(np.int64) << j
                depends |= bit.depends
        table = np.array([condition.holds(v) for v in range(2 ** len(condition.clbits))], dtype=bool)
        return Truth(holds=table[value], depends=depends)

    def _plain(self, items: Sequence[Item]) -> Ints | None:
        """Write loops out at once if nothing in them asks for a condition or gives an outcome to one."""
        found: list[Ints] = []
        for item in items:
            if isinstance(item, Stretch) and not self._special[item.start : item.stop].any():
                found.append(np.arange(item.start, item.stop))
            elif isinstance(item, Loop) and item.condition is None and (body := self._plain(item.body)) is not None:
                found.append(np.tile(body, item.times))
            else:
                return None
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    def _write(self, ops: Ints) -> None:
        if not len(ops):
            return
        waits = self._waits_of(self._extended.circuit.opcodes[ops])
        test = ALWAYS if waits.all() else self._current_test()
        parities = None if waits.all() else self._blocks[-1].parities
        if parities is None:
            self._put(ops, np.where(waits, ALWAYS, test))
            return
        for op, is_wait in zip(ops.tolist(), waits.tolist(), strict=True):
            if is_wait:
                self._put(np.array([op]), np.array([ALWAYS]))
            elif not self._put_pieces(op, parities):
                self._refuse_block()
                return
            if self._size > MAX_WRITTEN_OUT:
                return

    def _put(self, ops: Ints, test: Ints) -> None:
        self._ops.append(ops)
        self._test.append(test)
        self._size += len(ops)

    def _put_pieces(self, op: int, parities: Parities) -> bool:
        """Write what stands for a gate where a sum of tests is 1; False if nothing can."""
        start = self._extended.start.params
        params = self._extended.circuit.params[int(start[op]) : int(start[op + 1])]
        opcode = int(self._extended.circuit.opcodes[op])
        row = self._rows[opcode]
        is_phase = row.name in PHASES and row.num_params == 1
        if not is_phase and self._bound[start[op] : start[op + 1]].any():
            return False
        key = (opcode, b"" if is_phase else params.tobytes())
        known = self._blocks[-1].known
        if key not in known:
            made = pieces_of_phase(parities) if is_phase else self._pieces_of(row, params, parities)
            known[key] = None if made is None else self._columns_of(made)
        found = known[key]
        if found is None:
            return False
        pieces, test = found
        self._put(self._end + np.arange(len(test)), test)
        self._end += len(test)
        self._added.append((op, pieces))
        return True

    def _pieces_of(self, row: Operation, params: NDArray[np.float64], parities: Parities) -> tuple[Piece, ...] | None:
        """Give what stands for a gate, if it is of one qubit and it is known what it is meant to do."""
        if row.num_qubits != 1 or row.num_clbits:
            return None
        try:
            turns = turns_of(gate_matrix(self._gates, row.name, tuple(params.tolist())))
        except InvalidCircuitError:  # nobody said what it is meant to do
            return None
        return tuple(piece for turn in turns for piece in pieces_of_turn(turn, parities))

    def _columns_of(self, pieces: Sequence[Piece]) -> tuple[Pieces, Ints]:
        turning = [piece for piece in pieces if piece.gate.num_params]
        opcodes = [self._table.setdefault(piece.gate, len(self._table)) for piece in pieces]
        columns = Pieces(
            opcodes=np.array(opcodes, dtype=np.uint16),
            angles=np.array([piece.angle for piece in turning]),
            are_shares=np.array([piece.is_share for piece in turning], dtype=np.bool_),
        )
        test = [ALWAYS if piece.test is None else self._number_of(piece.test) for piece in pieces]
        return columns, np.array(test, dtype=np.int64)

    def _waits_of(self, opcodes: NDArray[np.uint16]) -> Bools:
        """Which rows only wait."""
        return np.asarray(self._waits[opcodes])

    def _current_test(self) -> int:
        block = self._blocks[-1]
        if block.test is None:
            block.test = self._find_test(block)
        return block.test

    def _find_test(self, block: _Block) -> int:
        if block.truth.holds.all():
            return ALWAYS
        block.parities = None
        block.known.clear()
        test = find_test(block.truth, self._worlds, self._qubit_of)
        if test is not None:
            block.truth.depends = frozenset(test.outcomes)
            return self._number_of(test)
        block.parities = parities_of(block.truth, self._worlds, self._qubit_of)
        if block.parities is None:
            self._refuse_block()
        else:
            block.truth.depends = frozenset(block.parities.everything.outcomes)
        return ALWAYS

    def _number_of(self, test: OutcomeTest) -> int:
        return self._tests.setdefault(test, len(self._tests))

    def _refuse_block(self) -> None:
        """Say, once, that the block's condition cannot be told."""
        block = self._blocks[-1]
        block.test, block.parities = ALWAYS, None
        text = " and ".join(f"({b.text})" for b in self._blocks if b.text)
        self._refuse(block.op, f"the condition {text} {_UNTOLD}")

    def _inside(self, truth: Truth, op: int, text: str, items: Sequence[Item]) -> None:
        """Walk through a block whose truth is carried along already."""
        self._blocks.append(_Block(truth=truth, op=op, text=text))
        self._walk(items)
        self._close()

    def _opened(self, truth: Truth, op: int, text: str) -> _Block:
        block = _Block(truth=self._carried(truth), op=op, text=text)
        self._blocks.append(block)
        return block

    def _close(self) -> None:
        self._drop(self._blocks.pop().truth)

    def _carried(self, truth: Truth) -> Truth:
        self._worlds.truths.append(truth)
        return truth

    def _drop(self, truth: Truth | None) -> None:
        if truth is not None:
            self._worlds.truths = [other for other in self._worlds.truths if other is not truth]

    def _clbits(self, op: int) -> list[int]:
        found: list[int] = self._circuit.clbits[self._start.clbits[op] : self._start.clbits[op + 1]].tolist()
        return found

    def _refuse(self, op: int, what: str) -> None:
        name = self._operations[int(self._circuit.opcodes[op])].name
        problem = problem_at(self._index, self._circuit.name, op, name, what, front=self._front)
        if problem not in self.problems:  # of a loop's body, at each repetition
            self.problems.append(problem)


def _copy_of(truth: Truth) -> Truth:
    """Copy a truth, so that one may change without the other."""
    return Truth(holds=truth.holds, depends=truth.depends)


def _joined(pieces: Sequence[Ints]) -> Ints:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
