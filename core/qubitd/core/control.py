"""Control flow inside a circuit: brackets in program order, and conditions on classical bits as truth tables.

`if`, `else`, `for`, `while`, `break`, `continue` and `end` are rows of the table of operations without operands. Each
`if`, `for` and `while` opens a block that its `end` closes; an `else` parts the block of an `if` in two. What belongs
to a bracket stands in a flat column of its own, as many numbers as `CONTROL_ARITY` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONTROL_ARITY = {"if": 1, "else": 0, "for": 1, "while": 2, "break": 0, "continue": 0, "end": 0}
"""Numbers per bracket: `if` has the index of its condition, `for` how often it repeats, `while` both."""
MAX_CONDITION_BITS = 10
"""Classical bits that one condition may read: its truth table has 2^10 entries."""
MAX_DEPTH = 64
"""Blocks inside each other."""
MAX_EXPANDED = 1_000_000
"""Operations of a circuit with its loops written out."""
_PROBLEMS = 5
_OPENING, _LOOPS, _JUMPS = ("if", "for", "while"), ("for", "while"), ("break", "continue")

_Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Whether something happens, as a table over the values of some classical bits at that time."""

    clbits: tuple[int, ...]
    """Bits that it reads, sorted and distinct, 1 to 10."""
    truth: int
    """Bit v says whether it holds when these bits are v, where bit j of v is `clbits[j]`."""
    text: str
    """For messages, such as `c == 3`."""

    def holds(self, value: int) -> bool:
        """Look up whether it holds for a value of its bits."""
        return bool(self.truth >> value & 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brackets:
    """The brackets of one circuit; every column has shape (brackets,)."""

    op: _Ints
    """Their positions among the circuit's operations."""
    name: NDArray[np.str_]
    first: _Ints
    """Where the numbers of each begin in the column `controls`."""


def condition_problem(condition: Condition, *, num_clbits: int) -> str | None:
    """Say what is wrong with a condition by itself."""
    count = len(condition.clbits)
    if not 1 <= count <= MAX_CONDITION_BITS:
        return f"reads {count} classical bits; 1 to {MAX_CONDITION_BITS} are possible"
    if list(condition.clbits) != sorted(set(condition.clbits)):
        return f"names its bits as {condition.clbits}; they must be sorted and distinct"
    if not 0 <= condition.clbits[0] <= condition.clbits[-1] < num_clbits:
        return f"reads classical bit {condition.clbits[-1]} of {num_clbits}; they count from 0"
    if not 0 <= condition.truth < 1 << (1 << count):
        return f"has a truth table that does not fit {count} bits"
    return None


def bracket_problems(
    brackets: Brackets, controls: NDArray[np.uint32], *, num_conditions: int, num_operations: int
) -> Iterator[tuple[int, str]]:
    """Give (operation, what is wrong) of brackets whose columns fit each other; a few of each kind."""
    opens, ends = np.isin(brackets.name, _OPENING), brackets.name == "end"
    depth = np.cumsum(opens.astype(np.int64) - ends)
    unbalanced = list(_balance_problems(brackets, depth))
    yield from unbalanced
    numbers = list(_number_problems(brackets, controls, num_conditions))
    yield from numbers
    if not unbalanced:
        level = np.where(ends, depth + 1, depth)
        opener = _openers(brackets, level)
        yield from _else_problems(brackets, level)
        yield from _jump_problems(brackets, opener)
        if not numbers and _expanded(brackets, controls, opener, num_operations) > MAX_EXPANDED:
            yield 0, f"the circuit with its loops written out has more than {MAX_EXPANDED} operations; repeat less"


def written_out(brackets: Brackets, controls: NDArray[np.uint32], *, num_operations: int) -> float:
    """Count the operations of a circuit whose brackets are in order, with its loops written out."""
    opens, ends = np.isin(brackets.name, _OPENING), brackets.name == "end"
    level = np.cumsum(opens.astype(np.int64) - ends) + ends
    return _expanded(brackets, controls, _openers(brackets, level), num_operations)


def _balance_problems(brackets: Brackets, depth: _Ints) -> Iterator[tuple[int, str]]:
    surplus = _places(depth < 0)[:1]
    yield from ((int(brackets.op[i]), "closes a block that is not open") for i in surplus)
    if not surplus and len(depth) and depth[-1] > 0:
        yield int(brackets.op[-1]), f"is the last bracket, and {depth[-1]} blocks are still open"
    for i in _places(depth > MAX_DEPTH)[:1]:
        yield int(brackets.op[i]), f"opens a block inside {MAX_DEPTH} others, the most"


def _openers(brackets: Brackets, level: _Ints) -> _Ints:
    """Find the bracket that opens what each `end` closes: within one level, blocks follow one another."""
    order = np.argsort(level, kind="stable")
    opens = np.isin(brackets.name[order], _OPENING)
    last = np.maximum.accumulate(np.where(opens, np.arange(len(order)), 0)) if len(order) else order
    opener = np.empty(len(order), dtype=np.int64)
    opener[order] = order[last]
    return opener


def _else_problems(brackets: Brackets, level: _Ints) -> Iterator[tuple[int, str]]:
    """Next before an `else`, among the brackets of its level that open, part or close blocks, stands its `if`."""
    blocks = np.flatnonzero(~np.isin(brackets.name, _JUMPS))
    order = blocks[np.argsort(level[blocks], kind="stable")]
    before = np.roll(order, 1)
    follows = (brackets.name[before] == "if") & (level[before] == level[order])
    for i in _places((brackets.name[order] == "else") & ~follows):
        yield int(brackets.op[order[i]]), "`else` does not follow the block of an `if`"


def _jump_problems(brackets: Brackets, opener: _Ints) -> Iterator[tuple[int, str]]:
    leaves = (brackets.name == "end") & np.isin(brackets.name[opener], _LOOPS)
    loops = np.cumsum(np.isin(brackets.name, _LOOPS).astype(np.int64) - leaves)
    for i in _places(np.isin(brackets.name, _JUMPS) & (loops == 0)):
        yield int(brackets.op[i]), f"`{brackets.name[i]}` is not inside a loop"


def _number_problems(
    brackets: Brackets, controls: NDArray[np.uint32], num_conditions: int
) -> Iterator[tuple[int, str]]:
    asking = np.flatnonzero(np.isin(brackets.name, ("if", "while")))
    index = controls[brackets.first[asking]]
    for i in _places(index >= num_conditions):
        yield int(brackets.op[asking[i]]), f"names condition {index[i]}; the circuit has {num_conditions}"
    for name in _LOOPS:
        loops = np.flatnonzero(brackets.name == name)
        repeats = controls[brackets.first[loops] + CONTROL_ARITY[name] - 1]
        for i in _places(repeats > MAX_EXPANDED):
            yield int(brackets.op[loops[i]]), f"repeats {repeats[i]} times; at most {MAX_EXPANDED} are possible"


def _expanded(brackets: Brackets, controls: NDArray[np.uint32], opener: _Ints, num_operations: int) -> float:
    """Count the operations with all loops written out, in floating point: it may be astronomical.

    Brackets count as often as they are come to: the `for` of a loop once, its `while` each time that it asks.
    """
    octaves = np.zeros(len(brackets.op))
    for name in _LOOPS:
        loops = np.flatnonzero(brackets.name == name)
        octaves[loops] = np.log2(np.maximum(1, controls[brackets.first[loops] + CONTROL_ARITY[name] - 1]))
    ends = brackets.name == "end"
    octaves[ends] = -octaves[opener[ends]]
    times = np.exp2(np.minimum(np.cumsum(octaves), 1000))
    between = np.diff(brackets.op, append=num_operations)
    outside = int(brackets.op[0]) if len(brackets.op) else num_operations
    again = np.where(brackets.name == "for", times - np.exp2(np.minimum(np.cumsum(octaves) - octaves, 1000)), 0.0)
    return float(np.rint(outside + between @ times - again.sum()))


def _places(wrong: _Bools) -> list[int]:
    """The first few: hundreds of the same kind help nobody."""
    return [int(i) for i in np.flatnonzero(wrong)[:_PROBLEMS]]


def control_counts(names: Sequence[str]) -> _Ints:
    """Give how many numbers each row of a table of operations has in the column `controls`."""
    return np.array([CONTROL_ARITY.get(name, 0) for name in names], dtype=np.int64)
