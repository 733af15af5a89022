"""Walks through a job's programs once, so that whatever cannot run is refused before the job queues; keeps none but
those of the first chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from qubitd.compiler.block import Block, Cases
from qubitd.compiler.chunk import Pack
from qubitd.compiler.errors import JobTooLongError
from qubitd.core.errors import Problem
from qubitd.core.job import MAX_EXECUTION_TIME
from qubitd.core.program import Chunk
from qubitd.core.ticks import seconds_text, to_seconds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """A job whose programs all fit the controller."""

    first: Chunk
    """The first of its chunks."""
    is_only_group: bool
    """Whether that chunk holds all programs, if not all their shots."""
    instrument_seconds: float
    """Time that all shots take, with their passive resets."""


def disregard(_: Chunk) -> None:
    """Do nothing with the first chunk."""


def unsure(_: Chunk) -> bool:
    """Vouch for nothing."""
    return False


def survey(
    blocks: Iterable[Block],
    pack: Pack,
    *,
    check: Callable[[Chunk], None],
    shots: int,
    most_seconds: float,
    begin: Callable[[Chunk], None] = disregard,
    vouch: Callable[[Chunk], bool] = unsure,
) -> Survey:
    """Look at every program.

    Args:
        blocks: programs of a job, at least one; refused ones raise when their block is taken.
        pack: how the job is cut into chunks.
        check: what else is asked of each group of programs that go together; it raises if it refuses one.
        shots: of each program.
        most_seconds: of instrument time for the whole job.
        begin: is given the first chunk as soon as it is cut: what was worked out about it is still at hand then.
        vouch: is given one program and says whether it fits and passes the check, whatever the phases of its plays;
            of a block of programs that differ in nothing else no other is looked at then, but for the first chunk.

    Raises:
        ProgramTooLargeError: one shot of a program does not fit the controller.
        JobTooLongError: the job takes more time than it may.
    """
    passage = _Passage(blocks, _Clock(shots, most_seconds), pack, vouch)
    groups = passage.groups()
    group = next(groups)
    check(group)
    first = next(pack.cut(group, shots=shots))
    begin(first)
    passage.may_skip = True
    is_only = True
    for following in groups:
        check(following)
        is_only = False
    return Survey(
        first=first,
        is_only_group=is_only and not passage.has_skipped,
        instrument_seconds=to_seconds(passage.clock.ticks),
    )


class _Passage:
    """Programs on their way past, with their times; those that others stand for are left out once they may be."""

    def __init__(self, blocks: Iterable[Block], clock: _Clock, pack: Pack, vouch: Callable[[Chunk], bool]) -> None:
        self.clock = clock
        self.may_skip = False
        self.has_skipped = False
        self._is_over = False
        self._blocks = iter(blocks)
        self._pack = pack
        self._vouch = vouch

    def groups(self) -> Iterator[Chunk]:
        """Give runs of programs that fit together; none goes on behind programs that were left out."""
        while not self._is_over:
            yield from self._pack.groups(self._stretch(), first_program=self.clock.programs)

    def _stretch(self) -> Iterator[Block]:
        """Give programs up to the next that are left out, or to the last; one by one where some may be left out."""
        for block in self._blocks:
            self.clock.add(_times(block, self._pack))
            if not _is_uniform(block):
                yield block
                continue
            is_vouched: bool | None = None
            for program in block:
                if self.may_skip and is_vouched is None:
                    is_vouched = self._vouch(self._pack.alone(program))
                    self.has_skipped |= is_vouched
                if is_vouched:
                    return
                yield (program,)
        self._is_over = True


def _is_uniform(block: Block) -> bool:
    return isinstance(block, Cases) and block.differ_in_phases_only


def _times(block: Block, pack: Pack) -> list[int]:
    """Give the ticks that a shot of each program takes, with what comes between it and the next."""
    if isinstance(block, tuple):
        return [program.duration + pack.pause(feeds=program.dynamics is not None) for program in block]
    times: list[int] = (block.durations + pack.pause(feeds=False)).tolist()
    return times


class _Clock:
    """Adds up the time of programs as they go past."""

    def __init__(self, shots: int, most_seconds: float) -> None:
        self.ticks = 0
        self.programs = 0
        """That were added."""
        self._shots = shots
        self._most_seconds = most_seconds

    def add(self, times: Sequence[int]) -> None:
        """Add some programs, of which one shot takes so many ticks.

        Raises:
            JobTooLongError: they exceed what the job may take.
        """
        before, self.ticks = self.ticks, self.ticks + self._shots * sum(times)
        if to_seconds(self.ticks) > self._most_seconds:
            self._refuse(before, times)
        self.programs += len(times)

    def _refuse(self, before: int, times: Sequence[int]) -> None:
        ends = (before + self._shots * total for total in itertools.accumulate(times))
        number, seconds = next(
            (number, seconds)
            for number, seconds in enumerate(map(to_seconds, ends), self.programs)
            if seconds > self._most_seconds
        )
        limit = f"{seconds_text(self._most_seconds)}{_origin(self._most_seconds)}"
        what = (
            f"{self._shots} shots of programs 0 to {number} alone take {seconds_text(seconds)} on the "
            f"instruments; the limit is {limit}; split the job, or lower the shots"
        )
        raise JobTooLongError([Problem(where="job", what=what)])


def _origin(most_seconds: float) -> str:
    is_asked_for = most_seconds < MAX_EXECUTION_TIME
    return " (max_execution_time, with which it was submitted)" if is_asked_for else " for one job"
