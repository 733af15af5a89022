"""What a job would take is told without running it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from qubitd.compiler.block import Block
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import Compiled, compile_circuits, compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import InvalidProgramError, JobTooLongError, ProgramTooLargeError
from qubitd.compiler.explain import Explanation, explain
from qubitd.compiler.survey import Survey, survey
from qubitd.core.bindings import FromColumn
from qubitd.core.capacity import Usage
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import Problem
from qubitd.core.job import Decoupling, JobSpec
from qubitd.core.program import Chunk, Program
from qubitd.core.sweep import Sweep, SweepAxis

FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()


class Bins:
    """Holds a hundred shots of all acquisitions."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        used = sum(len(program.acquisitions.start) for program in chunk.programs) * chunk.shots
        return (Usage(sequencer="seq", memory="bins", used=used, limit=self.limit),)

    def pause(self, reset: int, *, feeds: bool) -> int:
        return reset


def explained(job: Compiled, *, shots: int, bins: int = 100, most_seconds: float = 60.0) -> Explanation:
    pack = Pack(capacity=Bins(bins), reset=job.reset)

    def look(blocks: Iterable[Block]) -> Survey:
        return survey(blocks, pack, check=Refusing(), shots=shots, most_seconds=most_seconds)

    return explain(job, job.programs(), look=look, capacity=pack.capacity)


class Refusing:
    """Has something against every program of one name."""

    def __call__(self, group: Chunk) -> None:
        if any(program.name == "loud" for program in group.programs):
            raise InvalidProgramError([Problem(where="loud", what="is too loud")])


def test_durations_pulses_and_success_are_told_for_each_program() -> None:
    first = CircuitBuilder(name="first", num_qubits=2, num_clbits=1).add("sx", 0).add("rz", 0, params=(1.0,))
    first.add("sx", 0).add("cz", 1, 0).add("barrier", 0, 1).measure(0, 0)
    second = CircuitBuilder(name="second", num_qubits=1, num_clbits=0).delay(0, 1e-6)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([first, second]))
    found = explained(job, shots=10)
    good, idle = found.programs
    assert (good.name, good.num_plays) == ("first", 4)
    assert good.duration == 80e-9 + 70e-9 + 800e-9
    errors = [SNAPSHOT.value(name) for name in ("q0.sx.error", "q0.sx.error", "q0_q1.cz.error", "q0.measure.error")]
    assert good.success == pytest.approx(np.prod([1 - error for error in errors]))
    assert (idle.duration, idle.num_plays, idle.success) == (1e-6, 0, 1.0)
    assert found.survey.instrument_seconds == pytest.approx(10 * (950e-9 + 1e-6 + 2 * 210e-6))


def test_building_blocks_count_when_composite_gates_were_written_out() -> None:
    device, snapshot = (file := load_device("classroom5")).device, file.snapshot()
    builder = CircuitBuilder(name="a", num_qubits=2, num_clbits=1).add("cx", 0, 1).measure(0, 0)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, dd=Decoupling.X2)
    (program,) = explained(compile_job(device, snapshot, spec), shots=1).programs
    # While q0 is measured q1 waits between its half turns: two pulses.
    names = (*("q1.sx.error", "q1.x.error") * 2, "q0_q1.cz.error", "q0.measure.error")
    assert program.success == pytest.approx(np.prod([1 - snapshot.value(name) for name in names]))


def test_the_first_chunk_and_its_memories_are_told() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).measure(0, 0)
    axis = SweepAxis(names=("q0.readout.amplitude",), values=np.linspace(0.1, 0.2, 4)[None])
    job = compile_circuits(FILE.device, SNAPSHOT, pack([builder]), Sweep(axes=(axis,)))
    found = explained(job, shots=30)
    assert [program.name for program in found.programs] == ["a"] * 4
    assert (len(found.survey.first.programs), found.survey.first.shots) == (4, 25)
    assert [(usage.used, usage.limit, usage.fits) for usage in found.memories] == [(100, 100, True)]


def test_a_job_that_cannot_run_is_refused() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).measure(0, 0)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([builder]))
    with pytest.raises(ProgramTooLargeError, match="takes 1 bins of seq, which holds 0"):
        explained(job, shots=1, bins=0)


def test_an_operation_without_an_error_counts_as_perfect() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=0).add("reset", 0)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([builder]))
    assert explained(job, shots=1).programs[0].success == 1.0


def test_a_later_program_that_does_not_fit_is_refused_too() -> None:
    small = CircuitBuilder(name="small", num_qubits=1, num_clbits=1).measure(0, 0)
    large = CircuitBuilder(name="large", num_qubits=5, num_clbits=5)
    for qubit in range(5):
        large.measure(qubit, qubit)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([*[small] * 20, large]))
    with pytest.raises(ProgramTooLargeError, match=r"program 20 \('large', .*takes 5 bins of seq, which holds 4"):
        explained(job, shots=3, bins=4)


def test_a_job_may_take_its_most_time_and_no_more() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).delay(0, 10e-6)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([builder] * 2))
    seconds = 2 * 1000 * (10e-6 + 210e-6)
    assert explained(job, shots=1000, most_seconds=seconds).survey.instrument_seconds == seconds
    with pytest.raises(JobTooLongError) as refused:
        explained(job, shots=1000, most_seconds=seconds - 1e-9)
    assert str(refused.value) == (
        "job: 1000 shots of programs 0 to 1 alone take 0.44 s on the instruments; the limit is 0.439999999 s "
        "(max_execution_time, with which it was submitted); split the job, or lower the shots"
    )


def test_one_group_of_programs_is_told_from_several() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).measure(0, 0)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([builder] * 5))
    assert explained(job, shots=1000).survey.is_only_group
    assert not explained(job, shots=1000, bins=4).survey.is_only_group


def test_what_the_controller_has_against_any_group_refuses_the_job() -> None:
    quiet, loud = (CircuitBuilder(name=name, num_qubits=1, num_clbits=1).measure(0, 0) for name in ("quiet", "loud"))
    explained(compile_circuits(FILE.device, SNAPSHOT, pack([quiet] * 9)), shots=1, bins=4)
    for circuits in ([loud], [*[quiet] * 8, loud]):
        with pytest.raises(InvalidProgramError, match="loud: is too loud"):
            explained(compile_circuits(FILE.device, SNAPSHOT, pack(circuits)), shots=1, bins=4)


def turned(*angles: float, name: str = "turned", delays: bool = False) -> CircuitBuilder:
    """One circuit with each of some angles, and with a delay of its own for each if wanted."""
    builder = CircuitBuilder(name=name, num_qubits=1, num_clbits=1).add("sx", 0)
    builder.delay(0, FromColumn(column=1)).add("rz", 0, params=(FromColumn(column=0),)).add("sx", 0).measure(0, 0)
    return builder.bind([[angle, 1e-9 * i if delays else 0.0] for i, angle in enumerate(angles)])


def looked_at(*builders: CircuitBuilder, vouches: bool) -> tuple[Survey, list[Program], list[Program]]:
    """Give what a survey finds, and the programs that it checked in groups and those that it had vouched for."""
    checked, asked = list[Program](), list[Program]()
    job = compile_circuits(FILE.device, SNAPSHOT, pack(builders))

    def vouch(chunk: Chunk) -> bool:
        asked.extend(chunk.programs)
        return vouches

    found = survey(
        job.blocks(),
        Pack(capacity=Bins(), reset=job.reset),
        check=lambda group: checked.extend(group.programs),
        shots=10,
        most_seconds=60.0,
        vouch=vouch,
    )
    return found, checked, asked


def test_one_program_stands_for_those_that_differ_from_it_in_phases_only() -> None:
    angles = np.random.default_rng(1).random(5000).tolist()
    found, checked, asked = looked_at(turned(*angles), vouches=True)
    full, all_checked, _ = looked_at(turned(*angles), vouches=False)
    assert len(all_checked) == 5000
    assert len(checked) < 500
    assert len(asked) < 10
    assert len(found.first.programs) == len(full.first.programs)
    assert (found.is_only_group, full.is_only_group) == (False, False)
    assert found.instrument_seconds == full.instrument_seconds


def test_nobody_stands_for_programs_of_other_lengths() -> None:
    _, checked, asked = looked_at(turned(*range(300), delays=True), vouches=True)
    assert (len(checked), asked) == (300, [])


def test_what_comes_after_programs_that_one_stood_for_is_looked_at() -> None:
    angles = np.random.default_rng(1).random(300).tolist()
    last = CircuitBuilder(name="loud", num_qubits=1, num_clbits=1).measure(0, 0)
    _, checked, asked = looked_at(turned(*angles), turned(*angles, name="other"), last, vouches=True)
    assert [program.name for program in asked] == ["turned", "other"]
    assert checked[-1].name == "loud"


def test_a_program_behind_those_that_one_stood_for_is_named_by_its_place_in_the_job() -> None:
    angles = np.random.default_rng(1).random(300).tolist()
    last = CircuitBuilder(name="wide", num_qubits=1, num_clbits=1)
    for _ in range(Bins().limit + 1):
        last.measure(0, 0)
    with pytest.raises(ProgramTooLargeError, match=r"program 600 \('wide'"):
        looked_at(turned(*angles), turned(*angles, name="other"), last, vouches=True)
