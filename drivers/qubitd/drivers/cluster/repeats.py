"""Stretches that a line repeats within one program, such as the body of a loop in a circuit, cut out as if each turn
were a program: then they fold like programs.

It is asked for only where a line does not fit written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.timeline import Kind

LONGEST_PERIOD = 4096
"""Events of a turn."""
_FEWEST_TURNS = 8
_WINDOWS = (1, 4, 16, 64)
"""Events that are looked at together: what is rare comes again after a whole turn."""
_CANDIDATES = 6
_MOST_STRETCHES = 8

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Events that repeat."""

    first: int
    period: int
    turns: int

    @property
    def stop(self) -> int:
        """The first event after them."""
        return self.first + self.period * self.turns

    @property
    def saved(self) -> int:
        """Events that need not be written."""
        return self.period * (self.turns - 1)


def cut_at_repeats(part: LineProgram, *, together: int) -> LineProgram:
    """Give a line with each turn of its repeated stretches as a program of its own.

    Args:
        part: without feedback.
        together: turns that make one such program, where there are enough of them.
    """
    starts = [0]
    for stretch in sorted(_stretches(part), key=lambda one: one.first):
        step = stretch.period * min(together, max(1, stretch.turns // _FEWEST_TURNS))
        starts += range(stretch.first, stretch.stop + 1, step)
    edges = np.unique(np.array(starts, dtype=np.int64))
    edges = edges[edges < len(part.timeline.kind)]
    begin = part.timeline.time[edges]
    begin[0] = 0
    owner = np.searchsorted(edges, np.arange(len(part.timeline.kind)), side="right") - 1
    kind = part.timeline.kind
    return replace(
        part,
        layout=replace(part.layout, begin=begin),
        plays=replace(part.plays, program=owner[kind == Kind.PLAY]),
        acquisitions=replace(part.acquisitions, program=owner[kind == Kind.ACQUIRE]),
        timeline=replace(part.timeline, program=owner),
    )


def _stretches(part: LineProgram) -> list[Stretch]:
    """Find what repeats, the greatest saving first."""
    keys = _keys(part)
    free, found = [(0, len(keys))], list[Stretch]()
    while free and len(found) < _MOST_STRETCHES:
        first, stop = free.pop()
        best = _best(keys[first:stop])
        if best is None:
            continue
        best = replace(best, first=best.first + first)
        found.append(best)
        free += [(a, b) for a, b in ((first, best.first), (best.stop, stop)) if b - a >= _FEWEST_TURNS]
    return found


def _keys(part: LineProgram) -> Ints:
    """Give a number for each event that stands for all that no register of a loop counts here."""
    timeline, kind = part.timeline, part.timeline.kind
    columns = [kind.astype(np.int64), timeline.gap.copy()]
    played = np.zeros((3, len(kind)), dtype=np.int64)
    envelope = part.plays.envelope
    played[0, kind == Kind.PLAY] = 1 + part.waveforms.real[envelope] * 1024 + part.waveforms.imag[envelope]
    played[1, kind == Kind.PLAY] = part.gain_real
    played[2, kind == Kind.ACQUIRE] = 2 + part.weights.index
    keys = np.zeros(len(kind), dtype=np.int64)
    for column in (*columns, *played):
        values, ranks = np.unique(column, return_inverse=True)
        _, keys = np.unique(keys * len(values) + ranks, return_inverse=True)
    return keys


def _best(keys: Ints) -> Stretch | None:
    found = [stretch for period in _periods(keys) if (stretch := _longest(keys, period)) is not None]
    return max(found, key=lambda one: (one.saved, -one.period), default=None)


def _periods(keys: Ints) -> Iterator[int]:
    """Give the distances after which things come again most often."""
    for window in _WINDOWS:
        if len(keys) < 2 * window:
            return
        seen = keys
        if window > 1:
            views = np.lib.stride_tricks.sliding_window_view(keys, window)
            weights = np.random.default_rng(window).integers(1, 2**40, window)
            _, seen = np.unique(views @ weights, return_inverse=True)
        order = np.argsort(seen, kind="stable")
        same = seen[order][1:] == seen[order][:-1]
        distance = np.diff(order)[same]
        times = np.bincount(distance[distance <= LONGEST_PERIOD])
        yield from np.argsort(times)[::-1][: min(_CANDIDATES, np.count_nonzero(times))].tolist()


def _longest(keys: Ints, period: int) -> Stretch | None:
    """Find the longest stretch that repeats with a period."""
    if period < 1 or len(keys) < period * _FEWEST_TURNS:
        return None
    same = np.concatenate([[False], keys[period:] == keys[:-period], [False]])
    edges = np.flatnonzero(np.diff(same))
    lengths = edges[1::2] - edges[::2]
    if not len(lengths):
        return None
    longest = int(np.argmax(lengths))
    turns = int(lengths[longest]) // period + 1
    return Stretch(first=int(edges[2 * longest]), period=period, turns=turns) if turns >= _FEWEST_TURNS else None
