"""Conditions on the Cluster: what is set, what is written, and what is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qubitd.core.discriminator import Discriminator
from qubitd.core.envelope import Drag, Square, sample_envelope
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
from qubitd.core.program import BOXCAR, Chunk, Program
from qubitd.core.threshold import integer_threshold
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.settings import run_changes
from qubitd.drivers.errors import UnplayableProgramError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.emulator.cluster.bins import FULL_SCALE
from qubitd.emulator.cluster.configuration import default_document, interpret, merge

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
LINES = ("q0.drive", "q0.flux", "q0.readout", "q1.readout")
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Square(length=400)),
]
Q0, R0, R1 = 6.05e9, 7.48e9, 7.23e9
HALF = Discriminator(rotation=0.7, threshold=0.1)


@pytest.fixture
def base(make_program: ProgramBuilder) -> Program:
    """A readout of q0 that ends at 600, then a pulse at 1000 and one at 1100; q1 is read late."""
    program = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[
            ("q0.drive", 1000, 0, 0.1, 0.0, Q0),
            ("q0.drive", 1100, 0, 0.1, 0.5, Q0),
            ("q0.flux", 1200, 1, 0.1, 0.0, 0.0),
            ("q0.readout", 0, 1, 0.1, 0.0, R0),
            ("q1.readout", 600, 1, 0.1, 0.0, R1),
        ],
        acquisitions=[("q0.readout", 200, 400, R0, 0.0), ("q1.readout", 800, 400, R1, 0.0)],
        duration=2000,
        name="bell",
    )
    qubits = np.array([0, 1], dtype=np.uint16)
    return replace(program, acquisitions=replace(program.acquisitions, qubit=qubits))


def dynamics(
    program: Program,
    *,
    feeds: Sequence[int] = (0,),
    conditions: Sequence[OutcomeCondition] = (OutcomeCondition(operator=Operator.OR, qubits=(0,)),),
    plays: Sequence[int] = (),
    acquisitions: Sequence[int] = (),
    shifts: Sequence[tuple[int, int, float, int]] = (),
    latches: Sequence[tuple[int, int, Latch]] = (),
) -> Program:
    """Make some rows depend on the first condition; a shift is (line, start, phase, frame)."""

    def chosen(count: int, rows: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        condition = np.full(count, ALWAYS, dtype=np.int16)
        condition[list(rows)] = 0
        return condition

    return replace(
        program,
        dynamics=Dynamics(
            feeds=tuple(Feed(qubit=qubit, discriminator=HALF) for qubit in feeds),
            conditions=tuple(conditions),
            play_condition=chosen(len(program.plays.line), plays),
            acquisition_condition=chosen(len(program.acquisitions.line), acquisitions),
            shifts=PhaseShifts(
                line=np.array([row[0] for row in shifts], dtype=np.uint16),
                start=np.array([row[1] for row in shifts], dtype=np.int64),
                phase=np.array([row[2] for row in shifts], dtype=np.float64),
                frame=np.array([row[3] for row in shifts], dtype=np.int16),
                condition=np.zeros(len(shifts), dtype=np.int16),
            ),
            latches=Latches(
                line=np.array([row[0] for row in latches], dtype=np.uint16),
                start=np.array([row[1] for row in latches], dtype=np.int64),
                action=np.array([row[2] for row in latches], dtype=np.int8),
            ),
        ),
    )


def assembled(*programs: Program, reset: int = 0) -> dict[str, SequencerLoad]:
    chunk = Chunk(programs=programs, first_program=3, first_shot=0, shots=10, reset=reset)
    usage = CONTROLLER.capacity.usage(chunk)
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    counted = [one.used for one in usage if one.memory == "instructions"]
    assert counted == [load.program.decode().count("\n") for load in assembly.sequencers]
    return {load.wired.line: load for load in assembly.sequencers}


def refusal(*programs: Program) -> str:
    with pytest.raises(UnplayableProgramError) as caught:
        assembled(*programs)
    return str(caught.value)


def text(load: SequencerLoad) -> str:
    return load.program.decode()


def test_a_conditional_play_is_the_only_timed_instruction_of_its_block(base: Program) -> None:
    loads = assembled(dynamics(base, plays=[0], latches=[(0, 700, Latch.OPEN), (0, 960, Latch.CLOSE)]))
    assert "set_cond 1,1,0,100\nplay 0,1,100\nset_cond 0,0,0,0\n" in text(loads["q0.drive"])
    assert "set_latch_en 1,260\nset_latch_en 0,20\n" in text(loads["q0.drive"])


def test_counters_are_closed_and_cleared_at_the_beginning_of_each_program(base: Program) -> None:
    loads = assembled(dynamics(base, plays=[0, 2]), dynamics(base))
    assert text(loads["q0.drive"]).count("reset_ph\nupd_param 4\nset_latch_en 0,4\nlatch_rst ") == 2
    assert text(loads["q0.flux"]).count("set_latch_en 0,4\nlatch_rst ") == 2
    assert "latch" not in text(loads["q0.readout"])


def test_a_conditional_phase_takes_the_same_time_whichever_way_it_goes(base: Program) -> None:
    loads = assembled(dynamics(base, shifts=[(0, 1060, np.pi / 2, 0)]))
    block = "set_cond 1,1,0,40\nset_ph_delta 250000000\nupd_param 40\nset_cond 0,0,0,0\n"
    assert block in text(loads["q0.drive"])


def test_a_long_wait_behind_a_conditional_instruction_is_outside_of_its_block(base: Program) -> None:
    loads = assembled(dynamics(replace(base, duration=80_000), plays=[2]))
    block = "set_cond 1,1,0,39410\nplay 0,0,39410\nset_cond 0,0,0,0\nwait 39410\n"
    assert block in text(loads["q0.flux"])


def test_addresses_follow_the_qubits_that_feed(base: Program) -> None:
    condition = OutcomeCondition(operator=Operator.XNOR, qubits=(0, 1))
    loads = assembled(dynamics(base, feeds=[0, 1], conditions=[condition], plays=[2]))
    assert [loads[line].trigger.address for line in ("q0.readout", "q1.readout")] == [1, 2]  # type: ignore[union-attr]
    assert "set_cond 1,3,5," in text(loads["q0.flux"])
    assert loads["q0.drive"].trigger is None
    assert (loads["q0.flux"].counts, loads["q0.drive"].counts) == (True, False)


def test_conditions_of_later_programs_are_their_own(base: Program) -> None:
    other = OutcomeCondition(operator=Operator.NOR, qubits=(0,))
    loads = assembled(dynamics(base, plays=[0]), base, dynamics(base, conditions=[other], plays=[0]))
    guards = [line for line in text(loads["q0.drive"]).splitlines() if line.startswith("set_cond 1")]
    assert guards == ["set_cond 1,1,0,100", "set_cond 1,1,1,100"]


def test_programs_are_as_far_apart_as_a_trigger_travels(base: Program) -> None:
    chunk = Chunk(programs=(dynamics(base),), first_program=0, first_shot=0, shots=1, reset=0)
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    assert assembly.iteration == 400 + 2000 + 20


def test_hardware_and_host_tell_the_same_bits_at_any_angle(base: Program) -> None:
    """10^5 sums around the threshold and everywhere, through the settings as the instrument takes them."""
    rng = np.random.default_rng(5)
    for angle in (0.0, 0.7, np.pi / 2, -2.9, 3.1):
        discriminator = Discriminator(rotation=angle, threshold=float(rng.uniform(-0.3, 0.3)))
        program = dynamics(base)
        assert program.dynamics is not None
        feeds = (Feed(qubit=0, discriminator=discriminator),)
        load = assembled(replace(program, dynamics=replace(program.dynamics, feeds=feeds)))["q0.readout"]
        assert load.trigger is not None
        document: Any = default_document()
        for key, rows in run_changes(load).items():
            document[key] = merge(document[key], rows)
        configuration = interpret(document)
        sums = rng.integers(-400 * FULL_SCALE, 400 * FULL_SCALE, size=(2, 20_000))
        near = np.exp(-1j * angle) * (discriminator.threshold + 1j * rng.uniform(-0.3, 0.3, 10_000))
        sums[0, :10_000], sums[1, :10_000] = (np.rint(part * 400 * FULL_SCALE) for part in (near.real, near.imag))
        cosine, sine = configuration.rotation
        hardware = cosine * sums[0] + sine * sums[1] > configuration.threshold * FULL_SCALE
        assert np.array_equal(load.trigger.threshold(sums[0], sums[1]), hardware)
        points = ((sums[0] + 1j * sums[1]) / (400 * FULL_SCALE)).astype(np.complex64)
        assert np.mean(discriminator(points[10_000:]) == hardware[10_000:]) > 0.9995


def test_a_discriminator_may_expect_turned_points() -> None:
    turned = integer_threshold(HALF, full_scale=1000, turn=np.exp(0.2j))
    plain = integer_threshold(Discriminator(rotation=0.9, threshold=0.1), full_scale=1000)
    assert turned == plain


def test_every_counter_of_a_sequencer_that_counts_is_set(base: Program) -> None:
    changes: Any = run_changes(assembled(dynamics(base, plays=[0]))["q0.drive"])
    assert changes["seq_proc"]["trg"] == 15 * [{"count_threshold": 1, "threshold_invert": False}]


def test_an_ordinary_chunk_leaves_the_trigger_network_alone(base: Program) -> None:
    changes: Any = run_changes(assembled(base)["q0.readout"])
    assert changes["acq"][0]["th_acq_trg_map"] == {"en": False}
    assert "trg" not in changes["seq_proc"]


def test_qubits_that_feed_are_the_same_for_a_whole_run(base: Program) -> None:
    where = "program 4 ('bell')"
    what = "other qubits feed than in the first program of the chunk, which is a setting for a whole run"
    assert refusal(dynamics(base), dynamics(base, feeds=[1], conditions=[])) == f"{where}: {what}"


def test_the_trigger_network_has_fifteen_addresses(base: Program) -> None:
    assert "trigger network: 16 qubits feed; it has 15 addresses" in refusal(dynamics(base, feeds=range(16)))


def test_a_condition_looks_only_at_what_feeds(base: Program) -> None:
    condition = OutcomeCondition(operator=Operator.OR, qubits=(0, 1))
    assert "a condition looks at qubit 1, which does not feed" in refusal(dynamics(base, conditions=[condition]))


@pytest.mark.parametrize(("apart", "fits"), [(252, True), (251, False)])
def test_triggers_keep_apart(base: Program, apart: int, fits: bool) -> None:
    acquisitions = replace(base.acquisitions, start=np.array([200, 200 + apart]))
    near = dynamics(replace(base, acquisitions=acquisitions), feeds=[0, 1])
    if fits:
        assembled(near)
    else:
        assert "at 200 ns: ends less than 252 ns before the next acquisition that sends a trigger" in refusal(near)


def test_a_conditional_pulse_keeps_the_frequency_of_its_line(base: Program) -> None:
    plays = replace(base.plays, frequency=np.where(base.plays.start == 1100, Q0 + 1e6, base.plays.frequency))
    program = dynamics(replace(base, plays=plays), plays=[1])
    assert "line q0.drive: at 1100 ns: depends on an outcome and has another frequency" in refusal(program)


def test_a_baseband_line_has_no_phase_to_shift(base: Program) -> None:
    assert "line q0.flux: at 900 ns: a phase that depends on an outcome on a baseband output" in refusal(
        dynamics(base, shifts=[(1, 900, 1.0, 0)])
    )


def test_a_phase_belongs_to_the_only_frame_of_its_line(base: Program) -> None:
    assert "changes the phase of one frame while the line plays another" in refusal(
        dynamics(base, shifts=[(0, 1060, 1.0, 3)])
    )


def test_one_rotation_serves_all_acquisitions_of_a_qubit_that_feeds(make_program: ProgramBuilder) -> None:
    program = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[("q0.readout", 0, 1, 0.1, 0.0, R0), ("q0.readout", 1000, 1, 0.1, 0.0, R0)],
        acquisitions=[("q0.readout", 200, 400, R0, 0.0), ("q0.readout", 1200, 400, R0, 0.3)],
        duration=2000,
    )
    assert "at 1200 ns: its demodulation has another phase" in refusal(dynamics(program))
    other = replace(program, acquisitions=replace(program.acquisitions, qubit=np.array([0, 1], dtype=np.uint16)))
    assert "another qubit is read by a sequencer that sends triggers" in refusal(dynamics(other))


def test_windows_of_a_qubit_that_feeds_are_weighed_to_one_sum(make_program: ProgramBuilder) -> None:
    """There is one threshold: it holds for the shortest window, and the others are scaled down to it."""
    starts, lengths = (200, 1200, 2200), (400, 200, 400)
    kernel = np.linspace(0.25, 1, 400)
    program = make_program(
        lines=LINES,
        envelopes=[*ENVELOPES, kernel.astype(np.complex128)],
        plays=[("q0.readout", start - 200, 1, 0.1, 0.0, R0) for start in starts],
        acquisitions=[("q0.readout", *row, R0, 0.0) for row in zip(starts, lengths, strict=True)],
        duration=3000,
    )
    kernels = np.array([BOXCAR, BOXCAR, len(ENVELOPES)], dtype=np.int32)
    mixed = dynamics(replace(program, acquisitions=replace(program.acquisitions, kernel=kernels)))
    load = assembled(mixed)["q0.readout"]
    assert load.integration == 200
    assert [weight.samples.sum() for weight in load.weights] == pytest.approx([200, 200])
    assert load.weights[0].samples.tolist() == [0.5] * 400
    assert load.trigger is not None
    assert mixed.dynamics is not None
    (feed,) = mixed.dynamics.feeds
    assert load.trigger.threshold.level == round(feed.discriminator.threshold * 200 * 2**22 * 2**14)


@pytest.mark.parametrize("windows", [[-1], [1], [0.2, -1], [-0.2, 1], [-0.2, -1], [None, -1], [None, -0.2]])
def test_kernels_of_either_sign_tell_the_outcomes_of_the_discriminator(
    make_program: ProgramBuilder, windows: Sequence[float | None]
) -> None:
    """A kernel of negative sum turns a sum around, and its mean not; a window is weighed with a height, or not."""
    heights = [height for height in windows if height is not None]
    program = make_program(
        lines=LINES,
        envelopes=[*ENVELOPES, *[np.full(400, height, dtype=np.complex128) for height in heights]],
        acquisitions=[("q0.readout", 1000 * i, 400, R0, 0.0) for i in range(len(windows))],
        duration=3000,
    )
    of_heights = iter(range(len(ENVELOPES), len(ENVELOPES) + len(heights)))
    kernels = [BOXCAR if height is None else next(of_heights) for height in windows]
    rows = replace(program.acquisitions, kernel=np.array(kernels, dtype=np.int32))
    load = assembled(dynamics(replace(program, acquisitions=rows)))["q0.readout"]
    assert load.trigger is not None
    means = np.exp(-1j * HALF.rotation) * (HALF.threshold + np.array([-0.2, -0.01, 0.01, 0.2]))
    assert HALF(means.astype(np.complex64)).tolist() == [False, False, True, True]
    totals = [weight.samples.sum(dtype=np.float64) for weight in load.weights]
    for total in [*totals, load.integration] if load.integration else totals:
        seen = means * total * FULL_SCALE
        real, imag = (np.rint(part).astype(np.int64) for part in (seen.real, seen.imag))
        assert load.trigger.threshold(real, imag).tolist() == [False, False, True, True]
