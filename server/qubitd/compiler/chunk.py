"""Pass: packs programs into chunks that fit the controller's memories and run for about a second.

A chunk holds as many circuits as all memories allow, or up to 1 in 64 fewer, and then as many shots; it is cut between
circuits or between shots, never inside one. A capacity must count more, or the same, for more programs or shots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qubitd.compiler.block import Block
from qubitd.compiler.errors import ProgramTooLargeError
from qubitd.compiler.waiting import Sizes, Waiting
from qubitd.core.capacity import Capacity, Usage
from qubitd.core.errors import Problem
from qubitd.core.program import Chunk, Program
from qubitd.core.ticks import to_seconds

RUN_TIME = 1_000_000_000
"""Ticks that a chunk runs at most, unless one shot of one program takes longer."""
MAX_PROGRAMS = 4096
"""Programs of a chunk, however little they take of the controller: each is held in memory."""
MAX_ROWS = 2**20
"""Plays and acquisitions of a chunk of more than one program."""
MAX_RESULT_BYTES = 2**24
"""Bytes of a chunk's result, unless one shot of one program gives more: it is held in memory until it is recorded."""

_SLACK = 64
"""Of so many programs that fit, one may be left to the next chunk, rather than be tried: each try looks at all."""
_FASTEST = 64
"""Times as many programs that are tried next at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What some programs take together."""

    count: int
    """How many they are."""
    of: Mapping[tuple[str, str], tuple[int, int]]
    """(used, limit) by sequencer and memory."""

    @property
    def fits(self) -> bool:
        """Whether no limit is exceeded."""
        return all(used <= limit for used, limit in self.of.values())

    def expected(self, before: _Taken) -> int:
        """Give how many programs should just fit if each further one takes what the last ones took on average."""
        most = MAX_PROGRAMS
        for place, (used, limit) in self.of.items():
            step = used - before.of.get(place, (0, 0))[0]
            if step * (self.count - before.count) > 0:
                most = min(most, self.count + (limit - used) * (self.count - before.count) // step)
        return most

    @property
    def fills_a_memory(self) -> bool:
        """Whether a memory has less room left than for half of what each took on average.

        One that holds less than an entry for each is shared: the next may need no more.
        """
        return any(
            used >= self.count > 1 and 2 * (limit - used) * self.count < used for used, limit in self.of.values()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Cuts a job into chunks for one controller."""

    capacity: Capacity
    reset: int
    """Ticks of passive reset before each program."""
    run_time: int = RUN_TIME
    raw: bool = False
    """Whether the digitisers' traces are wanted."""

    def __call__(self, blocks: Iterable[Block], *, shots: int, first_program: int = 0) -> Iterator[Chunk]:
        """Give the chunks of a job: all shots of the first circuits, then of the next.

        Args:
            blocks: programs of the job, in order; taken as they are needed.
            shots: of each program.
            first_program: index of the first program in the job.

        Raises:
            ProgramTooLargeError: one shot of one program does not fit; the sequencer and memory are named.
        """
        for group in self.groups(blocks, first_program=first_program):
            yield from self.cut(group, shots=shots)

    def cut(self, group: Chunk, *, shots: int) -> Iterator[Chunk]:
        """Give the chunks of programs that go together: as many shots at a time as fit."""
        most = self._most_shots(group, shots)
        for first_shot in range(0, shots, most):
            yield replace(group, first_shot=first_shot, shots=min(most, shots - first_shot))

    def groups(self, blocks: Iterable[Block], *, first_program: int = 0) -> Iterator[Chunk]:
        """Give runs of programs that fit together, each as a chunk of one shot.

        Raises:
            ProgramTooLargeError: one shot of one program does not fit.
        """
        waiting = Waiting(blocks, self.pause, most_rows=MAX_ROWS)
        count = 1
        while True:
            count = self._fill(waiting, first_program, guess=count)
            if count == 0:
                return
            yield self._chunk(waiting.first(count), first_program)
            waiting.drop(count)
            first_program += count

    def _fill(self, waiting: Waiting, first_program: int, *, guess: int) -> int:
        """Take programs until one more would not fit; give how many do.

        What some take tells how many to try next, so that few tries are needed when programs are alike. Where those
        that fit leave too little room for half a program, or for 1 in 64 more of them, one that is no shorter than
        they are is not tried.
        """
        good, bad, ahead, is_full = 0, MAX_PROGRAMS + 1, guess, False
        before = _Taken(count=0, of={})
        while True:
            waiting.have(ahead)
            ahead = min(ahead, len(waiting))
            if ahead == good:
                return good
            if is_full and ahead == good + 1 and good * waiting.rows(good, good + 1) >= waiting.rows(0, good):
                return good
            taken = self._taken(waiting, ahead, first_program)
            fits = taken.fits
            good, bad = (ahead, bad) if fits else (good, ahead)
            if bad == 1:
                raise ProgramTooLargeError(self.problems(waiting.first(1)[0], first_program))
            if bad - good <= 1 + good // _SLACK:
                return good
            waiting.have(good + 1)
            if len(waiting) == good:
                return good
            expected = taken.expected(before)
            if expected >= bad:  # what they take does not grow evenly
                expected = (good + bad) // 2
            is_nearly_full = fits and 0 < good // _SLACK >= expected - good
            ahead = good + 1 if is_nearly_full else max(good + 1, min(expected, _FASTEST * ahead))
            is_full = is_nearly_full or (fits and taken.fills_a_memory)
            before = taken

    def alone(self, program: Program, index: int = 0) -> Chunk:
        """Give one shot of one program of a job."""
        return self._chunk((program,), index)

    def pause(self, *, feeds: bool) -> int:
        """Give the ticks between two programs; `feeds` says whether they act on outcomes while they run."""
        return self.capacity.pause(self.reset, feeds=feeds)

    def _taken(self, waiting: Waiting, count: int, first_program: int) -> _Taken:
        """Say what the first programs take together; of the controller only if we ourselves can bear them."""
        of: dict[tuple[str, str], tuple[int, int]] = {
            ("", "generations"): (1 + waiting.is_mixed(count), 1),
            ("", "feeding qubits"): (waiting.feeds(count), 1),
            ("", "ticks"): (waiting.ticks(count), self.run_time),
            ("", "result"): (waiting.result_bytes(count), MAX_RESULT_BYTES),
            ("", "rows"): (waiting.rows(0, count), MAX_ROWS),
        }
        if count == 1:
            of = {place: (min(used, limit), limit) for place, (used, limit) in of.items()}
        taken = _Taken(count=count, of=of)
        if taken.fits:
            for usage in self.capacity.usage(self._chunk(waiting.first(count), first_program)):
                of[usage.sequencer, usage.memory] = (usage.used, usage.limit)
        return taken

    def _most_shots(self, group: Chunk, shots: int) -> int:
        sizes = Sizes.of(group.programs, self.pause)
        in_time = self.run_time // max(1, sum(sizes.ticks))
        in_memory = MAX_RESULT_BYTES // max(1, sum(sizes.result_bytes))
        most = max(1, min(shots, in_time, in_memory))
        if self._fits(replace(group, shots=most)):
            return most
        return _last(lambda count: self._fits(replace(group, shots=count)), 1, most)

    def _fits(self, chunk: Chunk) -> bool:
        return all(usage.fits for usage in self.capacity.usage(chunk))

    def _chunk(self, programs: Sequence[Program], first_program: int) -> Chunk:
        return Chunk(
            programs=programs, first_program=first_program, first_shot=0, shots=1, reset=self.reset, raw=self.raw
        )

    def problems(self, program: Program, index: int = 0) -> Iterator[Problem]:
        """Say what one shot of a program takes too much of: a shot is never cut.

        Args:
            program: any program of a job.
            index: of it in the job.
        """
        where = f"program {index} ({program.name!r}, {to_seconds(program.duration):.6g} s)"
        for usage in self.capacity.usage(self.alone(program, index)):
            if not usage.fits:
                taken = f"one shot takes {usage.used} {usage.memory} of {usage.sequencer}, which holds {usage.limit}"
                yield Problem(where=where, what=f"{taken}{_no_loops(usage)}; split the circuit")


def _no_loops(usage: Usage) -> str:
    return f" (turns that repeat are written out, since {usage.written_out})" if usage.written_out else ""


def _last(fits: Callable[[int], bool], good: int, bad: int) -> int:
    """The last number that fits, between one that does and one that does not."""
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
