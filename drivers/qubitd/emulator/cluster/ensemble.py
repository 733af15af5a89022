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

from qubitd.emulator.cluster.course import Course, Path, path_of
from qubitd.emulator.cluster.layout import Part
from qubitd.emulator.cluster.player import Performance
from qubitd.emulator.cluster.residue import leaking
from qubitd.emulator.cluster.tree import Tree, grow
from qubitd.emulator.cluster.triggers import Source
from qubitd.emulator.cluster.walk import Sent, Uncertain
from qubitd.emulator.patience import GoOn, nothing
from qubitd.emulator.q1.conditions import UNCONDITIONAL
from qubitd.emulator.q1.isa import Op

MOST_OUTCOMES = 12
"""Of a group: 4096 walks, which are laid out in the time in which some tens of shots are followed one by one."""
MOST_INSTRUCTIONS = 1 << 24
"""Of all walks of a run together: they take some 200 bytes each."""
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


def explore(courses: Sequence[Course], cuts: Sequence[Sequence[int]] = (), go_on: GoOn = nothing) -> Ensemble:
    """Walk through everything that can happen.

    Args:
        courses: of the sequencers.
        cuts: instructions of each sequencer between which walks that agree are likely to be together again.
        go_on: called now and then.

    Raises:
        Uncertain: not everything that can happen takes the same time, or there is too much of it.
    """
    for each in courses:
        moved = np.isin(each.trace.op, (Op.LATCH_RST, Op.SET_LATCH_EN, Op.WAIT_SYNC)) & (each.guard != UNCONDITIONAL)
        if moved.any():
            raise Uncertain
    resets = [np.flatnonzero(each.trace.op == Op.LATCH_RST) for each in courses]
    ends = [*(list(cut) for cut in cuts), [len(each.trace) for each in courses]]
    seen: dict[Epoch, set[Source]] = {}
    behind: dict[Source, set[Source]] = {}
    joined: set[Epoch] = set()
    while True:
        groups, grown = _walk_all(courses, ends, resets, seen, behind, joined, go_on)
        found = _ensemble(courses, groups, grown, resets, go_on)
        leaks = {
            (player, number)
            for player, stops in enumerate(resets)
            for number in leaking(found.performances[player], stops, go_on)
        }
        if leaks <= joined:
            return found
        joined |= leaks


def _walk_all(
    courses: Sequence[Course],
    ends: Sequence[Sequence[int]],
    resets: Sequence[NDArray[np.int64]],
    seen: dict[Epoch, set[Source]],
    behind: dict[Source, set[Source]],
    joined: Set[Epoch],
    go_on: GoOn,
) -> tuple[Mapping[Epoch, tuple[Source, ...]], Tree]:
    """Walk until no walk shows an outcome that was not thought of; what is seen is added, and `behind` each instruction
    the outcomes that decide whether it is carried out.
    """
    deciding = sum(len(each.trace) for each in courses if (each.guard != UNCONDITIONAL).any())
    while True:
        groups = _grouped(seen, behind, joined)
        if deciding << _largest(groups.values()) > MOST_INSTRUCTIONS:
            raise Uncertain
        grown = grow(courses, ends, {source: i for group in groups.values() for i, source in enumerate(group)}, go_on)
        before = _known(seen, behind)
        for player, evaluation in grown.evaluations:
            epoch = (player, int(np.searchsorted(resets[player], evaluation.at)))
            seen.setdefault(epoch, set()).update(evaluation.sources)
            behind.setdefault(Source(player, evaluation.at), set()).update(evaluation.sources)
        if before == _known(seen, behind):
            return groups, grown


def _known(*found: Mapping[Epoch, Set[Source]] | Mapping[Source, Set[Source]]) -> list[int]:
    """Count what only grows."""
    return [len(sources) for each in found for sources in (each, *each.values())]


def _largest(groups: Iterable[tuple[Source, ...]]) -> int:
    largest = max(map(len, groups), default=0)
    if largest > MOST_OUTCOMES:
        raise Uncertain
    return largest


def _grouped(
    seen: Mapping[Epoch, Set[Source]], behind: Mapping[Source, Set[Source]], joined: Set[Epoch]
) -> Mapping[Epoch, tuple[Source, ...]]:
    """Put together what shares outcomes, what leaves something behind with what it leaves it to, and the outcome of an
    acquisition under a condition with those that decide over it: without them it would not be found to be 1.
    """
    group_of: dict[Source, set[Source]] = {}

    def unite(sources: Iterable[Source]) -> None:
        united: set[Source] = set()
        for source in sources:
            united |= group_of.get(source, {source})
        group_of.update(dict.fromkeys(united, united))

    for sources in seen.values():
        unite(sources)
    for source in list(group_of):
        unite((source, *behind.get(source, ())))
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


def _ensemble(
    courses: Sequence[Course],
    groups: Mapping[Epoch, tuple[Source, ...]],
    grown: Tree,
    resets: Sequence[NDArray[np.int64]],
    go_on: GoOn,
) -> Ensemble:
    sending: dict[Source, Sent] = {}
    for sent in grown.sending:
        if sending.setdefault(sent.source, sent) != sent:
            raise Uncertain
    walks = 1 << _largest(groups.values())
    variant = np.zeros((walks, len(courses)), dtype=np.int64)
    performances: list[tuple[Performance, ...]] = []
    paths: list[Path] = []
    for player, each in enumerate(courses):
        own: list[Performance] = []
        different: dict[bytes, int] = {}
        pasts, number = grown.pasts(player, walks)
        variants = np.zeros(len(pasts), dtype=np.int64)
        for i, past in enumerate(pasts):
            go_on()
            path = path_of(each, past, len(each.trace), ends=True)
            key = path.trace.op.tobytes() + path.timeline.start.tobytes()
            variants[i] = different.setdefault(key, len(own))
            if variants[i] == len(own):
                own.append(_performance(each, path))
            if i == number[0]:
                paths.append(path)
        variant[:, player] = variants[number]
        performances.append(tuple(own))
    starts = tuple(_common_start(own, stops) for own, stops in zip(performances, resets, strict=True))
    return Ensemble(variant, tuple(performances), tuple(paths), sending, groups, starts)


def _performance(course: Course, path: Path) -> Performance:
    return Part(course.player, path.trace, path.timeline).perform()


def _common_start(own: Sequence[Performance], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the starts of instructions that must not depend on outcomes; the end of the program is one of them."""
    whole = [performance.timeline.start[np.append(index, -1)] for performance in own]
    if any((each != whole[0]).any() for each in whole):
        raise Uncertain
    common: NDArray[np.int64] = whole[0][:-1]
    return common
