"""Chunks hold as many circuits, then as many shots, as memory and a second allow; a shot is never cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import ProgramTooLargeError
from qubitd.core.capacity import Usage
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.program import Chunk, Program, ProgramColumns
from qubitd.core.sweep import Sweep, SweepAxis

FILE = load_device("line5")
RESET = 210_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Instructions for each play once, and a bin for each acquisition of each shot."""

    instructions: int = 1000
    bins: int = 1000

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        plays = sum(len(program.plays.start) for program in chunk.programs)
        acquisitions = sum(len(program.acquisitions.start) for program in chunk.programs)
        return (
            Usage(sequencer="seq0 (q0.drive)", memory="instructions", used=plays, limit=self.instructions),
            Usage(sequencer="seq1 (q0.readout)", memory="bins", used=acquisitions * chunk.shots, limit=self.bins),
        )

    def pause(self, reset: int, *, feeds: bool) -> int:
        return reset


def programs(*plays: int, delay: float = 0.0) -> list[Program]:
    builders = [CircuitBuilder(name=f"c{i}", num_qubits=1, num_clbits=1) for i in range(len(plays))]
    for builder, count in zip(builders, plays, strict=True):
        for _ in range(count - 1):
            builder.add("x", 0)
        builder.delay(0, delay).measure(0, 0)
    return list(compile_circuits(FILE.device, FILE.snapshot(), pack(builders)).programs())


def cut(
    made: Sequence[Program], shots: int, memory: Memory | None = None, run_time: int = 10**12
) -> list[tuple[int, int, int, int]]:
    """(first program, programs, first shot, shots) of each chunk."""
    packed = Pack(capacity=memory or Memory(), reset=RESET, run_time=run_time)(zip(made), shots=shots)
    return [(c.first_program, len(c.programs), c.first_shot, c.shots) for c in packed]


def test_a_job_that_fits_is_one_chunk() -> None:
    assert cut(programs(3, 3, 3), shots=100) == [(0, 3, 0, 100)]


@pytest.mark.parametrize(
    ("limit", "groups"),
    [(29, [9, 1]), (30, [10]), (31, [10]), (3, [1] * 10), (5, [1] * 10), (6, [2] * 5), (20, [6, 4])],
)
def test_circuits_are_cut_exactly_at_the_memory(limit: int, groups: list[int]) -> None:
    chunks = cut(programs(*[3] * 10), shots=1, memory=Memory(instructions=limit))
    assert [chunk[1] for chunk in chunks] == groups
    assert [chunk[0] for chunk in chunks] == [sum(groups[:i]) for i in range(len(groups))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Memory):
    """Notes how many programs it is asked about."""

    asked: list[int] = field(default_factory=list[int])

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        self.asked.append(len(chunk.programs))
        return Memory.usage(self, chunk)


def test_what_cannot_fit_beside_others_like_it_is_not_tried() -> None:
    memory = Watched(instructions=100)
    assert cut(programs(*[3] * 40), shots=1, memory=memory)[0][1] == 33
    assert 33 in memory.asked
    assert 34 not in memory.asked


def test_a_shorter_program_still_fills_the_room_that_others_leave() -> None:
    assert [chunk[1] for chunk in cut(programs(*[3] * 33, 1, 3), shots=1, memory=Memory(instructions=100))] == [34, 1]


@pytest.mark.parametrize(
    ("limit", "shots", "cuts"),
    [(100, 100, [100]), (99, 100, [99, 1]), (101, 100, [100]), (50, 100, [50, 50]), (1, 3, [1, 1, 1])],
)
def test_shots_are_cut_exactly_at_the_memory(limit: int, shots: int, cuts: list[int]) -> None:
    chunks = cut(programs(3), shots=shots, memory=Memory(bins=limit))
    assert [chunk[3] for chunk in chunks] == cuts
    assert [chunk[2] for chunk in chunks] == [sum(cuts[:i]) for i in range(len(cuts))]


def test_all_circuits_stay_together_and_their_shots_are_cut() -> None:
    assert cut(programs(3, 3), shots=70, memory=Memory(bins=100)) == [(0, 2, 0, 50), (0, 2, 50, 20)]


def test_a_chunk_runs_for_about_a_second() -> None:
    made = programs(2, 2)
    ticks = sum(program.duration + RESET for program in made)
    chunks = cut(made, shots=5000, memory=Memory(bins=10**9), run_time=10**9)
    assert chunks[0] == (0, 2, 0, 10**9 // ticks)
    assert sum(chunk[3] for chunk in chunks) == 5000


def test_circuits_whose_single_shots_take_longer_are_cut_between_circuits() -> None:
    made = programs(*[2] * 6, delay=300e-6)
    ticks = made[0].duration + RESET
    assert [chunk[1] for chunk in cut(made, shots=2, run_time=4 * ticks)] == [4, 4, 2]
    assert [chunk[3] for chunk in cut(made, shots=2, run_time=4 * ticks)] == [1, 1, 2]


def test_one_shot_longer_than_a_chunk_is_run_all_the_same() -> None:
    assert cut(programs(2, 2, delay=0.5), shots=2, run_time=10**6) == [
        (0, 1, 0, 1),
        (0, 1, 1, 1),
        (1, 1, 0, 1),
        (1, 1, 1, 1),
    ]


def test_a_program_that_does_not_fit_alone_is_refused_by_name() -> None:
    with pytest.raises(ProgramTooLargeError) as refused:
        cut(programs(3, 3, 9), shots=10, memory=Memory(instructions=8))
    (problem,) = refused.value.problems
    assert problem.where.startswith("program 2 ('c2', ")
    assert problem.what == "one shot takes 9 instructions of seq0 (q0.drive), which holds 8; split the circuit"


def test_a_program_at_the_limit_fits() -> None:
    assert cut(programs(8), shots=1, memory=Memory(instructions=8)) == [(0, 1, 0, 1)]


@pytest.mark.parametrize("limit", [9, 29, 30, 31, 55, 56, 57, 1000])
@pytest.mark.parametrize("together", [1, 4, 7, 40])
def test_chunks_are_the_same_however_many_programs_were_made_together(limit: int, together: int) -> None:
    made = programs(*np.random.default_rng(1).integers(1, 10, 40).tolist())
    whole = ProgramColumns.of(made)
    blocks = [whole[first : first + together] for first in range(0, len(whole), together)]
    memory = Memory(instructions=limit)
    packed = list(Pack(capacity=memory, reset=RESET, run_time=10**12)(blocks, shots=3))
    assert [(c.first_program, len(c.programs), c.first_shot, c.shots) for c in packed] == cut(made, 3, memory)
    played = [program for chunk in packed for program in chunk.programs]
    assert [program.name for program in played] == [program.name for program in made]
    for program, alone in zip(played, made, strict=True):
        assert program.plays.start.tolist() == alone.plays.start.tolist()
        assert program.acquisitions.clbit.tolist() == alone.acquisitions.clbit.tolist()


def test_a_chunk_of_programs_that_were_made_together_is_a_part_of_their_columns() -> None:
    whole = ProgramColumns.of(programs(*[3] * 10))
    first, second = Pack(capacity=Memory(instructions=18), reset=RESET)([whole[:7], whole[7:]], shots=1)
    assert isinstance(first.programs, ProgramColumns)
    assert np.shares_memory(first.programs.plays.start, whole.plays.start)
    assert isinstance(second.programs, ProgramColumns)
    assert (first.num_rows, second.num_rows) == (24, 16)
    assert second.programs[-1] is second.programs[3]
    assert second.programs[-1].name == "c9"


def test_what_comes_before_a_refused_program_is_packed() -> None:
    packed = Pack(capacity=Memory(instructions=8), reset=RESET)(zip(programs(3, 3, 9)), shots=1)
    assert next(packed).first_program == 0
    with pytest.raises(ProgramTooLargeError):
        next(packed)


def test_programs_are_taken_only_as_they_are_needed() -> None:
    taken = 0

    def source() -> Iterator[tuple[Program]]:
        nonlocal taken
        for program in programs(*[3] * 100):
            taken += 1
            yield (program,)

    packed = Pack(capacity=Memory(instructions=9), reset=RESET)(source(), shots=1)
    assert len(next(packed).programs) == 3
    assert taken <= 6


def test_a_job_can_be_packed_from_any_program_on() -> None:
    packed = Pack(capacity=Memory(), reset=RESET)(zip(programs(3, 3)), shots=1, first_program=7)
    assert [chunk.first_program for chunk in packed] == [7]


def test_no_programs_are_no_chunks() -> None:
    assert cut([], shots=10) == []


def test_the_programs_of_a_chunk_have_one_table() -> None:
    builder = CircuitBuilder(name="rabi", num_qubits=1, num_clbits=1).add("x", 0).measure(0, 0)
    axis = SweepAxis(names=("q0.x.sigma",), values=FILE.snapshot().value("q0.x.sigma") * one_to_two())
    job = compile_circuits(FILE.device, FILE.snapshot(), pack([builder]), Sweep(axes=(axis,)))
    before = list(job.programs())
    (chunk,) = Pack(capacity=Memory(), reset=job.reset)(zip(before), shots=1)
    assert {id(program.tables) for program in chunk.programs} == {id(before[-1].tables)}
    for old, new in zip(before, chunk.programs, strict=True):
        first = [old.tables.envelopes[i].digest for i in old.plays.envelope]
        assert [new.tables.envelopes[i].digest for i in new.plays.envelope] == first


def one_to_two() -> NDArray[np.float64]:
    return np.linspace(1, 2, 5)[None]
