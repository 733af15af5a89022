"""Random circuits: what is played is what was meant, state by state and up to a global phase.

Each play is taken for the ideal pulse that it is calibrated to be; what is tested is everything that the compiler
decides: order, frames, phases and their sign, which line, which pair. No counts from |0> would show the sign of all rz
together.
"""

from __future__ import annotations

from math import pi

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qubitd.compiler.batch_columns import BatchColumns
from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.pipeline import Pipeline
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.program import Program

Matrix = NDArray[np.complex128]

QUBITS = 4
FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()
PAIRS = {"q0.flux": (0, 1), "q1.flux": (1, 2), "q3.flux": (2, 3)}
"""The pair that a pulse on a flux line makes a CZ of."""
X = np.array([[0, 1], [1, 0]], dtype=np.complex128)

Step = tuple[str, tuple[int, ...], float]

qubit = st.integers(0, QUBITS - 1)
angle = st.one_of(st.floats(-20, 20), st.sampled_from([0.0, pi, -pi / 2, 2 * pi, 1e4]))
step = st.one_of(
    st.tuples(st.just("rz"), st.tuples(qubit), angle),
    st.tuples(st.sampled_from(["sx", "x", "sy", "id"]), st.tuples(qubit), st.just(0.0)),
    st.tuples(st.just("delay"), st.tuples(qubit), st.integers(0, 200).map(lambda ns: ns * 1e-9)),
    st.tuples(st.just("cz"), st.sampled_from([(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]), st.just(0.0)),
    st.tuples(st.just("barrier"), st.sampled_from([(0, 1), (3, 0, 2), (0, 1, 2, 3)]), st.just(0.0)),
)


def written(steps: list[Step]) -> tuple[CircuitBatch, QuantumCircuit]:
    ours, theirs = CircuitBuilder(name="a", num_qubits=QUBITS, num_clbits=0), QuantumCircuit(QUBITS)
    for name, on, value in steps:
        ours.add(name, *on, params=(value,) if name in ("rz", "delay") else ())
        match name:
            case "rz":
                theirs.rz(value, *on)
            case "delay" | "barrier":
                pass
            case "sy":
                theirs.ry(pi / 2, *on)
            case _:
                getattr(theirs, name)(*on)
    return pack([ours]), theirs


def turn_about_z(phase: float) -> Matrix:
    return np.diag(np.exp(1j * phase * np.array([0.0, 1.0])))


def on_chip(matrix: Matrix, *qubits: int) -> Matrix:
    """Qiskit's order: qubit 0 is the last factor."""
    circuit = QuantumCircuit(QUBITS)
    circuit.unitary(matrix, list(qubits))
    found: Matrix = Operator(circuit).data
    return found


def played(program: Program, row: int) -> Matrix:
    """The ideal pulse of a play: a turn by its area about an axis set by its phase, or a CZ before its correction."""
    plays = program.plays
    line = program.lines[plays.line[row]]
    if line.endswith(".flux"):
        first, second = PAIRS[line]
        name = f"q{first}_q{second}.cz"
        before_first = on_chip(turn_about_z(-SNAPSHOT.value(f"{name}.phase_first")), first)
        before_second = on_chip(turn_about_z(-SNAPSHOT.value(f"{name}.phase_second")), second)
        return before_first @ before_second @ on_chip(np.diag([1, 1, 1, -1]).astype(np.complex128), first, second)
    name = line.removesuffix(".drive")
    assert plays.frequency[row] == SNAPSHOT.value(f"{name}.frequency")
    turned = pi * plays.amplitude[row] / SNAPSHOT.value(f"{name}.x.amplitude")
    rotation = np.cos(turned / 2) * np.eye(2) - 1j * np.sin(turned / 2) * X
    frame = turn_about_z(plays.phase[row])
    return on_chip(frame.conj() @ rotation @ frame, int(name[1:]))


def compiled(steps: list[Step]) -> tuple[Program, NDArray[np.float64], QuantumCircuit]:
    """The program, the frames that nothing is played after, and Qiskit's circuit."""
    batch, reference = written(steps)
    (program,) = compile_circuits(FILE.device, SNAPSHOT, batch).programs()
    pipeline = Pipeline(CalibratedGates(FILE.device, SNAPSHOT), BatchColumns(batch, FILE.device.num_qubits))
    prepared = pipeline.prepare(range(1))
    frames = pipeline.frames(prepared, pipeline.numbers(prepared, {}))
    return program, frames.final[0], reference


def unitary_of(program: Program, final: NDArray[np.float64], *, sign: float = 1.0) -> Matrix:
    """Multiply all plays in the order of time, and carry the last frames to the end."""
    total: Matrix = np.eye(2**QUBITS, dtype=np.complex128)
    for row in np.argsort(program.plays.start, kind="stable"):
        total = played(program, int(row)) @ total
    for i in range(QUBITS):
        total = on_chip(turn_about_z(sign * float(final[i])), i) @ total
    return total


@settings(max_examples=60)
@given(st.lists(step, max_size=25))
def test_what_is_played_is_qiskits_operator(steps: list[Step]) -> None:
    program, final, reference = compiled(steps)
    fidelity = abs(np.trace(unitary_of(program, final).conj().T @ Operator(reference).data)) / 2**QUBITS
    assert fidelity == pytest.approx(1, abs=1e-5)


def test_the_sign_of_rz_is_seen_in_the_state() -> None:
    program, final, reference = compiled([("sx", (0,), 0.0), ("rz", (0,), 0.4), ("sx", (0,), 0.0), ("rz", (0,), 0.9)])
    operator = Operator(reference).data
    assert abs(np.trace(unitary_of(program, final).conj().T @ operator)) == pytest.approx(2**QUBITS)
    assert abs(np.trace(unitary_of(program, final, sign=-1.0).conj().T @ operator)) < 0.9 * 2**QUBITS
    phases = program.plays.phase
    assert phases.tolist() == pytest.approx([0.0, 0.4])


def test_a_program_with_every_rz_reversed_is_another() -> None:
    halves: list[Step] = [("sx", (q,), 0.0) for q in range(QUBITS)]
    turns: list[Step] = [("rz", (q,), 0.4 + q) for q in range(QUBITS)]
    steps = [*halves, *turns, *halves, *turns]
    _, _, reference = compiled(steps)
    program, final, _ = compiled([(name, on, -angle) for name, on, angle in steps])
    overlap = abs(np.trace(unitary_of(program, final).conj().T @ Operator(reference).data))
    assert overlap < 0.5 * 2**QUBITS


@settings(max_examples=100)
@given(st.lists(step, max_size=40))
def test_operations_keep_their_order_on_every_qubit_and_never_overlap(steps: list[Step]) -> None:
    batch, _ = written(steps)
    pipeline = Pipeline(CalibratedGates(FILE.device, SNAPSHOT), BatchColumns(batch, FILE.device.num_qubits))
    prepared = pipeline.prepare(range(1))
    numbers = pipeline.numbers(prepared, {})
    schedule = pipeline.schedule(prepared, numbers)
    length = numbers.length[prepared.rows]
    for i, (name, _, value) in enumerate(steps):
        if name == "delay":
            length[i] = round(value * 1e9)
    ready = [0] * QUBITS
    for i, (_, on, _) in enumerate(steps):
        start = int(schedule.start[i])
        assert all(start >= ready[q] for q in on)
        for q in on:
            ready[q] = start + int(length[i])
    assert max(ready) <= schedule.duration[0]
    assert latest(steps, length.tolist()) == (schedule.start.tolist(), int(schedule.duration[0]))


def latest(steps: list[Step], length: list[int]) -> tuple[list[int], int]:
    """The same schedule, operation by operation from the end."""
    ready = [0] * QUBITS
    end = []
    for (_, on, _), ticks in zip(reversed(steps), reversed(length), strict=True):
        over = max(ready[q] for q in on) + ticks
        for q in on:
            ready[q] = over
        end.append(over)
    duration = max(end, default=0)
    return [duration - over for over in reversed(end)], duration


@settings(max_examples=40)
@given(st.lists(st.lists(step, max_size=12), min_size=1, max_size=6))
def test_a_batch_is_compiled_like_its_circuits_alone(circuits: list[list[Step]]) -> None:
    builders = []
    for steps in circuits:
        builder = CircuitBuilder(name="a", num_qubits=QUBITS, num_clbits=0)
        for name, on, value in steps:
            builder.add(name, *on, params=(value,) if name in ("rz", "delay") else ())
        builders.append(builder)
    together = list(compile_circuits(FILE.device, SNAPSHOT, pack(builders)).programs())
    for builder, program in zip(builders, together, strict=True):
        (alone,) = compile_circuits(FILE.device, SNAPSHOT, pack([builder])).programs()
        assert program.duration == alone.duration
        for column in ("line", "start", "length", "amplitude", "phase", "frequency", "frame"):
            np.testing.assert_array_equal(getattr(program.plays, column), getattr(alone.plays, column))
