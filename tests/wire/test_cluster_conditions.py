"""Programs that act on outcomes, through the driver and the emulated Cluster to the simulated chip and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.cli.rack_process import start_emulator
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.discriminator import discriminator_of
from qubitd.core.envelope import samples_digest
from qubitd.core.feedforward import (
    ALWAYS,
    Dynamics,
    Feed,
    Latch,
    Latches,
    Operator,
    OutcomeCondition,
    PhaseShifts,
)
from qubitd.core.program import BOXCAR, Chunk, Program, SampledEnvelope
from qubitd.drivers.controller import NOT_TAKEN, UNTOLD, Controller, Readings
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import with_address
from qubitd.drivers.rack_file import load_rack

LINE5 = load_device("line5")
SNAPSHOT = LINE5.snapshot()
SHOTS = 2000
PATIENCE = 60.0
Row = tuple[str, int]
"""Line, and position among the plays or acquisitions on it."""


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    with start_emulator(seed=1) as emulator:
        made = open_rack(with_address(load_rack(), emulator.address))
        made.connect()
        made.stop()
        yield made
        made.close()


def compiled(builder: CircuitBuilder) -> Program:
    (program,) = compile_circuits(LINE5.device, SNAPSHOT, pack([builder])).programs()
    return program


def dynamic(
    program: Program,
    *,
    feeds: Sequence[int],
    conditions: Sequence[OutcomeCondition],
    plays: Mapping[Row, int] | None = None,
    acquisitions: Mapping[Row, int] | None = None,
    shifts: Sequence[tuple[str, int, float, int, int]] = (),
    latches: Sequence[tuple[str, int, Latch]] = (),
) -> Program:
    """Add dynamics; a shift is (line, start, phase, frame, condition), a latch (line, start, action)."""

    def conditioned(
        lines: np.ndarray[tuple[int], np.dtype[np.uint16]], chosen: Mapping[Row, int]
    ) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        condition = np.full(len(lines), ALWAYS, dtype=np.int16)
        for (line, position), number in chosen.items():
            condition[np.flatnonzero(lines == program.lines.index(line))[position]] = number
        return condition

    shifted = sorted((program.lines.index(line), *rest) for line, *rest in shifts)
    latched = sorted((program.lines.index(line), start, action) for line, start, action in latches)
    return replace(
        program,
        dynamics=Dynamics(
            feeds=tuple(Feed(qubit=q, discriminator=discriminator_of(SNAPSHOT, f"q{q}")) for q in feeds),
            conditions=tuple(conditions),
            play_condition=conditioned(program.plays.line, plays or {}),
            acquisition_condition=conditioned(program.acquisitions.line, acquisitions or {}),
            shifts=PhaseShifts(
                line=np.array([row[0] for row in shifted], dtype=np.uint16),
                start=np.array([row[1] for row in shifted], dtype=np.int64),
                phase=np.array([row[2] for row in shifted], dtype=np.float64),
                frame=np.array([row[3] for row in shifted], dtype=np.int16),
                condition=np.array([row[4] for row in shifted], dtype=np.int16),
            ),
            latches=Latches(
                line=np.array([row[0] for row in latched], dtype=np.uint16),
                start=np.array([row[1] for row in latched], dtype=np.int64),
                action=np.array([row[2] for row in latched], dtype=np.int8),
            ),
        ),
    )


def sampled(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> SampledEnvelope:
    weights = samples.astype(np.complex128)
    return SampledEnvelope(samples=weights, digest=samples_digest(weights))


def run(controller: Controller, *programs: Program, shots: int = SHOTS) -> Readings:
    chunk = Chunk(programs=programs, first_program=0, first_shot=0, shots=shots, reset=210_000)
    usage = controller.capacity.usage(chunk)
    assembly = controller.assemble(chunk)
    texts = [load.program.decode() for load in assembly.sequencers]  # type: ignore[attr-defined]
    assert [one.used for one in usage if one.memory == "instructions"] == [text.count("\n") for text in texts]
    controller.load(assembly)
    controller.start()
    controller.wait(PATIENCE)
    return controller.fetch()


def is_1(*qubits: int, operator: Operator = Operator.OR) -> OutcomeCondition:
    return OutcomeCondition(operator=operator, qubits=qubits)


def measured_twice(*, first: str = "x") -> Program:
    """Prepare q0, measure it, wait, play x, measure it again."""
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=2)
    builder.add(first, 0).measure(0, 0).add("delay", 0, params=(600e-9,))
    return compiled(builder.add("x", 0).measure(0, 1))


def test_a_conditional_flip_resets_a_qubit(controller: Controller) -> None:
    program = measured_twice()
    flipped = dynamic(
        program, feeds=[0], conditions=[is_1(0)], plays={("q0.drive", 1): 0}, latches=[("q0.drive", 100, Latch.OPEN)]
    )
    (outcomes,) = run(controller, flipped).outcomes
    before, after = (outcomes == 1).mean(axis=0)
    assert before > 0.93
    assert after < 0.10
    assert set(np.unique(outcomes)) == {0, 1}


def test_without_a_condition_the_same_program_excites_it_again(controller: Controller) -> None:
    plain = dynamic(measured_twice(first="sx"), feeds=[0], conditions=[])
    (outcomes,) = run(controller, plain).outcomes
    assert np.mean(outcomes[:, 0] != outcomes[:, 1]) > 0.88


def test_counters_that_stay_closed_hold_nothing(controller: Controller) -> None:
    closed = dynamic(measured_twice(), feeds=[0], conditions=[is_1(0)], plays={("q0.drive", 1): 0})
    (outcomes,) = run(controller, closed).outcomes
    assert (outcomes[:, 1] == 1).mean() > 0.88


def test_clearing_forgets_an_outcome(controller: Controller) -> None:
    program = measured_twice()
    start = int(program.plays.start[program.plays.line == program.lines.index("q0.drive")][1])
    latches = [("q0.drive", 100, Latch.OPEN), ("q0.drive", start - 40, Latch.CLEAR)]
    cleared = dynamic(program, feeds=[0], conditions=[is_1(0)], plays={("q0.drive", 1): 0}, latches=latches)
    (outcomes,) = run(controller, cleared).outcomes
    assert (outcomes[:, 1] == 1).mean() > 0.88


def test_a_skipped_acquisition_has_no_point_and_is_said_to_be_skipped(controller: Controller) -> None:
    program = measured_twice(first="sx")
    skipping = dynamic(
        program,
        feeds=[0],
        conditions=[is_1(0)],
        plays={("q0.readout", 1): 0},
        acquisitions={("q0.readout", 1): 0},
        latches=[("q0.readout", 900, Latch.OPEN)],
    )
    readings = run(controller, skipping)
    (outcomes,), (points,) = readings.outcomes, readings.points
    assert np.array_equal(outcomes[:, 1] == NOT_TAKEN, outcomes[:, 0] == 0)
    assert np.array_equal(np.isnan(points[:, 1]), outcomes[:, 0] == 0)
    assert 0.4 < (outcomes[:, 0] == 1).mean() < 0.6


def assert_told_from(points: NDArray[np.complex64], told: NDArray[np.bool_]) -> None:
    """The hardware's threshold is that of q0, rounded to 16384ths: points as near to it may fall on either side."""
    discriminator = discriminator_of(SNAPSHOT, "q0")
    turned = points * np.exp(1j * discriminator.rotation)
    is_clear = np.abs(turned.real - discriminator.threshold) > 2 / 16384
    assert np.array_equal(told[is_clear], discriminator(points)[is_clear])
    assert is_clear.mean() > 0.99


def test_outcomes_agree_with_the_points_and_those_of_others_are_not_told(controller: Controller) -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=2).add("sx", 0).add("sx", 1)
    program = dynamic(compiled(builder.measure(0, 0).measure(1, 1)), feeds=[0], conditions=[])
    readings = run(controller, program)
    (outcomes,), (points,) = readings.outcomes, readings.points
    assert_told_from(points[:, 0], outcomes[:, 0] == 1)
    assert (outcomes[:, 1] == UNTOLD).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_outcomes_of_windows_of_several_lengths_agree_with_their_points(controller: Controller, sign: int) -> None:
    """The hardware's threshold is one for all of them: none is off by the ratio of their lengths."""
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=3).add("sx", 0)
    for clbit in range(3):
        builder.measure(0, clbit).add("delay", 0, params=(600e-9,))
    program = compiled(builder)
    lengths = np.array([480, 240, 360])
    envelopes = (*program.tables.envelopes, sampled(sign * np.linspace(0.2, 1, 360)))
    program = replace(
        program,
        tables=replace(program.tables, envelopes=envelopes),
        acquisitions=replace(
            program.acquisitions,
            length=lengths,
            kernel=np.array([BOXCAR, BOXCAR, len(envelopes) - 1], dtype=np.int32),
        ),
    )
    readings = run(controller, dynamic(program, feeds=[0], conditions=[]))
    (outcomes,), (points,) = readings.outcomes, readings.points
    assert_told_from(points, outcomes == 1)
    assert np.all(np.abs((outcomes == 1).mean(axis=0) - 0.5) < 0.1)


def test_a_phase_by_an_outcome_decides_between_x_and_nothing(controller: Controller) -> None:
    """q1 is turned by sx twice: to 1, unless a half turn of its frame comes between them."""
    builder = (
        CircuitBuilder(name="a", num_qubits=5, num_clbits=2)
        .add("sx", 0)
        .measure(0, 0)
        .add("delay", 0, params=(700e-9,))
    )
    builder.add("sx", 1).add("delay", 1, params=(50e-9,)).add("barrier", 0, 1).add("sx", 1).measure(1, 1)
    program = compiled(builder)
    last = int(program.plays.start[program.plays.line == program.lines.index("q1.drive")][1])
    turned = dynamic(
        program,
        feeds=[0],
        conditions=[is_1(0)],
        shifts=[("q1.drive", last - 30, np.pi, 1, 0)],
        latches=[("q1.drive", 200, Latch.OPEN)],
    )
    readings = run(controller, turned)
    told = readings.outcomes[0][:, 0] == 1
    found = discriminator_of(SNAPSHOT, "q1")(readings.points[0][:, 1])
    assert 0.4 < told.mean() < 0.6
    assert found[told].mean() < 0.08
    assert found[~told].mean() > 0.9


def test_programs_of_a_chunk_do_not_hear_each_other(controller: Controller) -> None:
    """The second program looks before its own outcome is there: the first one's is forgotten."""
    flipped = dynamic(
        measured_twice(),
        feeds=[0],
        conditions=[is_1(0)],
        plays={("q0.drive", 1): 0},
        latches=[("q0.drive", 100, Latch.OPEN)],
    )
    early = dynamic(
        measured_twice(),
        feeds=[0],
        conditions=[is_1(0)],
        plays={("q0.drive", 0): 0},
        latches=[("q0.drive", 100, Latch.OPEN)],
    )
    first, second = run(controller, flipped, early).outcomes
    assert (first[:, 1] == 1).mean() < 0.10
    assert (second[:, 0] == 1).mean() < 0.10
    assert (second[:, 1] == 1).mean() > 0.9


def test_parity_of_two_qubits(controller: Controller) -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=4).add("sx", 0).add("sx", 2)
    builder.measure(0, 0).add("delay", 0, params=(1500e-9,)).measure(2, 1).add("delay", 2, params=(600e-9,))
    builder.add("barrier", 0, 2).add("x", 2).measure(2, 2)
    program = compiled(builder)
    differ = dynamic(
        program,
        feeds=[0, 2],
        conditions=[is_1(0, 2, operator=Operator.XOR)],
        plays={("q2.drive", 1): 0},
        latches=[("q2.drive", 100, Latch.OPEN)],
    )
    (outcomes,) = run(controller, differ).outcomes
    read = [int(row) for row in np.argsort(program.acquisitions.clbit)]
    q0, q2, again = (outcomes[:, row] == 1 for row in read)
    assert 0.4 < np.mean(q0 != q2) < 0.6
    assert np.mean(again == q0) > 0.85


def test_a_cz_by_an_outcome_acts_on_both_qubits(controller: Controller) -> None:
    """q0 is in 1 and q1 between two half turns, so a CZ between them flips q1: that is where q3 was found in 1."""
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=5).add("x", 0).add("sx", 3).measure(3, 3)
    for step in ("first", "second"):
        builder.add("rz", 1, params=(np.pi / 2,)).add("sx", 1).add("rz", 1, params=(np.pi / 2,))
        if step == "first":
            builder.if_(Condition(clbits=(3,), truth=0b10, text="c3")).add("cz", 0, 1).end()
    batch = pack([builder.measure(1, 1)])
    (program,) = compile_circuits(LINE5.device, SNAPSHOT, batch, feedforward=controller.feedforward).programs()
    readings = run(controller, program)
    (points,), (outcomes,) = readings.points, readings.outcomes
    row = {int(qubit): column for column, qubit in enumerate(program.acquisitions.qubit)}
    told = outcomes[:, row[3]] == 1
    assert 0.4 < told.mean() < 0.6
    assert np.mean(discriminator_of(SNAPSHOT, "q1")(points[:, row[1]]) == told) > 0.93


def test_a_qubit_that_is_not_measured_keeps_its_superposition(controller: Controller) -> None:
    """Two half turns are a whole one, unless a measurement comes between them."""
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=5).add("sx", 3).measure(3, 3).add("sx", 0)
    builder.if_(Condition(clbits=(3,), truth=0b10, text="c3")).measure(0, 1).end()
    batch = pack([builder.add("sx", 0).measure(0, 0)])
    (program,) = compile_circuits(LINE5.device, SNAPSHOT, batch, feedforward=controller.feedforward).programs()
    readings = run(controller, program)
    (points,), (outcomes,) = readings.points, readings.outcomes
    row = {int(clbit): column for column, clbit in enumerate(program.acquisitions.clbit)}
    told = outcomes[:, row[3]] == 1
    found = discriminator_of(SNAPSHOT, "q0")(points[:, row[0]])
    assert np.array_equal(outcomes[:, row[1]] == NOT_TAKEN, ~told)
    assert found[~told].mean() > 0.9
    assert 0.4 < found[told].mean() < 0.6


def test_a_skipped_tone_leaves_silence(controller: Controller) -> None:
    program = measured_twice(first="sx")
    silent = dynamic(
        program,
        feeds=[0],
        conditions=[is_1(0)],
        plays={("q0.readout", 1): 0},
        latches=[("q0.readout", 900, Latch.OPEN)],
    )
    readings = run(controller, silent)
    told = readings.outcomes[0][:, 0] == 1
    points = readings.points[0][:, 1]
    assert abs(points[~told].mean()) < 0.2 * abs(points[told].mean())
