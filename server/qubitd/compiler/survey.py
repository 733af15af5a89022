"""Walks through a job's programs once, so that whatever cannot run is refused before the job queues; keeps none but
those of the first chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from qubitd.compiler.chunk import Pack
from qubitd.compiler.errors import JobTooLongError
from qubitd.core.errors import Problem
from qubitd.core.job import MAX_EXECUTION_TIME
from qubitd.core.program import Chunk, Program
from qubitd.core.ticks import to_seconds


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


def survey(
    programs: Iterable[Program],
    pack: Pack,
    *,
    check: Callable[[Chunk], None],
    shots: int,
    most_seconds: float,
    begin: Callable[[Chunk], None] = disregard,
) -> Survey:
    """Look at every program.

    Args:
        programs: of a job, at least one; refused ones raise when they are taken.
        pack: how the job is cut into chunks.
        check: what else is asked of each group of programs that go together; it raises if it refuses one.
        shots: of each program.
        most_seconds: of instrument time for the whole job.
        begin: is given the first chunk as soon as it is cut: what was worked out about it is still at hand then.

    Raises:
        ProgramTooLargeError: one shot of a program does not fit the controller.
        JobTooLongError: the job takes more time than it may.
    """
    clock = _Clock(pack.reset, shots, most_seconds)
    groups = pack.groups(clock.past(programs))
    group = next(groups)
    check(group)
    first = next(pack.cut(group, shots=shots))
    begin(first)
    is_only = True
    for following in groups:
        check(following)
        is_only = False
    return Survey(first=first, is_only_group=is_only, instrument_seconds=to_seconds(clock.ticks))


class _Clock:
    """Adds up the time of programs as they go past."""

    def __init__(self, reset: int, shots: int, most_seconds: float) -> None:
        self.ticks = 0
        self._reset = reset
        self._shots = shots
        self._most_seconds = most_seconds

    def past(self, programs: Iterable[Program]) -> Iterator[Program]:
        for number, program in enumerate(programs):
            self.ticks += self._shots * (program.duration + self._reset)
            if to_seconds(self.ticks) > self._most_seconds:
                what = (
                    f"{self._shots} shots of programs 0 to {number} alone take {to_seconds(self.ticks):.6g} s on the "
                    f"instruments; the limit is {self._most_seconds:g} s{_origin(self._most_seconds)}; split the job, "
                    "or lower the shots"
                )
                raise JobTooLongError([Problem(where="job", what=what)])
            yield program


def _origin(most_seconds: float) -> str:
    is_asked_for = most_seconds < MAX_EXECUTION_TIME
    return " (max_execution_time, with which it was submitted)" if is_asked_for else " for one job"
