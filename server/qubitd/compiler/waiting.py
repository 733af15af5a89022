"""Programs that wait to be packed, as they were made together: what the first of them take is summed up, not made."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from qubitd.compiler.block import Block, Cases
from qubitd.core.feedforward import Feed
from qubitd.core.program import Program, ProgramColumns, ProgramTables


class Pause(Protocol):
    """Gives the ticks between two programs."""

    def __call__(self, *, feeds: bool) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What one shot of each of some programs takes."""

    rows: Sequence[int]
    """Plays and acquisitions."""
    ticks: Sequence[int]
    """With the pause before it."""
    result_bytes: Sequence[int]
    """An IQ point for each acquisition, and packed bits."""

    @classmethod
    def of(cls, programs: Sequence[Program], pause: Pause) -> Sizes:
        """Look at programs."""
        if not isinstance(programs, ProgramColumns):
            return cls(
                rows=[len(one.plays.start) + len(one.acquisitions.start) for one in programs],
                ticks=[one.duration + pause(feeds=one.dynamics is not None) for one in programs],
                result_bytes=[8 * len(one.acquisitions.start) + -(-one.num_clbits // 8) for one in programs],
            )
        acquisitions = np.diff(programs.acquisition_bounds)
        pauses = np.full(len(programs), pause(feeds=False), dtype=np.int64)
        if programs.dynamics:
            pauses[list(programs.dynamics)] = pause(feeds=True)
        return cls(
            rows=(np.diff(programs.play_bounds) + acquisitions).tolist(),
            ticks=(programs.durations + pauses).tolist(),
            result_bytes=(8 * acquisitions + -(-programs.num_clbits // 8)).tolist(),
        )


class Waiting:
    """Programs in order, taken from their blocks as they are needed; the first ones go when they are packed."""

    def __init__(self, blocks: Iterable[Block], pause: Pause, *, most_rows: int) -> None:
        """Begin with none.

        Args:
            blocks: of the job, in order.
            pause: between two programs.
            most_rows: beyond which no further program is taken.
        """
        self._blocks = iter(blocks)
        self._pause = pause
        self._most_rows = most_rows
        self._parts: list[Sequence[Program]] = []
        self._taken = 0
        self._rows, self._ticks, self._bytes = [0], [0], [0]
        """Sums up to each program that is held, taken or not."""
        self._feeds: list[tuple[Feed, ...]] = []
        """Which qubits feed: a setting for a whole run."""
        self._gone = 0
        """Programs in the lists above that went before the first one."""
        self._made: dict[int, Sequence[Program]] = {}

    def __len__(self) -> int:
        """How many were taken."""
        return self._taken

    def have(self, count: int) -> None:
        """Take so many programs, or fewer if there are no more or they have too many rows."""
        most_rows = self._rows[self._gone] + self._most_rows
        while len(self._feeds) < self._gone + count and self._rows[-1] <= most_rows and self._hold_another():
            pass
        most = min(len(self._feeds), bisect.bisect_right(self._rows, most_rows, lo=self._gone)) - self._gone
        self._taken = max(self._taken, min(count, most))

    def drop(self, count: int) -> None:
        """Let the first ones go."""
        self._made.clear()
        self._taken -= count
        self._parts = self._between(count, None)
        self._gone += count
        if 2 * self._gone > len(self._feeds):  # seldom: programs may go one by one
            for column in (self._rows, self._ticks, self._bytes, self._feeds):
                del column[: self._gone]
            self._gone = 0

    def rows(self, begin: int, end: int) -> int:
        """Count the plays and acquisitions of some."""
        return self._rows[self._gone + end] - self._rows[self._gone + begin]

    def ticks(self, count: int) -> int:
        """Give the ticks of one shot of the first ones."""
        return self._ticks[self._gone + count] - self._ticks[self._gone]

    def result_bytes(self, count: int) -> int:
        """Count the bytes that one shot of the first ones gives."""
        return self._bytes[self._gone + count] - self._bytes[self._gone]

    def feeds(self, count: int) -> int:
        """Count the settings of feeding qubits that the first ones want."""
        return len(set(self._feeds[self._gone : self._gone + count]))

    def is_mixed(self, count: int) -> bool:
        """Whether the first ones come from several generations of tables."""
        return self._generation(0) != self._generation(count - 1)

    def first(self, count: int) -> Sequence[Program]:
        """Give the first ones, the same whenever they are asked for; all have the same tables: the last one's, which
        begin with those of the others.
        """
        found = self._made.get(count)
        if found is None:
            found = self._made[count] = _together(self._between(0, count))
        return found

    def _generation(self, index: int) -> int:
        for part in self._parts:
            if index < len(part):
                return part.tables.generation if isinstance(part, ProgramColumns) else part[index].tables.generation
            index -= len(part)
        raise IndexError(index)

    def _hold_another(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        part = tuple(block) if isinstance(block, Cases) else block
        sizes = Sizes.of(part, self._pause)
        for sums, each in ((self._rows, sizes.rows), (self._ticks, sizes.ticks), (self._bytes, sizes.result_bytes)):
            sums.extend(itertools.islice(itertools.accumulate(each, initial=sums[-1]), 1, None))
        self._feeds += _feeds(part)
        self._parts.append(part)
        return True

    def _between(self, begin: int, end: int | None) -> list[Sequence[Program]]:
        """Give the parts of some programs, cut at both ends."""
        found: list[Sequence[Program]] = []
        first = 0
        for part in self._parts:
            if end is not None and first >= end:
                break
            last = len(part) if end is None else min(len(part), end - first)
            if begin - first < last:
                found.append(part[max(0, begin - first) : last])
            first += len(part)
        return found


def _feeds(programs: Sequence[Program]) -> list[tuple[Feed, ...]]:
    if isinstance(programs, ProgramColumns) and not programs.dynamics:
        return [()] * len(programs)
    return [() if program.dynamics is None else program.dynamics.feeds for program in programs]


def _tables(programs: Sequence[Program]) -> ProgramTables:
    return programs.tables if isinstance(programs, ProgramColumns) else programs[-1].tables


def _together(parts: Sequence[Sequence[Program]]) -> Sequence[Program]:
    columns = [part for part in parts if isinstance(part, ProgramColumns)]
    if len(columns) == len(parts):
        return ProgramColumns.joined(columns)
    tables = _tables(parts[-1])
    every = itertools.chain.from_iterable(parts)
    return tuple(program if program.tables is tables else replace(program, tables=tables) for program in every)
