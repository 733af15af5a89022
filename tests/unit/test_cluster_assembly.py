"""Chunks for a Cluster: who takes part, what a line carries, and how bins become IQ points."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.core.envelope import Drag, Gaussian, Square, sample_envelope
from qubitd.core.program import Chunk, Program
from qubitd.drivers.cluster.assembly import ClusterAssembly, ReadoutMap
from qubitd.drivers.cluster.exertion import refuse_above_ceilings
from qubitd.drivers.cluster.protocol import BIN
from qubitd.drivers.cluster.readout import program_iq
from qubitd.drivers.errors import CeilingError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Ceiling
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
LINES = ("q0.drive", "q1.drive", "q0.flux", "q0.readout", "q1.readout")
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Square(length=60)),
    sample_envelope(Square(length=400)),
    sample_envelope(Gaussian(length=40, sigma=8e-9)),
]
Q0, Q1, R0, R1 = 6.05e9, 5.25e9, 7.45e9, 7.25e9


def assemble(chunk: Chunk) -> ClusterAssembly:
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    return assembly


def one(make_program: ProgramBuilder, *plays: tuple[str, int, int, float, float, float], reset: int = 0) -> Chunk:
    program = make_program(lines=LINES, envelopes=ENVELOPES, plays=plays, duration=1000)
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=1000, reset=reset)


def test_only_lines_on_which_something_happens_take_part(make_program: ProgramBuilder) -> None:
    assembly = assemble(one(make_program, ("q0.flux", 0, 1, 0.5, 0, 0), ("q1.drive", 0, 0, 0.1, 0, Q1)))
    assert [load.wired.line for load in assembly.sequencers] == ["q1.drive", "q0.flux"]


def test_chunk_in_which_nothing_happens_needs_no_sequencer(make_program: ProgramBuilder) -> None:
    assembly = assemble(one(make_program))
    assert assembly.sequencers == ()
    assert [points.shape for points in program_iq(assembly, [])] == [(1000, 0)]


def test_run_lasts_as_long_as_its_shots_with_their_resets_and_its_deadline_is_later(
    make_program: ProgramBuilder,
) -> None:
    assembly = assemble(one(make_program, ("q0.flux", 0, 1, 0.5, 0, 0), reset=210_000))
    assert assembly.duration == pytest.approx(1000 * (210e-6 + 1e-6 + 20e-9))
    assert assembly.deadline > assembly.duration + 0.5


def test_same_chunk_gives_the_same_bytes_in_another_process(make_program: ProgramBuilder) -> None:
    chunk = one(make_program, ("q0.drive", 0, 0, 0.1, 1.0, Q0))
    again = assemble(pickle.loads(pickle.dumps(chunk)))
    assert [load.digest for load in assemble(chunk).sequencers] == [load.digest for load in again.sequencers]
    assert pickle.loads(pickle.dumps(again)).sequencers[0].program == again.sequencers[0].program


def test_digest_changes_with_whatever_is_uploaded(make_program: ProgramBuilder) -> None:
    plays = [("q0.drive", 0, 0, 0.1, 1.0, Q0)]
    chunk = one(make_program, *plays)
    wider = [ENVELOPES[0] * 0.5, *ENVELOPES[1:]]
    changed = [
        one(make_program, ("q0.drive", 0, 0, 0.1, 1.1, Q0)),
        replace(chunk, shots=999),
        replace(chunk, programs=(make_program(lines=LINES, envelopes=wider, plays=plays, duration=1000),)),
    ]
    assert len({assemble(other).sequencers[0].digest for other in [chunk, *changed]}) == 4


def test_equal_samples_are_held_once_and_real_envelopes_need_no_zeros(make_program: ProgramBuilder) -> None:
    assembly = assemble(
        one(
            make_program,
            ("q0.drive", 0, 0, 0.1, 0, Q0),
            ("q0.drive", 100, 3, 0.2, 0, Q0),
            ("q0.drive", 200, 1, 0.3, 0, Q0),
        )
    )
    (load,) = assembly.sequencers
    # The DRAG's real part is the Gaussian; the square makes the third.
    assert [len(waveform.samples) for waveform in load.waveforms] == [40, 40, 60]
    assert (
        b"set_awg_gain 3277,3277\nplay 0,1,100\nset_awg_gain 6554,0\nplay 0,0,100\nset_awg_gain 9830,0\nplay 2,2,"
        in (load.program)
    )


def test_exertion_of_a_flux_line_counts_peak_mean_power_and_edges(make_program: ProgramBuilder) -> None:
    chunk = one(make_program, ("q0.flux", 0, 1, 0.5, 0, 0), ("q0.flux", 100, 1, -0.25, 0, 0))
    (load,) = assemble(chunk).sequencers
    iteration = 40 + 1000 + 20
    assert load.exertion.amplitude == pytest.approx(0.5, rel=1e-4)
    assert load.exertion.slew == pytest.approx(0.5, rel=1e-4)
    assert load.exertion.mean_power == pytest.approx(60 * (0.25 + 0.0625) / iteration, rel=1e-4)
    assert load.exertion.mean == pytest.approx(60 * 0.25 / iteration, rel=1e-4)


def test_exertion_of_a_drive_line_counts_both_quadratures(make_program: ProgramBuilder) -> None:
    (load,) = assemble(one(make_program, ("q0.drive", 0, 0, -0.5, 1.0, Q0))).sequencers
    samples = 0.5 * ENVELOPES[0]
    assert load.exertion.amplitude == pytest.approx(np.abs(samples).max(), rel=1e-4)
    assert load.exertion.mean_power == pytest.approx(np.sum(np.abs(samples) ** 2) / 1060, rel=1e-3)
    assert load.exertion.slew == pytest.approx(np.abs(np.diff(samples, prepend=0, append=0)).max(), rel=1e-3)


def test_a_program_carries_the_same_whatever_else_is_in_its_chunk(make_program: ProgramBuilder) -> None:
    loud = one(make_program, ("q0.flux", 0, 1, 0.5, 0, 0))
    opposite = one(make_program, ("q0.flux", 0, 1, -0.4, 0, 0))
    quiet = replace(opposite.programs[0], plays=one(make_program).programs[0].plays)
    (alone,) = assemble(loud).sequencers
    together = replace(loud, programs=(quiet, *opposite.programs, *loud.programs, quiet))
    (load,) = assemble(together).sequencers
    assert load.exertion == alone.exertion


@pytest.mark.parametrize("quantity", ["amplitude", "mean_power", "mean", "slew"])
def test_what_exceeds_a_ceiling_is_refused_with_line_value_and_limit(
    make_program: ProgramBuilder, quantity: str
) -> None:
    (load,) = assemble(one(make_program, ("q0.flux", 0, 1, 0.9, 0, 0))).sequencers
    refuse_above_ceilings([(load.wired, load.exertion)])
    value = getattr(load.exertion, quantity)
    open_ceiling = Ceiling(amplitude=1.5, mean_power=2, mean=1, slew=3)
    kept = replace(load, wired=replace(load.wired, ceiling=replace(open_ceiling, **{quantity: value})))
    refuse_above_ceilings([(kept.wired, kept.exertion)])
    broken = replace(load, wired=replace(load.wired, ceiling=replace(open_ceiling, **{quantity: value - 0.01})))
    with pytest.raises(CeilingError, match=f"line q0.flux: {quantity} of .* exceeds the ceiling of"):
        refuse_above_ceilings([(broken.wired, broken.exertion)])


def test_what_is_a_little_above_a_ceiling_does_not_read_like_it(make_program: ProgramBuilder) -> None:
    (load,) = assemble(one(make_program, ("q0.flux", 0, 1, 0.9, 0, 0))).sequencers
    ceiling = Ceiling(amplitude=1.0, mean_power=2, mean=1, slew=3)
    with pytest.raises(CeilingError, match=r"amplitude of 1\.0001 of full scale exceeds the ceiling of 1 in"):
        refuse_above_ceilings([(replace(load.wired, ceiling=ceiling), replace(load.exertion, amplitude=1.00012))])


def test_points_are_sorted_to_programs_and_columns_as_means_over_the_window(make_program: ProgramBuilder) -> None:
    first = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        acquisitions=[
            ("q0.readout", 0, 400, R0, 0.0),
            ("q1.readout", 0, 400, R1, 0.0),
            ("q0.readout", 500, 400, R0, 0.0),
        ],
        duration=1000,
    )
    second = replace(
        make_program(lines=LINES, envelopes=ENVELOPES, acquisitions=[("q1.readout", 100, 400, R1, 0.0)], duration=1000),
        tables=first.tables,
    )
    assembly = assemble(Chunk(programs=(first, second), first_program=0, first_shot=0, shots=3, reset=0))
    assert [load.bins for load in assembly.sequencers] == [6, 6]
    full = 400 * 2**22
    q0 = filled([(0.1, 0.2), (0.3, 0.4)] * 3, full)
    q1 = filled([(-0.5, 0.0), (0.0, -0.75)] * 3, full)
    points = program_iq(replace(assembly, readouts=tuple(map(unrotated, assembly.readouts))), [q0, q1])
    assert points[0].dtype == np.complex64
    np.testing.assert_allclose(points[0], [[0.1 + 0.2j, 0.3 + 0.4j, -0.5]] * 3, rtol=1e-6)
    np.testing.assert_allclose(points[1], [[-0.75j]] * 3, rtol=1e-6)


def filled(points: list[tuple[float, float]], full: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    bins = np.zeros(len(points), dtype=BIN)
    bins["valid"], bins["count"] = 1, 1
    bins["real"], bins["imag"] = np.rint(np.array(points).T * full)
    return bins


def unrotated(readout: ReadoutMap) -> ReadoutMap:
    return replace(readout, rotation=np.ones_like(readout.rotation))


@pytest.mark.parametrize("phase", [0.0, 1.0, -2.5])
def test_demodulation_phase_turns_the_point_back(make_program: ProgramBuilder, phase: float) -> None:
    def rotation(of: float) -> complex:
        program = make_program(
            lines=LINES,
            envelopes=ENVELOPES,
            plays=[("q0.readout", 0, 2, 0.1, 0.0, R0)],
            acquisitions=[("q0.readout", 200, 400, R0, of)],
            duration=1000,
        )
        assembly = assemble(Chunk(programs=(program,), first_program=0, first_shot=0, shots=1, reset=0))
        return complex(assembly.readouts[0].rotation[0])

    assert rotation(0.0) == pytest.approx(1.0, abs=1e-6)
    assert rotation(phase) == pytest.approx(np.exp(-1j * phase), abs=1e-6)


def drive_text(programs: list[Program]) -> list[str]:
    """Give what one turn of the shot loop does on q0.drive, line by line, but for gains, which are set once."""
    assembly = assemble(Chunk(programs=tuple(programs), first_program=0, first_shot=0, shots=10, reset=210_000))
    (load,) = assembly.sequencers
    turn = load.program.decode().partition("shot: ")[2].partition("loop R0,@shot")[0]
    return [line for line in turn.splitlines() if not line.startswith("set_awg_gain")]


def test_long_waits_are_written_alike_in_one_program_and_in_many(make_program: ProgramBuilder) -> None:
    rng = np.random.default_rng(5)
    programs = [
        make_program(
            lines=LINES,
            envelopes=ENVELOPES,
            plays=[("q0.drive", start, 0, 0.1, phase, Q0) for start, phase in ((0, 0.0), (gap, rng.random()))],
            duration=gap + 1000,
        )
        for gap in rng.choice([44, 60, 65_540, 131_100, 200_000], 60)
    ]
    singly = [line for program in programs for line in drive_text([program])]
    assert drive_text(programs) == singly
    assert len(set(singly)) > 60
