"""Random circuits with pi pulses in their idle stretches: the same unitary, the same times, every stretch filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import pi

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qubitd.compiler.compile import compile_job
from qubitd.compiler.decouple import decoupling_problems
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, Instruction, instructions, pack
from qubitd.core.control import Condition
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.job import Decoupling, JobSpec, Scheduling
from qubitd.core.program import Program
from qubitd.core.sweep import Sweep, SweepAxis

FILE = load_device("classroom5")
QUBITS = 3
KINDS = st.sampled_from(list(Decoupling))
SCHEDULINGS = st.sampled_from(list(Scheduling))
X = 200
"""ns of classroom5's x."""

qubit = st.integers(0, QUBITS - 1)
step = st.one_of(
    st.builds(lambda q, a: Instruction(name="rz", qubits=(q,), params=(a,), clbits=()), qubit, st.floats(-6, 6)),
    st.builds(
        lambda q, g: Instruction(name=g, qubits=(q,), params=(), clbits=()), qubit, st.sampled_from(["sx", "sy"])
    ),
    st.builds(
        lambda q, p: Instruction(name="u", qubits=(q,), params=p, clbits=()), qubit, st.tuples(*[st.floats(-6, 6)] * 3)
    ),
    st.builds(lambda on: Instruction(name="cx", qubits=on, params=(), clbits=()), st.sampled_from([(0, 1), (2, 1)])),
    st.builds(
        lambda q, ns: Instruction(name="delay", qubits=(q,), params=(ns * 1e-9,), clbits=()),
        qubit,
        st.integers(0, 4000),
    ),
    st.just(Instruction(name="barrier", qubits=(0, 1, 2), params=(), clbits=())),
)


def job(steps: Sequence[Instruction], kind: Decoupling | None, scheduling: Scheduling) -> JobSpec:
    builder = CircuitBuilder(name="a", num_qubits=QUBITS, num_clbits=QUBITS)
    for one in steps:
        builder.add(one.name, *one.qubits, params=one.params)
    for q in range(QUBITS):
        builder.measure(q, q)
    return JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, dd=kind, scheduling=scheduling)


def made(steps: Sequence[Instruction], kind: Decoupling | None, scheduling: Scheduling) -> tuple[Program, CircuitBatch]:
    compiled = compile_job(FILE.device, FILE.snapshot(), job(steps, kind, scheduling))
    (program,) = compiled.programs()
    return program, compiled.batch


def operator(batch: CircuitBatch) -> Operator:
    circuit = QuantumCircuit(QUBITS)
    for one in instructions(batch.circuits[0], batch.operations):
        match one.name:
            case "measure" | "delay" | "barrier":
                pass
            case "sy":
                circuit.ry(pi / 2, *one.qubits)
            case name:
                getattr(circuit, name)(*one.params, *one.qubits)
    return Operator(circuit)


@settings(max_examples=60)
@given(st.lists(step, max_size=14), KINDS, SCHEDULINGS)
def test_the_circuit_means_the_same(steps: list[Instruction], kind: Decoupling, scheduling: Scheduling) -> None:
    _, plain = made(steps, None, scheduling)
    _, filled = made(steps, kind, scheduling)
    assert operator(filled).equiv(operator(plain))


@settings(max_examples=60)
@given(st.lists(step, max_size=14), KINDS, SCHEDULINGS)
def test_everything_else_happens_when_it_did(
    steps: list[Instruction], kind: Decoupling, scheduling: Scheduling
) -> None:
    plain, _ = made(steps, None, scheduling)
    filled, _ = made(steps, kind, scheduling)
    assert filled.duration == plain.duration
    np.testing.assert_array_equal(filled.acquisitions.start, plain.acquisitions.start)
    before = list(zip(plain.plays.line, plain.plays.start, plain.plays.length, strict=True))
    after = list(zip(filled.plays.line, filled.plays.start, filled.plays.length, strict=True))
    added = [row for row in after if row not in before]
    assert [row for row in after if row in before] == before
    assert all(length == X for _, _, length in added)
    assert len(added) % {Decoupling.X2: 2, Decoupling.XY4: 4, Decoupling.XY8: 8}[kind] == 0


def pulses(program: Program) -> list[tuple[int, int]]:
    drive = program.lines.index("q0.drive")
    return [
        (int(start), int(length))
        for line, start, length in zip(program.plays.line, program.plays.start, program.plays.length, strict=True)
        if line == drive
    ]


@pytest.mark.parametrize(("kind", "count"), [(Decoupling.X2, 2), (Decoupling.XY4, 4), (Decoupling.XY8, 8)])
@pytest.mark.parametrize("idle", [8 * X, 8 * X + 1, 12_347])
def test_pulses_lie_in_the_middles_of_equal_parts(kind: Decoupling, count: int, idle: int) -> None:
    steps = [Instruction(name="sx", qubits=(0,), params=(), clbits=())] * 1
    steps += [Instruction(name="delay", qubits=(0,), params=(idle * 1e-9,), clbits=()), steps[0]]
    program, _ = made(steps, kind, Scheduling.ALAP)
    (first, length), *middle, (last, _) = pulses(program)
    assert last - first - length == idle
    assert len(middle) == count
    for k, (start, _) in enumerate(middle):
        centre = start + X / 2 - (first + length)
        assert centre == pytest.approx((2 * k + 1) * idle / (2 * count), abs=1)


def test_a_stretch_that_is_too_short_stays_as_it_is() -> None:
    sx = Instruction(name="sx", qubits=(0,), params=(), clbits=())
    steps = [sx, Instruction(name="delay", qubits=(0,), params=((2 * X - 1) * 1e-9,), clbits=()), sx]
    program, _ = made(steps, Decoupling.X2, Scheduling.ALAP)
    assert len(pulses(program)) == 2


def test_a_qubit_in_0_or_measured_is_left_alone() -> None:
    builder = CircuitBuilder(name="a", num_qubits=QUBITS, num_clbits=2)
    builder.add("reset", 0).add("rz", 0, params=(0.3,)).delay(0, 5e-6).measure(0, 0).delay(0, 5e-6).measure(0, 1)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, dd=Decoupling.XY4)
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec).programs()
    assert pulses(program) == []


def refused(builder: CircuitBuilder, sweep: Sweep | None = None) -> str:
    spec = JobSpec(batch=pack([builder]), sweep=sweep or Sweep(), shots=1, dd=Decoupling.X2)
    with pytest.raises(InvalidCircuitError) as error:
        compile_job(FILE.device, FILE.snapshot(), spec)
    return str(error.value)


def test_a_sweep_of_durations_is_refused() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("sx", 0).measure(0, 0)
    axis = SweepAxis(names=("q0.sx.duration",), values=np.array([[100e-9, 120e-9]]))
    assert "it goes with no sweep of q0.sx.duration" in refused(builder, Sweep(axes=(axis,)))


def test_more_operations_than_a_job_may_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qubitd.compiler.compile.MAX_DECOUPLED", 3)
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("sx", 0).delay(0, 1e-6).measure(0, 0)
    assert "makes more than 3 operations" in refused(builder)


def test_what_the_device_lacks_is_named() -> None:
    device = replace(FILE.device, gates={name: gate for name, gate in FILE.device.gates.items() if name != "x"})
    (lacking,) = decoupling_problems(device, frozenset())
    assert str(lacking) == "dd: needs x, which classroom5 lacks on q0, q1, q2, q3, q4"


def test_loops_are_decoupled_and_circuits_that_look_at_outcomes_are_refused() -> None:
    looping = CircuitBuilder(name="loop", num_qubits=1, num_clbits=1).add("sx", 0)
    looping.for_(3).delay(0, 2e-6).add("sx", 0).end().measure(0, 0)
    spec = JobSpec(batch=pack([looping]), sweep=Sweep(), shots=1, dd=Decoupling.X2)
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec).programs()
    assert len(pulses(program)) == 4 + 3 * 2
    looking = CircuitBuilder(name="look", num_qubits=1, num_clbits=1).measure(0, 0)
    looking.if_(Condition(clbits=(0,), truth=0b10, text="c")).add("x", 0).end()
    assert "looks at outcomes while it runs" in refused(looking)


def test_expected_counts_the_pulses_errors() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("sx", 0).delay(0, 10e-6).add("sx", 0)
    batch = pack([builder.measure(0, 0)])
    snapshot = FILE.snapshot().with_values({"q0.x.error": 0.01})
    (plain,) = expected(FILE.device, snapshot, batch)
    (filled,) = expected(FILE.device, snapshot, batch, dd=Decoupling.X2)
    assert filled["0"] - plain["0"] == pytest.approx(2 * 0.01, rel=0.1)
