"""Values that registers take by counting: a start, a stride for each loop of a nest, and what rounding adds.

A straight line that was rounded to whole numbers is `start + i * stride + (offset + i * step) // 2^30`: the second part
is a fraction that a register of its own gathers and that adds one to the value when it is whole. So a line may have any
slope and be of any length. Whether values are such a line is decided in exact integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_BEND_SOON = 16
"""Steps in which numbers that lie on no line bend; it takes more and more of them to be sure of a line."""
WHOLE = 1 << 30
"""What a fraction's register gathers until it adds one; with one step more it is still below where a sign would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fraction:
    """What rounding adds at each turn of one loop."""

    level: int
    """Position of the loop in its nest, outermost first."""
    offset: int
    """Below `WHOLE`."""
    step: int
    """At most `WHOLE`."""

    def gathered(self, turns: Ints | int) -> Ints:
        """Give what comes together in some turns, `WHOLE` for one."""
        return np.asarray(self.offset + turns * self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one operand over all turns of a nest of loops."""

    start: int
    strides: tuple[int, ...]
    """Added at each turn of each loop, outermost first."""
    fraction: Fraction | None
    modulus: int
    """Values are taken modulo this; 0 if they are not."""

    @property
    def depth(self) -> int:
        """Position of the innermost loop in which the value changes; -1 if it never does."""
        return max((level for level in range(len(self.strides)) if self.steps(level)), default=-1)

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which registers it takes: one for each loop that steps it, one to gather what rounding adds, and one for a
        value that no loop steps."""
        levels = range(len(self.strides))
        return (*(self.steps(level) for level in levels), self.fraction is not None, self.depth < 0)

    @property
    def work(self) -> int:
        """Instructions at most between two turns: registers set anew, stepped, taken modulo, summed."""
        wrap = 3 if self.modulus else 0
        return sum(self.needs[: len(self.strides)]) * (2 + wrap) + (6 if self.fraction is not None else 0)

    def steps(self, level: int) -> bool:
        """Whether the value changes from turn to turn of a loop."""
        return self.strides[level] != 0 or (self.fraction is not None and self.fraction.level == level)

    def values(self, turns: tuple[int, ...]) -> Ints:
        """Give the value at each turn, shape `turns`."""
        found = np.full(turns, self.start, dtype=np.int64)
        for level, (stride, count) in enumerate(zip(self.strides, turns, strict=True)):
            found += _along(np.arange(count, dtype=np.int64) * stride, level, len(turns))
        if self.fraction is not None:
            whole = self.fraction.gathered(np.arange(turns[self.fraction.level])) // WHOLE
            found += _along(whole, self.fraction.level, len(turns))
        return found % self.modulus if self.modulus else found


def nest_of(columns: Ints, modulus: Ints) -> tuple[int, ...]:
    """Guess the nest of loops in which columns are straight lines: a loop ends where one of them bends.

    Args:
        columns: shape (iterations, columns).
        modulus: of each column, 0 for none.

    Returns:
        turns of each loop, outermost first; their product is the number of iterations.
    """
    inner: list[int] = []
    while True:
        bent = _first_bend(columns, modulus)
        if bent == len(columns) or len(columns) % bent:
            return (len(columns), *inner)
        inner.insert(0, bent)
        columns = columns[::bent]


def core_of(columns: Ints, modulus: Ints) -> tuple[int, int]:
    """Guess the largest stretch in which every loop has whole turns, in a piece of a grid that was cut out anywhere.

    Args:
        columns: shape (iterations, columns).
        modulus: of each column, 0 for none.

    Returns:
        its first iteration, and the one behind its last.
    """
    begin, size = 0, 1
    while True:
        first = _first_bend(columns, modulus)
        second = first + _first_bend(columns[first:], modulus)
        if first == len(columns):
            return begin, begin + len(columns) * size
        if second == len(columns):  # which of the two is a whole turn cannot be told
            longer = (0, first) if 2 * first >= second else (first, second)
            return begin + longer[0] * size, begin + longer[1] * size
        # The first turn may be a part of one, and one iteration alone lies on a line with the next turn's first.
        turns = max(second - first, _first_bend(columns[second:], modulus))
        if size == 1 and turns == 2:  # random numbers look so, too
            return 0, len(columns)
        head = second % turns
        begin += head * size
        columns = columns[head : len(columns) - (len(columns) - head) % turns : turns]
        size *= turns


def solve(values: Ints, turns: tuple[int, ...], modulus: int) -> Series | None:
    """Find the series that gives some values exactly; None if there is none.

    Args:
        values: shape `turns`.
        turns: of each loop, outermost first.
        modulus: that values are taken by, 0 for none.
    """
    strides: list[int] = []
    rounding: tuple[int, Ints] | None = None
    for level in range(len(turns)):
        line = values[(0,) * level + (slice(None),) + (0,) * (len(turns) - level - 1)]
        stride, rest = _straight(line, modulus)
        strides.append(stride % modulus if modulus else stride)
        if rest.any():
            if rounding is not None:
                return None
            rounding = (level, rest)
    fraction = None
    if rounding is not None:
        fraction = _fraction(*rounding)
        if fraction is None:
            return None
    found = Series(start=int(values.flat[0]), strides=tuple(strides), fraction=fraction, modulus=modulus)
    return found if np.array_equal(found.values(turns), values) else None


def bends_of(steps: Ints, first: Ints, modulus: Ints) -> Ints:
    """Give by how much steps differ from a first one; the last axis is the columns, whose modulus is 0 for none."""
    bends = steps - first
    wraps = modulus > 0
    half = modulus[wraps] // 2
    bends[..., wraps] = (bends[..., wraps] + half) % modulus[wraps] - half
    return bends


def _first_bend(columns: Ints, modulus: Ints) -> int:
    """Give the first iteration that no straight line reaches, at least 1; their number if there is none."""
    if len(columns) < 3:
        return len(columns)
    first, begin, together = columns[1] - columns[0], 1, _BEND_SOON
    while begin < len(columns) - 1:
        steps = np.diff(columns[begin : begin + together + 1], axis=0)
        rows = np.flatnonzero((np.abs(bends_of(steps, first, modulus)) > 1).any(axis=1))
        if len(rows):
            return begin + int(rows[0]) + 1
        begin, together = begin + together, together * _BEND_SOON
    return len(columns)


def _straight(line: Ints, modulus: int) -> tuple[int, Ints]:
    """Give the smallest step of a line and what is added to it by and by, which never falls."""
    if len(line) == 1:
        return 0, np.zeros(1, dtype=np.int64)
    steps = np.diff(line)
    more = steps - steps[0]
    if modulus:
        more = (more + modulus // 2) % modulus - modulus // 2
    least = int(more.min())
    return int(steps[0]) + least, np.concatenate([[0], np.cumsum(more - least)])


def _fraction(level: int, rest: Ints) -> Fraction | None:
    """Find an offset and a step whose sums, rounded down, are the given numbers."""
    if np.diff(rest).max() > 1:
        return None
    index, low = np.arange(len(rest), dtype=np.int64), rest * WHOLE
    high = low + WHOLE - 1

    def room(step: int) -> tuple[int, int]:
        return int((low - index * step).max()), int((high - index * step).min())

    # From the first number to each other one, a line rises by less than one more or less than they differ.
    rise, run = rest[1:], index[1:]
    least, most = int(np.max((rise - 1) * WHOLE // run)), int(np.min((rise + 1) * WHOLE // run)) + 1
    step, (first, last) = _fitting(room, max(0, least), min(most, WHOLE))
    return Fraction(level=level, offset=(first + last) // 2, step=step) if first <= last else None


def _fitting(room: Callable[[int], tuple[int, int]], low: int, high: int) -> tuple[int, tuple[int, int]]:
    """Find a step that leaves room for an offset, or that comes closest: the room is concave in the step."""
    while True:
        third = (high - low) // 3
        left, right = low + third, high - third
        at_left, at_right = room(left), room(right)
        if _width(at_left) >= 0 or (high - low < 3 and _width(at_left) >= _width(at_right)):
            return left, at_left
        if _width(at_right) >= 0 or high - low < 3:
            return right, at_right
        if _width(at_left) < _width(at_right):
            low = left + 1
        else:
            high = right


def _width(room: tuple[int, int]) -> int:
    return room[1] - room[0]


def _along(values: Ints, level: int, levels: int) -> Ints:
    return values.reshape([-1 if i == level else 1 for i in range(levels)])
