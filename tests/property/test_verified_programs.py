"""Any random program is what its circuit asked for, and with any one number altered it is refused, by line and tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import Compiled, compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import InvalidProgramError
from qubitd.compiler.verify import Ceilings, Verify
from qubitd.compiler.verify_circuit import check_circuit, circuit_problems
from qubitd.core.bindings import FromColumn
from qubitd.core.capacity import Capacity, Usage
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.job import JobSpec, Scheduling
from qubitd.core.program import Chunk, Program
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

QUBITS = 3
FILE = load_device("line5")
RACK = load_rack()
CONTROLLER = open_rack(RACK)
SWEEPS = (
    Sweep(),
    Sweep(axes=(SweepAxis(names=("q0.sx.amplitude",), values=np.array([[0.1, 0.2]])),)),
    Sweep(axes=(SweepAxis(names=("q0.frequency", "q1.sx.duration"), values=np.array([[6e9, 6.1e9], [40e-9, 48e-9]])),)),
    Sweep(axes=(SweepAxis(names=("q0_q1.cz.phase_first",), values=np.array([[0.3, -0.5]])),)),
)
ANGLES = st.one_of(st.floats(-20, 20), st.sampled_from([0.0, pi, -pi / 2, 1e4, 1e9]))
qubit = st.integers(0, QUBITS - 1)
gate = st.one_of(
    st.tuples(st.just("rz"), st.tuples(qubit), st.one_of(ANGLES, st.just(FromColumn(column=0)))),
    st.tuples(st.sampled_from(["sx", "x", "sy", "id"]), st.tuples(qubit), st.none()),
    st.tuples(st.just("delay"), st.tuples(qubit), st.integers(0, 200).map(lambda ns: ns * 1e-9)),
    st.tuples(st.just("cz"), st.sampled_from([(0, 1), (1, 0), (1, 2), (2, 1)]), st.none()),
    st.tuples(st.just("barrier"), st.sampled_from([(0, 1), (2, 0, 1)]), st.none()),
    st.tuples(st.just("measure"), st.tuples(qubit), st.none()),
)


@st.composite
def jobs(draw: st.DrawFn) -> Compiled:
    """Circuits with bindings, or with a test of an outcome, at one or several points of a sweep."""
    builder = (
        CircuitBuilder(name="random", num_qubits=QUBITS, num_clbits=QUBITS).add("sx", 0).add("sx", 1).add("cz", 0, 1)
    )
    steps = draw(st.lists(gate, min_size=1, max_size=25))
    is_dynamic = draw(st.booleans())
    write(builder, [(name, on, 0.7 if isinstance(value, FromColumn) else value) for name, on, value in steps[:5]])
    if is_dynamic:
        builder.measure(0, 0).if_(Condition(clbits=(0,), truth=draw(st.sampled_from([0b10, 0b01])), text="random"))
        builder.add("rz", 1, params=(draw(ANGLES),)).add("x", draw(qubit))
        if draw(st.booleans()):
            builder.add("cz", 0, 1)
        builder.end().add("sx", 1)
    write(builder, steps[5:])
    if any(isinstance(value, FromColumn) for _, _, value in steps[5:]):
        builder.bind([[draw(ANGLES)], [draw(ANGLES)]])
    spec = JobSpec(
        batch=pack([builder, CircuitBuilder(name="other", num_qubits=1, num_clbits=0).add("x", 0)]),
        sweep=draw(st.sampled_from(SWEEPS)),
        shots=1,
        scheduling=draw(st.sampled_from(Scheduling)),
    )
    try:
        return compile_job(FILE.device, FILE.snapshot(), spec, feedforward=CONTROLLER.feedforward)
    except InvalidCircuitError:  # the trigger network cannot tell these outcomes in time
        assume(not is_dynamic)
        raise


def write(builder: CircuitBuilder, steps: Sequence[tuple[str, tuple[int, ...], Any]]) -> None:
    for name, on, value in steps:
        if name == "measure":
            builder.measure(on[0], on[0])
        else:
            builder.add(name, *on, params=() if value is None else (value,))


def altered(program: Program, table: str, column: str, row: int, by: float) -> Program:
    rows = getattr(program, table)
    values = getattr(rows, column).copy()
    values[row] += by
    return replace(program, **{table: replace(rows, **{column: values})})


@settings(max_examples=100, deadline=None)
@given(jobs())
def test_every_program_is_what_its_circuit_asked_for(job: Compiled) -> None:
    programs = list(job.programs())
    assert len(programs) == job.num_programs
    for index, program in enumerate(programs):
        check_circuit(job, index, program)


@settings(max_examples=200, deadline=None)
@given(jobs(), st.data())
def test_one_number_altered_is_found_where_it_stands(job: Compiled, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, job.num_programs - 1))
    program = list(job.programs())[index]
    table, column, by = data.draw(
        st.sampled_from(
            [
                ("plays", "start", 1),
                ("plays", "start", -4),
                ("plays", "phase", 1e-6),
                ("plays", "phase", pi),
                ("plays", "amplitude", 1e-6),
                ("plays", "amplitude", -0.3),
                ("plays", "frequency", 1.0),
                ("plays", "length", 1),
                ("plays", "frame", 1),
                ("acquisitions", "start", 1),
                ("acquisitions", "phase", 1e-6),
                ("acquisitions", "clbit", 1),
            ]
        )
    )
    rows = getattr(program, table)
    assume(len(rows.start))
    row = data.draw(st.integers(0, len(rows.start) - 1))
    changed = altered(program, table, column, row, by)
    (problem,) = circuit_problems(job, index, changed)
    place = f"{program.lines[rows.line[row]]} at {getattr(changed, table).start[row]} ns"
    assert problem.where == f"program {program.name!r}, {place}"
    assert f"has {column} " in problem.what


@settings(max_examples=30, deadline=None)
@given(jobs(), st.data())
def test_a_pulse_too_many_or_too_few_is_found(job: Compiled, data: st.DataObject) -> None:
    program = next(iter(job.programs()))
    row = data.draw(st.integers(0, len(program.plays.start) - 1))
    keep = np.arange(len(program.plays.start)) != row
    fewer = replace(
        program,
        plays=replace(program.plays, **{n: getattr(program.plays, n)[keep] for n in program.plays.__slots__}),
        dynamics=None
        if program.dynamics is None
        else replace(program.dynamics, play_condition=program.dynamics.play_condition[keep]),
    )
    with pytest.raises(InvalidProgramError, match="pulses; its circuit asks for"):
        check_circuit(job, 0, fewer)
    with pytest.raises(InvalidProgramError, match="its circuit takes"):
        check_circuit(job, 0, replace(program, duration=program.duration + 1))


def test_a_phase_altered_is_told_with_what_it_should_be() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=0).add("sx", 0).add("rz", 0, params=(0.5,)).add("sx", 0)
    job = compile_job(FILE.device, FILE.snapshot(), JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1))
    (program,) = job.programs()
    with pytest.raises(InvalidProgramError) as refused:
        check_circuit(job, 0, altered(program, "plays", "phase", 1, 0.25))
    assert str(refused.value) == (
        "program 'a', q0.drive at 40 ns: has phase 0.75 rad; its circuit and calibration make it 0.5 rad"
    )


def test_a_conditional_phase_of_0_may_be_left_out() -> None:
    builder = CircuitBuilder(name="a", num_qubits=3, num_clbits=1).add("sx", 2).measure(2, 0)
    builder.if_(Condition(clbits=(0,), truth=0b10, text="c")).add("cz", 0, 1).end().add("sx", 0).add("sx", 1)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1)
    snapshot = FILE.snapshot()
    assert 0.0 in (snapshot.value("q0_q1.cz.phase_first"), snapshot.value("q0_q1.cz.phase_second"))
    job = compile_job(FILE.device, snapshot, spec, feedforward=CONTROLLER.feedforward)
    (program,) = job.programs()
    assert program.dynamics is not None
    assert len(program.dynamics.shifts.phase) == 1
    check_circuit(job, 0, program)
    shifts = replace(program.dynamics.shifts, phase=program.dynamics.shifts.phase + np.nan)
    with pytest.raises(InvalidProgramError, match="phase"):
        check_circuit(job, 0, replace(program, dynamics=replace(program.dynamics, shifts=shifts)))


@dataclass(frozen=True, slots=True)
class Smaller:
    """A controller one of whose memories ends just where a program does, or short of that."""

    capacity: Capacity
    memory: int
    short_of: int

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        usages = list(self.capacity.usage(chunk))
        cut = usages[self.memory % len(usages)]
        usages[self.memory % len(usages)] = replace(cut, limit=cut.used - self.short_of)
        return usages

    def pause(self, reset: int, *, feeds: bool) -> int:
        return self.capacity.pause(reset, feeds=feeds)


@settings(max_examples=40, deadline=None)
@given(jobs(), st.integers(0, 1000))
def test_a_program_must_fit_every_memory(job: Compiled, memory: int) -> None:
    program = next(iter(job.programs()))
    ceilings = Ceilings()

    def verify(short_of: int) -> Verify:
        capacity = Smaller(CONTROLLER.capacity, memory, short_of)
        packed = Pack(capacity=capacity, reset=job.reset)
        return Verify(ceilings=ceilings, feedforward=CONTROLLER.feedforward, pack=packed)

    verify(0)(program)
    usages = CONTROLLER.capacity.usage(
        Chunk(programs=(program,), first_program=0, first_shot=0, shots=1, reset=job.reset)
    )
    cut = usages[memory % len(usages)]
    (problem,) = verify(1).problems(program)
    assert f"one shot takes {cut.used} {cut.memory} of {cut.sequencer}, which holds {cut.used - 1}" in problem.what
