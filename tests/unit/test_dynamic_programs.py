"""Circuits that look at outcomes: how long they take, what their lines count, and what is refused, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qubitd.compiler import flatten
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits, compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.result import Wanted, averaged, program_results
from qubitd.compiler.text import program_text
from qubitd.compiler.verify import Verify
from qubitd.core.bindings import FromColumn
from qubitd.core.capacity import Usage
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.discriminator import Discriminator
from qubitd.core.errors import InvalidCircuitError, Problem
from qubitd.core.feedforward import ALWAYS, Dynamics, FeedForward, Latch, Operator
from qubitd.core.job import Decoupling, InitialReset, JobSpec, MeasLevel, MeasReturn, Scheduling
from qubitd.core.program import HIDDEN, Chunk, Program, ProgramColumns
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep

FILE = load_device("line5")
FACTS = FeedForward(latency=388, travel=376, spacing=252, addresses=15, step=16, shift=4)
SHORT_READOUT = {
    f"q{i}.{name}": value
    for i in range(5)
    for name, value in (
        ("readout.duration", 400e-9),
        ("readout.integration", 400e-9),
        ("readout.delay", 0.0),
        ("measure.duration", 400e-9),
    )
}


def circuit(name: str = "a", num_clbits: int = 4) -> CircuitBuilder:
    return CircuitBuilder(name=name, num_qubits=5, num_clbits=num_clbits)


def bits(*clbits: int, truth: int = 0b10) -> Condition:
    return Condition(clbits=clbits, truth=truth, text=f"c{clbits}")


def compiled(builder: CircuitBuilder, snapshot: Snapshot | None = None, facts: FeedForward = FACTS) -> Program:
    batch = pack([builder])
    (program,) = compile_circuits(FILE.device, snapshot or FILE.snapshot(), batch, feedforward=facts).programs()
    Verify(feedforward=facts)(program)
    return program


def dynamics_of(program: Program) -> Dynamics:
    assert program.dynamics is not None
    return program.dynamics


def refusal(builder: CircuitBuilder, facts: FeedForward | None = FACTS) -> Problem:
    with pytest.raises(InvalidCircuitError) as refused:
        compile_circuits(FILE.device, FILE.snapshot(), pack([builder]), feedforward=facts)
    return refused.value.problems[0]


@pytest.mark.parametrize("scheduling", Scheduling)
def test_five_qubits_are_reset_in_1_84_us(scheduling: Scheduling) -> None:
    builder = circuit().add("barrier", *range(5))
    for qubit in range(5):
        builder.measure(qubit, qubit % 4)
        builder.if_(bits(qubit % 4)).add("x", qubit).end()
    snapshot = FILE.snapshot().with_values(SHORT_READOUT)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, scheduling=scheduling)
    (program,) = compile_job(FILE.device, snapshot, spec, feedforward=FACTS).programs()
    assert program.duration == 400 + 4 * 252 + 388 + 40
    ends = np.sort(program.acquisitions.start + program.acquisitions.length)
    assert np.diff(ends).tolist() == [252] * 4


@pytest.mark.parametrize("scheduling", Scheduling)
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_rounds_of_five_resets_follow_each_other_without_a_gap(scheduling: Scheduling, rounds: int) -> None:
    builder = circuit()
    for qubit in range(5):
        builder.add("x", qubit)
    builder.add("barrier", *range(5))
    for qubit in range(5):
        builder.add("reset", qubit)
    snapshot = FILE.snapshot().with_values(SHORT_READOUT)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, scheduling=scheduling, reset_rounds=rounds)
    (program,) = compile_job(FILE.device, snapshot, spec, feedforward=FACTS).programs()
    assert program.duration == 40 + 400 + (5 * rounds - 1) * 252 + 388 + 40
    ends = np.sort(program.acquisitions.start + program.acquisitions.length)
    assert np.diff(ends).tolist() == [252] * (5 * rounds - 1)


def test_one_qubit_that_is_reset_twice_is_reset_in_turn() -> None:
    builder = circuit().add("x", 0).add("x", 1).add("reset", 0).add("reset", 1).add("reset", 0)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, reset_rounds=2)
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS).programs()
    assert sorted(program.acquisitions.qubit.tolist()) == [0, 0, 0, 0, 1, 1]


def test_a_reset_of_a_used_qubit_measures_it_and_flips_it_if_it_is_1() -> None:
    spec = JobSpec(batch=pack([circuit().add("sx", 2).add("reset", 2)]), sweep=Sweep(), shots=1, reset_rounds=1)
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS).programs()
    dynamics = dynamics_of(program)
    assert program.acquisitions.clbit.tolist() == [HIDDEN]
    (condition,) = dynamics.conditions
    assert (condition.operator, condition.qubits) == (Operator.OR, (2,))
    assert dynamics.play_condition.tolist() == [ALWAYS, 0, ALWAYS]
    flip = program.plays.start[1]
    assert flip >= program.acquisitions.start[0] + program.acquisitions.length[0] + FACTS.latency
    assert [feed.qubit for feed in dynamics.feeds] == [2]


def test_an_active_reset_begins_every_shot_on_every_qubit_that_is_used_and_nothing_waits() -> None:
    batch = pack([circuit().add("reset", 1).add("sx", 0).add("sx", 1).measure(0, 0)])
    spec = JobSpec(batch=batch, sweep=Sweep(), shots=1, reset_rounds=1, initial_reset=InitialReset.ACTIVE)
    active = compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS)
    passive = compile_job(
        FILE.device, FILE.snapshot(), replace(spec, initial_reset=InitialReset.PASSIVE), feedforward=FACTS
    )
    assert (active.reset, passive.reset > 0) == (0, True)
    (program,) = active.programs()
    assert sorted(program.acquisitions.clbit.tolist()) == [HIDDEN, HIDDEN, HIDDEN, 0]
    assert sorted(program.acquisitions.qubit[program.acquisitions.clbit == HIDDEN].tolist()) == [0, 1, 1]
    (waiting,) = passive.programs()
    assert waiting.acquisitions.clbit.tolist() == [0]
    with pytest.raises(InvalidCircuitError, match="has no feed-forward"):
        compile_job(FILE.device, FILE.snapshot(), spec)


def test_a_line_is_open_when_its_outcome_arrives_and_closed_for_others() -> None:
    builder = circuit().measure(0, 0).measure(1, 1).measure(2, 2)
    builder.if_(bits(1)).add("x", 3).end().if_(bits(0)).add("x", 4).end().if_(bits(2)).add("x", 4).end()
    program = compiled(builder)
    latches = dynamics_of(program).latches
    q3 = [Latch(a) for a in latches.action[latches.line == program.lines.index("q3.drive")].tolist()]
    assert q3 in ([Latch.OPEN, Latch.CLOSE], [Latch.OPEN])
    names = {program.lines[line] for line in latches.line.tolist()}
    assert names == {"q3.drive", "q4.drive"}


def test_a_counter_is_cleared_between_two_outcomes_of_one_qubit() -> None:
    builder = circuit()
    for _ in range(2):
        builder.measure(0, 0).if_(bits(0)).add("x", 1).end()
    program = compiled(builder)
    latches = dynamics_of(program).latches
    assert latches.action.tolist() == [Latch.OPEN, Latch.CLEAR]
    first, second = np.flatnonzero(dynamics_of(program).play_condition != ALWAYS)
    arrival = program.acquisitions.start[1] + program.acquisitions.length[1] + FACTS.travel
    assert program.plays.start[first] + FACTS.step <= latches.start[1] <= arrival - FACTS.step
    assert program.plays.start[second] >= arrival


def test_a_virtual_z_in_a_branch_becomes_a_phase_at_run_time() -> None:
    builder = circuit().add("rz", 1, params=(0.5,)).measure(0, 0)
    builder.if_(bits(0)).add("rz", 1, params=(-0.25,)).end().add("sx", 1)
    program = compiled(builder)
    shifts = dynamics_of(program).shifts
    assert [program.lines[line] for line in shifts.line] == ["q1.drive"]
    assert shifts.phase == pytest.approx([2 * np.pi - 0.25])
    assert (shifts.frame.tolist(), shifts.condition.tolist()) == ([1], [0])
    (play,) = np.flatnonzero(program.plays.frame == 1)
    assert program.plays.phase[play] == pytest.approx(0.5)
    assert shifts.start[0] + FACTS.shift <= program.plays.start[play]


def test_a_phase_that_nothing_is_played_after_is_left_out() -> None:
    builder = circuit().add("sx", 0).measure(0, 0).if_(bits(0)).add("rz", 1, params=(1.0,)).end()
    assert not len(dynamics_of(compiled(builder)).shifts.start)


def test_a_cz_in_a_branch_conditions_its_flux_and_both_phases() -> None:
    builder = circuit().measure(2, 0).if_(bits(0)).add("cz", 0, 1).end().add("sx", 0).add("sx", 1)
    program = compiled(builder, FILE.snapshot().with_values({"q0_q1.cz.phase_second": 0.3}))
    dynamics = dynamics_of(program)
    flux = program.plays.line == program.lines.index("q0.flux")
    assert dynamics.play_condition[flux].tolist() == [0]
    assert sorted(program.lines[line] for line in dynamics.shifts.line) == ["q0.drive", "q1.drive"]


def test_a_measurement_in_a_branch_is_conditional() -> None:
    program = compiled(circuit().measure(0, 0).if_(bits(0)).measure(1, 1).end())
    dynamics = dynamics_of(program)
    assert sorted(dynamics.acquisition_condition.tolist()) == [ALWAYS, 0]
    assert sorted(dynamics.play_condition.tolist()) == [ALWAYS, 0]


def test_a_loop_without_conditions_is_an_ordinary_program() -> None:
    looped = circuit().for_(3).add("sx", 0).delay(0, 1e-6).end()
    plain = circuit()
    for _ in range(3):
        plain.add("sx", 0).delay(0, 1e-6)
    assert compiled(looped).dynamics is None
    assert compiled(looped).plays.start.tolist() == compiled(plain).plays.start.tolist()


def test_values_of_parameters_follow_into_every_repetition() -> None:
    builder = circuit().for_(2).add("rz", 0, params=(FromColumn(column=0),)).add("sx", 0).end()
    batch = pack([builder.bind([[0.5], [1.0]])])
    programs = compile_circuits(FILE.device, FILE.snapshot(), batch, feedforward=FACTS).programs()
    assert [program.plays.phase.tolist() for program in programs] == [
        pytest.approx([0.5, 1.0]),
        pytest.approx([1.0, 2.0]),
    ]


def test_bindings_of_a_dynamic_circuit_are_dynamic_all() -> None:
    builder = circuit().measure(0, 0).if_(bits(0)).add("rz", 1, params=(FromColumn(column=0),)).end().add("sx", 1)
    batch = pack([circuit("static").add("x", 0), builder.bind([[0.5], [1.0]]), circuit("other").add("x", 1)])
    programs = list(compile_circuits(FILE.device, FILE.snapshot(), batch, feedforward=FACTS).programs())
    assert [program.dynamics is not None for program in programs] == [False, True, True, False]
    assert [dynamics_of(program).shifts.phase[0] for program in programs[1:3]] == pytest.approx([0.5, 1.0])


def test_a_repeat_until_success_loop_needs_one_counter() -> None:
    again = bits(0, truth=0b01)
    builder = circuit().add("sx", 0).measure(0, 0).while_(again, most=3).add("sx", 0).measure(0, 0).end().add("x", 1)
    dynamics = dynamics_of(compiled(builder))
    assert [(c.operator, c.qubits) for c in dynamics.conditions] == [(Operator.NOR, (0,))]
    assert Latch.CLEAR not in dynamics.latches.action


def older_outcome_looked_at_last() -> CircuitBuilder:
    builder = circuit().measure(1, 1).if_(bits(1)).add("x", 2).end()
    builder.for_(2).measure(0, 0).if_(bits(0)).add("x", 2).end().end()
    return builder.if_(bits(1)).add("x", 2).end()


@pytest.mark.parametrize(
    ("builder", "operation", "what"),
    [
        (
            circuit().measure(0, 0).measure(1, 1).if_(bits(0, 1, truth=0b0010)).add("cz", 2, 3).end(),
            2,
            "the condition (c(0, 1)) is none of OR, NOR, AND, NAND, XOR and XNOR",
        ),
        (
            circuit().measure(0, 0).measure(0, 1).if_(bits(0, 1, truth=0b1000)).add("x", 2).end(),
            2,
            "two outcomes of one qubit add up in one counter",
        ),
        (
            older_outcome_looked_at_last(),
            7,
            "clears all at once",
        ),
    ],
)
def test_what_a_trigger_network_cannot_do_is_refused_by_name(
    builder: CircuitBuilder, operation: int, what: str
) -> None:
    problem = refusal(builder)
    assert problem.operation == operation
    assert what in problem.what


def test_a_controller_that_lacks_something_is_named() -> None:
    builder = circuit().measure(0, 0).measure(1, 1).if_(bits(0, 1, truth=0b0110)).add("x", 2).end()
    assert "has no feed-forward" in refusal(builder, None).what
    assert "can tell 1 apart" in refusal(builder, replace(FACTS, addresses=1)).what
    assert "XOR" in refusal(builder, replace(FACTS, operators=frozenset([Operator.OR]))).what


@pytest.mark.parametrize("herald", [False, True])
@pytest.mark.parametrize("initial", [InitialReset.PASSIVE, InitialReset.ACTIVE])
def test_a_refusal_names_the_operation_as_it_was_sent(herald: bool, initial: InitialReset) -> None:
    untold = circuit().measure(0, 0).measure(1, 1).if_(bits(0, 1, truth=0b0010)).add("cz", 2, 3).end()
    for builder, operation in ((untold, 2), (older_outcome_looked_at_last(), 7)):
        spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, herald=herald, initial_reset=initial)
        with pytest.raises(InvalidCircuitError) as refused:
            list(compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS).programs())
        (problem,) = refused.value.problems
        assert problem.operation == operation
        assert f"operation {operation} (" in problem.where


def test_a_refused_reset_that_a_job_began_with_is_no_operation_of_its_circuit() -> None:
    batch = pack([circuit().add("sx", 2)])
    spec = JobSpec(batch=batch, sweep=Sweep(), shots=1, initial_reset=InitialReset.ACTIVE)
    with pytest.raises(InvalidCircuitError) as refused:
        compile_job(FILE.device, FILE.snapshot(), spec)
    (problem,) = refused.value.problems
    assert (problem.circuit, problem.operation) == (0, None)
    assert problem.where == "circuit 0 ('a'), reset on q2 before it begins"
    assert problem.what.endswith("has no feed-forward; ask for a passive initial reset")


def test_many_free_outcomes_at_once_are_refused() -> None:
    builder = circuit(num_clbits=13)
    for bit in range(13):
        builder.measure(bit % 5, bit)
    for bit in range(13):
        builder.if_(bits(bit)).add("x", 0).end()
    assert "more than 4096 combinations of outcomes; bound the loops lower" in refusal(builder).what


def test_programs_with_other_feeding_qubits_run_in_other_chunks() -> None:
    class Endless:
        def usage(self, chunk: Chunk) -> list[Usage]:
            assert chunk.shots
            return []

        def pause(self, reset: int, *, feeds: bool) -> int:
            return reset

    def of(qubit: int) -> CircuitBuilder:
        return circuit().measure(qubit, 0).if_(bits(0)).add("x", 4).end()

    job = compile_circuits(
        FILE.device, FILE.snapshot(), pack([circuit().measure(0, 0), of(0), of(0), of(1)]), feedforward=FACTS
    )
    chunks = Pack(capacity=Endless(), reset=100)(job.blocks(), shots=1)
    assert [len(chunk.programs) for chunk in chunks] == [1, 2, 1]


def test_columns_of_programs_know_which_of_them_look_at_outcomes() -> None:
    looking = circuit().measure(0, 0).if_(bits(0)).add("x", 4).end()
    batch = pack([circuit().measure(0, 0), looking, circuit().measure(1, 0)])
    made = list(compile_circuits(FILE.device, FILE.snapshot(), batch, feedforward=FACTS).programs())
    whole = ProgramColumns.of(made)
    twice = ProgramColumns.joined([whole, whole[1:]])
    assert [program.dynamics for program in twice] == [program.dynamics for program in (*made, *made[1:])]
    assert list(twice.dynamics) == [1, 3]


def test_a_trace_takes_one_measurement_of_a_qubit_also_in_loops() -> None:
    batch = pack([circuit().for_(2).measure(0, 0).end()])
    spec = JobSpec(batch=batch, sweep=Sweep(), shots=1, meas_level=MeasLevel.RAW)
    with pytest.raises(InvalidCircuitError, match="measures q0 2 times"):
        compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS)


def test_a_trace_is_refused_an_active_initial_reset_which_measures_too() -> None:
    passive = JobSpec(batch=pack([circuit().measure(0, 0)]), sweep=Sweep(), shots=1, meas_level=MeasLevel.RAW)
    assert compile_job(FILE.device, FILE.snapshot(), passive, feedforward=FACTS).num_programs == 1
    active = replace(passive, initial_reset=InitialReset.ACTIVE)
    with pytest.raises(InvalidCircuitError) as refused:
        compile_job(FILE.device, FILE.snapshot(), active, feedforward=FACTS)
    assert [str(problem) for problem in refused.value.problems] == [
        "meas_level 0: takes one measurement of each qubit, and an active initial reset measures them before; "
        "ask for initial_reset 'passive'"
    ]


@pytest.mark.parametrize("conditional", ["x", "measure"])
def test_a_trace_of_shots_that_are_not_alike_is_refused_with_what_makes_them_so(conditional: str) -> None:
    builder = circuit("b").measure(0, 0).if_(bits(0))
    (builder.add("x", 1) if conditional == "x" else builder.measure(1, 1)).end().measure(2, 2)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, meas_level=MeasLevel.RAW)
    with pytest.raises(InvalidCircuitError) as refused:
        compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS)
    (problem,) = refused.value.problems
    assert (problem.circuit, problem.operation) == (0, 2)
    assert f"operation 2 ({conditional}): is done in some shots only" in str(problem)


def test_decoupling_takes_loops_and_refuses_conditions() -> None:
    looped = JobSpec(batch=pack([circuit().for_(2).add("sx", 0).end()]), sweep=Sweep(), shots=1, dd=Decoupling.XY4)
    assert compile_job(FILE.device, FILE.snapshot(), looped, feedforward=FACTS).num_programs == 1
    asking = replace(looped, batch=pack([circuit().measure(0, 0).if_(bits(0)).add("x", 1).end()]))
    with pytest.raises(InvalidCircuitError, match="without dynamical decoupling; leave dd out"):
        compile_job(FILE.device, FILE.snapshot(), asking, feedforward=FACTS)
    active = replace(looped, initial_reset=InitialReset.ACTIVE)
    with pytest.raises(InvalidCircuitError, match="how an active initial reset goes"):
        compile_job(FILE.device, FILE.snapshot(), active, feedforward=FACTS)


def test_heralds_stand_in_front_of_control_flow() -> None:
    batch = pack([circuit().measure(0, 0).if_(bits(0)).add("x", 1).end()])
    spec = JobSpec(batch=batch, sweep=Sweep(), shots=1, herald=True)
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec, feedforward=FACTS).programs()
    assert sorted(program.acquisitions.clbit.tolist()) == [-1, -1, 0]
    assert np.diff(np.sort(program.acquisitions.start)[:2]).min() >= 0


def test_a_skipped_measurement_leaves_its_bit_and_its_point_is_nobodys() -> None:
    """q1 is measured into bit 1, and again if q0 gave 1; the hardware's outcome counts, not the host's."""
    program = compiled(circuit().measure(1, 1).measure(0, 0).if_(bits(0)).measure(1, 1).end())
    rows = program.acquisitions
    columns = np.argsort(rows.order)
    shots = np.array([[1, 0, np.nan], [1, 1, -1], [-1, 1, 1], [-1, 0, np.nan]])
    iq = np.empty(shots.shape, dtype=np.complex64)
    iq[:, columns] = shots
    told = np.where(np.isnan(iq.real), -2, -1).astype(np.int8)
    told[2, columns[1]] = 0
    by_sign = Discriminator(rotation=0.0, threshold=0.0)
    wanted = Wanted(
        level=MeasLevel.BOTH, meas_return=MeasReturn.SINGLE, herald=False, discriminators={0: by_sign, 1: by_sign}
    )
    (result,) = program_results(program, [iq], wanted, first=0, first_shot=0, told=[told])
    assert result.bits is not None
    assert result.bits[:, 0].tolist() == [0b11, 0b01, 0b10, 0b01]
    mean = averaged(iq)[0, columns]
    assert mean.real.tolist() == [0.0, 0.5, 0.0]


def test_what_breaks_a_dynamic_program_is_found_before_it_is_played() -> None:
    program = compiled(circuit().measure(0, 0).measure(1, 1).if_(bits(0)).add("x", 2).end())
    dynamics = dynamics_of(program)

    def offence(changed: Program, facts: FeedForward | None = FACTS) -> str:
        (problem,) = Verify(feedforward=facts).problems(changed)
        return f"{problem.where}: {problem.what}"

    rows = program.acquisitions
    late = replace(rows, start=rows.start + np.where(rows.qubit == 0, 20, 0))
    assert "q2.drive: looks at qubit 0" in offence(replace(program, acquisitions=late))
    closed = replace(dynamics.latches, action=np.full(len(dynamics.latches.start), Latch.CLOSE, dtype=np.int8))
    assert "no outcome of it was counted" in offence(replace(program, dynamics=replace(dynamics, latches=closed)))
    assert "which do not feed" in offence(replace(program, dynamics=replace(dynamics, feeds=())))
    short = replace(dynamics, play_condition=dynamics.play_condition[:-1])
    assert "has conditions for" in offence(replace(program, dynamics=short))
    assert "has no feed-forward" in offence(program, None)
    assert "trigger network takes one in 100000 ns" in offence(
        compiled(circuit().add("x", 0).add("reset", 0)), replace(FACTS, spacing=100_000)
    )


def test_a_dynamic_program_can_be_read() -> None:
    builder = circuit().measure(0, 0).if_(bits(0)).add("rz", 2, params=(1.0,)).measure(2, 1).add("x", 2).end()
    text = program_text(compiled(builder.add("sx", 2)))
    assert "q2.drive   shift" in text
    assert "phase 1  frame 2  if OR of 0" in text
    assert "q2.drive   latch" in text
    assert [line.endswith("if OR of 0") for line in text.splitlines() if "q2.readout" in line][:2] == [True, True]
    assert text.count("open") == 2


def test_a_program_says_which_outcomes_are_in_no_bit() -> None:
    spec = JobSpec(
        batch=pack([circuit().add("sx", 2).add("reset", 2).measure(2, 3)]), sweep=Sweep(), shots=1, herald=True
    )
    (program,) = compile_job(FILE.device, FILE.snapshot(), replace(spec, reset_rounds=1), feedforward=FACTS).programs()
    acquired = [line for line in program_text(program).splitlines() if "acquire" in line]
    assert [next(word for word in ("herald", "no bit", "bit 3") if f"-> {word} " in line) for line in acquired] == [
        "herald",
        "no bit",
        "bit 3",
    ]


def test_the_mean_of_what_never_happened_is_no_number() -> None:
    assert np.isnan(averaged(np.array([[np.nan]], dtype=np.complex64))[0, 0])


def long_while(most: int) -> CircuitBuilder:
    builder = circuit(num_clbits=1).add("sx", 0).measure(0, 0)
    builder.while_(bits(0, truth=0b01), most=most)
    return builder.add("x", 0).measure(0, 0).end()


def test_a_loop_of_a_thousand_rounds_asks_in_each_for_all_that_came_before() -> None:
    batch = pack([long_while(1_000)])
    flat = flatten.flatten_batch(batch, rounds=1)
    assert flat.problems == ()
    tests = flat.guards[0].tests
    assert [test.outcomes for test in tests] == [tuple(range(rounds)) for rounds in range(1, 1_001)]
    assert {test.operator for test in tests} == {Operator.NOR}


def test_conditions_that_hang_on_too_much_are_refused_and_never_worked_at_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two, three = long_while(100), long_while(100), long_while(100)
    monkeypatch.setattr(flatten, "MAX_COMPARED", 1_000_000)
    assert flatten.flatten_batch(pack([one]), rounds=1).problems == ()
    (problem,) = flatten.flatten_batch(pack([one, two, three]), rounds=1).problems
    assert "outcomes in" in problem.what
    assert "and so did too many before; repeat less, or split the job" in problem.what
    assert problem.circuit == 1


def test_the_search_for_a_parity_that_is_none_counts_as_work(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = circuit(num_clbits=10)
    for clbit in range(10):
        builder.measure(clbit % 5, clbit)
    builder.if_(bits(*range(10), truth=1 << 777 | 1 << 5)).add("x", 0).end().measure(0, 0)
    builder.if_(bits(0)).add("x", 0).end()
    monkeypatch.setattr(flatten, "MAX_COMPARED", 1_000_000)
    told = [problem.what for problem in flatten.flatten_batch(pack([builder]), rounds=1).problems]
    assert "is none of OR, NOR, AND" in told[0]
    assert "and so did too many before" in told[1]
