"""Cuts the time of a run into what came before the shot loop, its iterations, and what came after, and shows that the
iterations are alike.

Of N iterations at most three were executed: the first, one in the middle, the last. If what they put out and what they
integrate is the same, at the same times relative to their starts, it is the same in all N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.outputs import Rows, constants_split
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.windows import Windows
from qubitd.emulator.q1.latches import Column
from qubitd.emulator.q1.shotloop import CONCRETE, Run
from qubitd.emulator.q1.timeline import Timeline

Chosen: TypeAlias = NDArray[np.int64] | slice
"""Some of the rows of a section's windows."""
_BIN_RANGE = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """A stretch of a run that is played once or over and over."""

    rows: Rows
    windows: Windows
    """Of the first iteration."""
    bin_step: Column
    """By which the bin of each window grows from one iteration to the next; shape (windows,)."""
    begin: int
    """ns, of the first iteration."""
    duration: int
    """ns, of one iteration."""
    shots: int
    of_acquisition: Mapping[tuple[int, int], Chosen] = field(init=False)
    """Windows that go into each acquisition, by sequencer and index of the acquisition, in this order."""

    def __post_init__(self) -> None:
        rows: dict[tuple[int, int], list[int]] = {}
        for row, key in enumerate(zip(self.windows.sequencer.tolist(), self.windows.acquisition.tolist(), strict=True)):
            rows.setdefault(key, []).append(row)
        chosen = {
            key: np.array(some) if len(some) > 1 else slice(some[0], some[0] + 1) for key, some in sorted(rows.items())
        }
        object.__setattr__(self, "of_acquisition", chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where the iterations of a shot loop lie."""

    period: int
    """ns of one iteration."""
    first: int
    """Start of the first one, ns."""
    shots: int
    """Iterations."""

    @property
    def executed(self) -> int:
        """Iterations that were executed."""
        return min(self.shots, CONCRETE)

    @property
    def bounds(self) -> Column:
        """Start of each executed iteration, then the end of the last, ns."""
        return self.first + self.period * np.arange(self.executed + 1)


def whole(rows: Rows, windows: Windows, end: int) -> Section:
    """Take a run as it is."""
    return Section(rows=rows, windows=windows, bin_step=np.zeros_like(windows.bin), begin=0, duration=end, shots=1)


def common_period(runs: Sequence[Run], timelines: Sequence[Timeline]) -> tuple[int, int] | None:
    """Give the duration of an iteration and when the first one begins, in ns; None if the loops do not agree.

    Where sequencers synchronise within the loop, some may come to the first iteration early and wait there: the last
    one to begin counts, and the first iteration's own duration does not.
    """
    starts = [timeline.start[list(run.bounds)] for run, timeline in zip(runs, timelines, strict=True)]
    periods = {int(period) for start in starts for period in np.diff(start)[1:]}
    if len({run.shots for run in runs}) != 1 or runs[0].shots == 1 or len(periods) != 1:
        return None
    period = periods.pop()
    return (period, max(int(start[1]) for start in starts) - period) if period else None


def sections(rows: Rows, windows: Windows, pool: WaveformPool, cut: Cut, *, end: int) -> list[Section] | None:
    """Cut a run into sections; None if its iterations differ, or if something reaches from one into the next."""
    bounds, executed = cut.bounds, cut.executed
    rows = constants_split(rows, pool, bounds)
    in_section = np.searchsorted(bounds, rows.start, side="right")
    opened = np.searchsorted(bounds, windows.start, side="right")
    limits = np.append(bounds, np.iinfo(np.int64).max)
    if (rows.start + rows.length > limits[in_section]).any() or (windows.start + windows.length > limits[opened]).any():
        return None
    step = _bin_steps(windows, opened, executed, cut.shots)
    if step is None or not _alike(rows, in_section, bounds) or not _alike(windows, opened, bounds):
        return None
    loop = Section(
        rows=rows.take(in_section == 1),
        windows=windows.take(opened == 1),
        bin_step=step,
        begin=cut.first,
        duration=cut.period,
        shots=cut.shots,
    )
    around = [(0, 0, cut.first), (executed + 1, int(bounds[-1]), end)]
    before, after = (
        Section(
            rows=rows.take(in_section == number),
            windows=windows.take(opened == number),
            bin_step=np.zeros(int((opened == number).sum()), dtype=np.int64),
            begin=begin,
            duration=stop - begin,
            shots=1,
        )
        for number, begin, stop in around
    )
    return [section for section in (before, loop, after) if section is loop or section.duration > 0]


def _alike(table: Rows | Windows, section: NDArray[np.int64], bounds: Column) -> bool:
    """Whether all iterations have the same rows, bins aside, at the same times from their starts."""
    numbers = [np.flatnonzero(section == number) for number in range(1, len(bounds))]
    first = numbers[0]
    if any(len(chosen) != len(first) for chosen in numbers):
        return False
    for name in (each.name for each in fields(table)):
        if name == "bin":
            continue
        column: Column = getattr(table, name)
        if name == "start":
            column = column - bounds[np.maximum(section - 1, 0)]
        if any((column[chosen] != column[first]).any() for chosen in numbers[1:]):
            return False
    return True


def _bin_steps(windows: Windows, section: NDArray[np.int64], executed: int, shots: int) -> Column | None:
    """By how much bins grow from one iteration to the next; None if they do not grow evenly."""
    bins = [windows.bin[section == number] for number in range(1, executed + 1)]
    if any(len(column) != len(bins[0]) for column in bins):
        return None
    step: Column = (bins[1] - bins[0]) % _BIN_RANGE
    if ((bins[0] + step * (shots - 1) - bins[-1]) % _BIN_RANGE).any():
        return None
    return step


def bins_in_order(section: Section, rows: Chosen, shots: range) -> slice | None:
    """Give the bins that a window writes one after another in consecutive iterations; None if it is not so."""
    if not isinstance(rows, slice) or section.bin_step[rows.start] != 1:
        return None
    first = int(section.windows.bin[rows.start])
    bins = slice(first + shots.start, first + shots.stop)
    return bins if bins.stop <= _BIN_RANGE else None


def bins_of(section: Section, rows: Chosen, shots: range) -> NDArray[np.int64]:
    """Give the bins that some windows of a section write in given iterations, shape (rows, shots)."""
    first, step = section.windows.bin[rows, None], section.bin_step[rows, None]
    bins: NDArray[np.int64] = first + step * np.arange(shots.start, shots.stop)
    return bins if bins.max(initial=0) < _BIN_RANGE else bins % _BIN_RANGE
