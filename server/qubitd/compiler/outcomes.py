"""Which outcomes may come together, as far as something may still depend on them, and conditions on them.

An outcome is 1 if its measurement happened and gave 1, so a measurement inside a branch gives 0 when it is skipped.
Each row of the columns is one combination that can be. A condition is what a trigger network can say: one operator over
outcomes; with OR and NOR a qubit may stand in it several times, since a counter adds up.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from qubitd.core.feedforward import Operator

Bools = NDArray[np.bool_]
MAX_WORLDS = 4096
"""Combinations of outcomes that are told apart at one time."""
MAX_COMPARED = 4_000_000_000
"""Values of outcomes that a job's conditions may make us look at: some 10 s. A thousand rounds of one measurement are a
sixth of it."""
_MERGED_ABOVE = 32
_MOST_TRIED = 12
"""Outcomes among which subsets are tried one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTest:
    """One operator over outcomes."""

    operator: Operator
    outcomes: tuple[int, ...]
    """Numbers of the outcomes, rising."""

    def holds(self, values: Sequence[bool]) -> bool:
        """Say whether it holds for some values of its outcomes."""
        match self.operator:
            case Operator.OR | Operator.NOR:
                found = any(values)
            case Operator.AND | Operator.NAND:
                found = all(values)
            case Operator.XOR | Operator.XNOR:
                found = sum(values) % 2 == 1
            case _:
                assert_never(self.operator)
        return found == (self.operator in (Operator.OR, Operator.AND, Operator.XOR))


@dataclass(slots=True, kw_only=True, eq=False)
class Truth:
    """Something that is true in some worlds: a classical bit, or whether a block happens."""

    holds: Bools
    depends: frozenset[int]
    """Outcomes that it may depend on."""


@dataclass(slots=True, eq=False)
class Worlds:
    """The combinations, and everything that is known in each; all arrays have one entry per world."""

    outcomes: dict[int, Bools] = field(default_factory=dict[int, Bools])
    truths: list[Truth] = field(default_factory=list[Truth])
    """What is carried along; owners add and remove theirs."""
    size: int = 1
    compared: int = 0
    """Values of outcomes that were looked at so far."""
    _merged: int = _MERGED_ABOVE // 2
    """How many there were after they were merged last."""

    def constant(self, *, holds: bool) -> Truth:
        """Give something that is the same in all worlds, not carried along yet."""
        return Truth(holds=np.full(self.size, holds), depends=frozenset())

    def measure(self, number: int, happens: Truth) -> Bools:
        """Split each world in which a measurement happens; give its outcome."""
        both = np.flatnonzero(happens.holds)
        worlds = np.concatenate((np.arange(self.size), both))
        self._take(worlds)
        outcome = np.arange(len(worlds)) >= len(worlds) - len(both)
        self.outcomes[number] = outcome
        return outcome

    def make_room(self, more: int) -> None:
        """Merge if that may be worth its time: there are twice as many as before, or they may become too many."""
        if self.size > 2 * self._merged or self.size + more > MAX_WORLDS:
            self.merge()
            self._merged = max(self.size, _MERGED_ABOVE // 2)

    def merge(self) -> None:
        """Forget outcomes that nothing depends on, and worlds that have become alike."""
        needed = frozenset[int]().union(*(truth.depends for truth in self.truths))
        self.outcomes = {number: column for number, column in self.outcomes.items() if number in needed}
        columns = [*self.outcomes.values(), *(truth.holds for truth in self.truths)]
        _, first = np.unique(np.stack(columns), axis=1, return_index=True) if columns else (None, np.arange(1))
        self._take(np.sort(first))

    def _take(self, worlds: NDArray[np.intp]) -> None:
        self.outcomes = {number: column[worlds] for number, column in self.outcomes.items()}
        for truth in self.truths:
            truth.holds = truth.holds[worlds]
        self.size = len(worlds)
        self.compared += self.size * len(self.outcomes)


def find_test(truth: Truth, worlds: Worlds, qubit_of: Sequence[int]) -> OutcomeTest | None:
    """Write a truth as a test of outcomes, of as few as possible; None if there is no way.

    Args:
        truth: neither always nor never true.
        worlds: in which it is meant.
        qubit_of: the measured qubit of each outcome.
    """
    numbers = sorted(truth.depends)
    columns = np.stack([worlds.outcomes[number] for number in numbers])
    worlds.compared += columns.size
    holds = truth.holds
    forms: tuple[Callable[[], Iterator[OutcomeTest]], ...] = (
        lambda: _covering(holds, columns, numbers, Operator.OR),
        lambda: _covering(~holds, columns, numbers, Operator.NOR),
        lambda: _covering(~holds, ~columns, numbers, Operator.AND),
        lambda: _covering(holds, ~columns, numbers, Operator.NAND),
        lambda: _parity_of(holds, columns, numbers, Operator.XOR, worlds),
        lambda: _parity_of(~holds, columns, numbers, Operator.XNOR, worlds),
    )
    found = (test for form in forms for test in form() if _is_possible(test, qubit_of))
    return next(found, None)


def _is_possible(test: OutcomeTest, qubit_of: Sequence[int]) -> bool:
    """A counter that has added up cannot tell whether one of its outcomes or both were 1."""
    qubits = [qubit_of[number] for number in test.outcomes]
    return test.operator in (Operator.OR, Operator.NOR) or len(set(qubits)) == len(qubits)


def _covering(holds: Bools, columns: Bools, numbers: Sequence[int], operator: Operator) -> Iterator[OutcomeTest]:
    """Give outcomes of which one at least is 1 exactly where something holds; the oldest are left out first."""
    rows = np.flatnonzero(~(columns & ~holds).any(axis=1))
    covering = columns[rows]
    count = covering.sum(axis=0)
    if not np.array_equal(count > 0, holds):
        return
    kept = np.ones(len(rows), dtype=np.bool_)
    superfluous: list[int] = np.flatnonzero(~(covering & (count == 1)).any(axis=1)).tolist()
    for row in superfluous:
        if (count[covering[row]] > 1).all():
            count -= covering[row]
            kept[row] = False
    left: list[int] = rows[kept].tolist()
    yield OutcomeTest(operator=operator, outcomes=tuple(numbers[row] for row in left))


def _parity_of(
    holds: Bools, columns: Bools, numbers: Sequence[int], operator: Operator, worlds: Worlds
) -> Iterator[OutcomeTest]:
    if len(numbers) > _MOST_TRIED:
        return
    worlds.compared += columns.size << len(numbers)
    for count in range(2, len(numbers) + 1):
        for rows in itertools.combinations(range(len(numbers)), count):
            if np.array_equal(np.logical_xor.reduce(columns[list(rows)]), holds):
                yield OutcomeTest(operator=operator, outcomes=tuple(numbers[row] for row in rows))
