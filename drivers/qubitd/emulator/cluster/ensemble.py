"""Everything that sequencers with conditions can do, for every outcome of the acquisitions that they look at.

Outcomes that matter to the same stretch of a program belong together; between stretches that do not share any, and do
not leave anything behind, nothing has to be combined. So as few walks show all there is as the largest such group asks
for: in walk number r, outcome i of every group is bit i of r.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.layout import Part
from qubitd.emulator.cluster.player import Performance
from qubitd.emulator.cluster.residue import leaking
from qubitd.emulator.cluster.triggers import Source
from qubitd.emulator.cluster.walk import Course, Path, Sent, Uncertain, Walk
from qubitd.emulator.q1.conditions import UNCONDITIONAL
from qubitd.emulator.q1.isa import Op

MOST_OUTCOMES = 10
"""Of a group: 1024 walks."""
Epoch = tuple[int, int]
"""Position of a sequencer, and how many `latch_rst` of its program came before."""


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """All walks of a run."""

    variant: NDArray[np.int64]
    """Which of its performances each sequencer gives in each walk, shape (walks, sequencers)."""
    performances: tuple[tuple[Performance, ...], ...]
    """Different ones of each sequencer."""
    paths: tuple[Path, ...]
    """Of the first walk."""
    sending: Mapping[Source, Sent]
    groups: Mapping[Epoch, tuple[Source, ...]]
    """Outcomes that matter in an epoch; the first is bit 0 of a walk's number."""
    resets: tuple[NDArray[np.int64], ...]
    """Start of every `latch_rst` of each sequencer, ns."""


def explore(courses: Sequence[Course]) -> Ensemble:
    """Walk through everything that can happen.

    Raises:
        Uncertain: not everything that can happen takes the same time, or there is too much of it.
    """
    for each in courses:
        moved = np.isin(each.trace.op, (Op.LATCH_RST, Op.SET_LATCH_EN, Op.WAIT_SYNC)) & (each.guard != UNCONDITIONAL)
        if moved.any():
            raise Uncertain
    resets = [np.flatnonzero(each.trace.op == Op.LATCH_RST) for each in courses]
    joined: set[Epoch] = set()
    while True:
        groups, walks = _walk_all(courses, resets, joined)
        found = _ensemble(courses, groups, walks, resets)
        leaks = {
            (player, number)
            for player, stops in enumerate(resets)
            for number in leaking(found.performances[player], stops)
        }
        if leaks <= joined:
            return found
        joined |= leaks


def _walk_all(
    courses: Sequence[Course], resets: Sequence[NDArray[np.int64]], joined: Set[Epoch]
) -> tuple[Mapping[Epoch, tuple[Source, ...]], list[Walk]]:
    """Walk until no walk shows an outcome that was not thought of."""
    seen: dict[Epoch, set[Source]] = {}
    while True:
        groups = _grouped(seen, joined)
        walks = [_walk(courses, groups, number) for number in range(1 << _largest(groups.values()))]
        before = {epoch: len(sources) for epoch, sources in seen.items()}
        for walk in walks:
            for player, path in enumerate(walk.paths()):
                for index, sources in path.evaluations:
                    epoch = (player, int(np.searchsorted(resets[player], index)))
                    seen.setdefault(epoch, set()).update(sources)
        if before == {epoch: len(sources) for epoch, sources in seen.items()}:
            return groups, walks


def _largest(groups: Iterable[tuple[Source, ...]]) -> int:
    largest = max(map(len, groups), default=0)
    if largest > MOST_OUTCOMES:
        raise Uncertain
    return largest


def _grouped(seen: dict[Epoch, set[Source]], joined: Set[Epoch]) -> Mapping[Epoch, tuple[Source, ...]]:
    """Put together what shares outcomes, and what leaves something behind with what it leaves it to."""
    group_of: dict[Source, set[Source]] = {}

    def unite(sources: Iterable[Source]) -> None:
        united: set[Source] = set()
        for source in sources:
            united |= group_of.get(source, {source})
        group_of.update(dict.fromkeys(united, united))

    for sources in seen.values():
        unite(sources)
    chains = _chains(joined)
    for chain in chains:
        unite(source for epoch in chain for source in seen.get(epoch, ()))
    first = {epoch: next(iter(sources), None) for epoch, sources in seen.items()}
    groups = {epoch: tuple(sorted(group_of[source])) for epoch, source in first.items() if source is not None}
    for chain in chains:
        left: tuple[Source, ...] | None = None
        for epoch in chain:
            left = groups.get(epoch, left)
            if left is not None:
                groups[epoch] = left
    return groups


def _chains(joined: Set[Epoch]) -> list[list[Epoch]]:
    """Give epochs that pass something on, each with those that it reaches."""
    chains: list[list[Epoch]] = []
    for player, number in sorted(joined):
        if not chains or chains[-1][-1] != (player, number):
            chains.append([(player, number)])
        chains[-1].append((player, number + 1))
    return chains


def _walk(courses: Sequence[Course], groups: Mapping[Epoch, tuple[Source, ...]], number: int) -> Walk:
    position = {source: i for group in groups.values() for i, source in enumerate(group)}
    walk = Walk(courses, certain=True)
    walk.advance(lambda source: bool(number >> position.get(source, MOST_OUTCOMES) & 1))
    return walk


def _ensemble(
    courses: Sequence[Course],
    groups: Mapping[Epoch, tuple[Source, ...]],
    walks: Sequence[Walk],
    resets: Sequence[NDArray[np.int64]],
) -> Ensemble:
    paths = [walk.paths() for walk in walks]
    sending: dict[Source, Sent] = {}
    for sent in (sent for walk in walks for sent in walk.sending):
        if sending.setdefault(sent.source, sent) != sent:
            raise Uncertain
    variant = np.zeros((len(walks), len(courses)), dtype=np.int64)
    performances: list[tuple[Performance, ...]] = []
    for player, each in enumerate(courses):
        different: dict[bytes, int] = {}
        own: list[Performance] = []
        for number, walked in enumerate(paths):
            path = walked[player]
            if not path.ends:
                raise Uncertain
            key = path.trace.op.tobytes() + path.timeline.start.tobytes()
            if different.setdefault(key, len(own)) == len(own):
                own.append(_performance(each, path))
            variant[number, player] = different[key]
        performances.append(tuple(own))
    starts = tuple(_common_start(own, stops) for own, stops in zip(performances, resets, strict=True))
    return Ensemble(variant, tuple(performances), tuple(paths[0]), sending, groups, starts)


def _performance(course: Course, path: Path) -> Performance:
    return Part(course.player, path.trace, path.timeline).perform()


def _common_start(own: Sequence[Performance], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the starts of instructions that must not depend on outcomes; the end of the program is one of them."""
    whole = [performance.timeline.start[np.append(index, -1)] for performance in own]
    if any((each != whole[0]).any() for each in whole):
        raise Uncertain
    common: NDArray[np.int64] = whole[0][:-1]
    return common
