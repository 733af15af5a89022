"""All walks of a run, one for each combination of outcomes: they are one walk until something depends on an outcome.

Where all walks have come together again, as at the end of an iteration, they go on as one: what lies between two such
places is walked through by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.course import Course, Evaluation, Past
from qubitd.emulator.cluster.triggers import Source
from qubitd.emulator.cluster.walk import Sent, Uncertain, Walk
from qubitd.emulator.patience import GoOn


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A walk through a stretch of time, for all combinations that have some outcomes."""

    walk: Walk
    """At its end."""
    known: int
    """Mask of the outcomes that matter to it."""
    value: int
    """What they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """A leaf with what was done on the way."""

    known: int
    value: int
    past: list[Past]
    """By sequencer."""
    sent: list[Sent]


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Everything that was walked through, stretch by stretch."""

    stretches: list[list[Grown]]
    evaluations: set[tuple[int, Evaluation]]
    """The conditions that were looked at, with the number of the sequencer."""

    @property
    def sending(self) -> Iterator[Sent]:
        """Give the acquisitions that could send triggers."""
        for leaf in self._leaves():
            yield from leaf.sent

    def pasts(self, player: int, walks: int) -> tuple[list[list[Past]], NDArray[np.int64]]:
        """Give all different things that a sequencer did from start to end, and which of them it did in each walk,
        shape (walks,)."""
        numbers = np.arange(walks)
        chosen = np.zeros((walks, len(self.stretches)), dtype=np.int64)
        kinds: list[list[Past]] = []
        for column, leaves in enumerate(self.stretches):
            of: dict[tuple[object, object], int] = {}
            kinds.append([])
            for leaf in leaves:
                past = leaf.past[player]
                kind = of.setdefault((past.skipped, past.delays), len(of))
                if kind == len(kinds[-1]):
                    kinds[-1].append(past)
                chosen[numbers & leaf.known == leaf.value, column] = kind
        rows, number = np.unique(chosen, axis=0, return_inverse=True)
        return [[kinds[i][kind] for i, kind in enumerate(row)] for row in rows.tolist()], number.reshape(-1)

    def _leaves(self) -> Iterator[Grown]:
        for leaves in self.stretches:
            yield from leaves


class _UnknownError(Exception):
    """Something depends on an outcome that a walk leaves open."""

    def __init__(self, bit: int) -> None:
        self.bit = bit
        super().__init__(bit)


def grow(
    courses: Sequence[Course],
    ends: Sequence[Sequence[int]],
    position: Mapping[Source, int],
    go_on: GoOn,
) -> Tree:
    """Walk for all combinations of outcomes.

    Args:
        courses: of the sequencers.
        ends: instructions of each sequencer at which walks that agree become one, the last those of the end.
        position: of each outcome in a combination; others are 0.
        go_on: called now and then.

    Raises:
        Uncertain: see `Walk`; or a sequencer waits for ever.
    """
    roots = [Leaf(Walk(courses, certain=True), 0, 0)]
    stretches: list[list[Grown]] = []
    evaluations: set[tuple[int, Evaluation]] = set()
    for end in ends:
        leaves = [leaf for root in roots for leaf in _branches(root, end, position, go_on)]
        grown = [Grown(leaf.known, leaf.value, *leaf.walk.parting()) for leaf in leaves]
        for done in grown:
            go_on()
            evaluations.update((player, each) for player, past in enumerate(done.past) for each in past.evaluations)
        stretches.append(grown)
        agree = len({leaf.walk.state() for leaf in leaves}) == 1
        roots = [Leaf(leaves[0].walk, 0, 0)] if agree else leaves
    if not all(leaf.walk.is_over for leaf in roots):
        raise Uncertain
    return Tree(stretches, evaluations)


def _branches(root: Leaf, end: Sequence[int], position: Mapping[Source, int], go_on: GoOn) -> Iterator[Leaf]:
    waiting = [root]
    while waiting:
        leaf = waiting.pop()
        try:
            leaf.walk.advance(_bits(leaf, position, go_on), until=end)
        except _UnknownError as unknown:
            known = leaf.known | unknown.bit
            waiting.append(Leaf(leaf.walk.copy(), known, leaf.value | unknown.bit))
            waiting.append(Leaf(leaf.walk, known, leaf.value))
        else:
            yield leaf


def _bits(leaf: Leaf, position: Mapping[Source, int], go_on: GoOn) -> Callable[[Source], bool]:
    def bits(source: Source) -> bool:
        go_on()
        if source not in position:
            return False
        bit = 1 << position[source]
        if not leaf.known & bit:
            raise _UnknownError(bit)
        return bool(leaf.value & bit)

    return bits
