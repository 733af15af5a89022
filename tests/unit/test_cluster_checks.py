"""What a Cluster cannot play is refused by name, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.core.envelope import Drag, Square, sample_envelope
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.waits import LONGEST_GAP
from qubitd.drivers.errors import CapacityError, UnplayableProgramError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
DRIVE, FLUX, READOUT, OTHER_READOUT = "q0.drive", "q0.flux", "q0.readout", "q1.readout"
LINES = (DRIVE, FLUX, READOUT, OTHER_READOUT, "q9.drive")
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Square(length=59)),
    sample_envelope(Square(length=2)),
    1.5 * sample_envelope(Square(length=40)),
    sample_envelope(Square(length=400)),
]
DRAG, SQUARE, TINY, LOUD, LONG = range(5)
TONE, READ, OTHER_READ = 6.05e9, 7.45e9, 7.25e9

Play = tuple[str, int, int, float, float, float]
Acquisition = tuple[str, int, int, float, float]


@pytest.fixture
def refusal(make_program: ProgramBuilder) -> Refusal:
    return Refusal(make_program)


class Refusal:
    """Says why a program is refused."""

    def __init__(self, make_program: ProgramBuilder) -> None:
        self._make_program = make_program

    def chunk(
        self,
        plays: Sequence[Play] = (),
        acquisitions: Sequence[Acquisition] = (),
        *,
        duration: int = 2000,
        shots: int = 1,
        reset: int = 0,
    ) -> Chunk:
        program = self._make_program(
            lines=LINES, envelopes=ENVELOPES, plays=plays, acquisitions=acquisitions, duration=duration, name="bell"
        )
        return Chunk(programs=(program,), first_program=3, first_shot=0, shots=shots, reset=reset)

    def __call__(
        self,
        *plays: Play,
        acquisitions: Sequence[Acquisition] = (),
        duration: int = 2000,
        reset: int = 0,
    ) -> str:
        with pytest.raises(UnplayableProgramError) as caught:
            CONTROLLER.assemble(self.chunk(plays, acquisitions, duration=duration, reset=reset))
        return str(caught.value)


def test_amplitude_above_full_scale(refusal: Refusal) -> None:
    assert refusal((DRIVE, 8, DRAG, 1.01, 0, TONE)) == (
        "program 3 ('bell'), line q0.drive: at 8 ns: amplitude outside -1..1 of full scale"
    )
    assert "amplitude" in refusal((DRIVE, 8, DRAG, np.nan, 0, TONE))


def test_phase_that_is_no_number(refusal: Refusal) -> None:
    assert "a phase that is no finite number" in refusal((DRIVE, 8, DRAG, 0.1, np.inf, TONE))


def test_envelope_above_full_scale(refusal: Refusal) -> None:
    assert "an envelope above full scale" in refusal((DRIVE, 8, LOUD, 0.1, 0, TONE))


@pytest.mark.parametrize("start", [-1, 1961, 2**63 - 1])
def test_play_outside_its_program(refusal: Refusal, start: int) -> None:
    assert "reaches outside its program" in refusal((DRIVE, start, DRAG, 0.1, 0, TONE))


def test_play_that_reaches_into_the_next(refusal: Refusal) -> None:
    assert "at 0 ns: reaches into the next play" in refusal(
        (DRIVE, 0, DRAG, 0.1, 0, TONE), (DRIVE, 39, DRAG, 0.1, 0, TONE)
    )


def test_plays_that_begin_less_than_4_ns_apart(refusal: Refusal) -> None:
    words = refusal((DRIVE, 100, TINY, 0.1, 0, TONE), (DRIVE, 103, TINY, 0.1, 0, TONE))
    assert "line q0.drive: at 100 ns: less than 4 ns before the next play" in words


def test_plays_that_begin_4_ns_apart_are_played(refusal: Refusal) -> None:
    CONTROLLER.assemble(refusal.chunk([(DRIVE, 100, TINY, 0.1, 0, TONE), (DRIVE, 104, TINY, 0.1, 0, TONE)]))


@pytest.mark.parametrize("tone", [5.7499e9, 6.7501e9, 0.0, np.nan])
def test_tone_out_of_reach_of_its_oscillator(refusal: Refusal, tone: float) -> None:
    words = refusal((DRIVE, 8, DRAG, 0.1, 0, tone))
    assert "a tone more than 500 MHz from the local oscillator of slot1.out0 (6.25 GHz); change the oscillator" in words


@pytest.mark.parametrize("tone", [5.75e9, 6.75e9])
def test_tone_at_the_edge_of_reach_is_played(refusal: Refusal, tone: float) -> None:
    CONTROLLER.assemble(refusal.chunk([(DRIVE, 8, DRAG, 0.1, 0, tone)]))


def test_phase_on_a_flux_line(refusal: Refusal) -> None:
    assert "a phase on a baseband output" in refusal((FLUX, 8, SQUARE, 0.1, 0.5, 0.0))


def test_tone_or_complex_envelope_on_a_flux_line(refusal: Refusal) -> None:
    assert "a tone on a baseband output (5000000 Hz)" in refusal((FLUX, 8, SQUARE, 0.1, 0, 5e6))
    assert "a complex envelope on a baseband output" in refusal((FLUX, 8, DRAG, 0.1, 0, 0))


def test_line_that_is_wired_to_nothing(refusal: Refusal) -> None:
    assert refusal(("q9.drive", 8, DRAG, 0.1, 0, TONE)) == (
        "line q9.drive: is wired to no sequencer; add it to the rack file"
    )


def test_acquisition_on_an_output_without_input(refusal: Refusal) -> None:
    assert "a QCM-RF has no input" in refusal(acquisitions=[(DRIVE, 8, 400, TONE, 0)])


@pytest.mark.parametrize("length", [0, 2, 402, 2**24])
def test_integration_that_the_hardware_cannot_count(refusal: Refusal, length: int) -> None:
    words = refusal(acquisitions=[(READOUT, 8, length, READ, 0)], duration=2**25)
    assert "the integration is no multiple of 4 ns from 4 to 16777212 ns" in words


def test_acquisition_outside_its_program(refusal: Refusal) -> None:
    assert "begins outside its program" in refusal(acquisitions=[(READOUT, 2001, 400, READ, 0)])


def test_acquisition_phase_that_is_no_number(refusal: Refusal) -> None:
    assert "a phase" in refusal(acquisitions=[(READOUT, 1, 400, READ, np.nan)])


def test_acquisitions_that_overlap_also_around_the_shot_loop(refusal: Refusal) -> None:
    words = "integrates until after the next acquisition"
    assert words in refusal(acquisitions=[(READOUT, 8, 400, READ, 0), (READOUT, 407, 400, READ, 0)])
    assert words in refusal(acquisitions=[(READOUT, 8, 2064, READ, 0)], duration=2000)
    CONTROLLER.assemble(refusal.chunk(acquisitions=[(READOUT, 8, 2060, READ, 0)], duration=2000))


def test_acquisition_that_would_detune_the_pulse_being_played(refusal: Refusal) -> None:
    pulse = (READOUT, 0, LONG, 0.1, 0.0, READ)
    words = refusal(pulse, acquisitions=[(READOUT, 100, 400, READ + 1e6, 0)])
    assert "at 100 ns: demodulates at another frequency than the pulse that is being played" in words
    CONTROLLER.assemble(refusal.chunk([pulse], [(READOUT, 400, 400, READ + 1e6, 0)]))


def test_tones_of_one_feedline_that_add_up_to_more_than_full_scale(refusal: Refusal) -> None:
    words = refusal((READOUT, 0, LONG, 0.6, 0, READ), (OTHER_READOUT, 399, LONG, -0.5, 0, OTHER_READ))
    assert words == (
        "program 3 ('bell'), output slot6.out0: the tones of its lines add up to 1.1 of full scale; at most 1, "
        "lower their amplitudes"
    )
    CONTROLLER.assemble(
        refusal.chunk([(READOUT, 0, LONG, 0.6, 0, READ), (OTHER_READOUT, 400, LONG, -0.5, 0, OTHER_READ)])
    )


def test_tones_that_are_a_little_above_full_scale_do_not_read_like_it(refusal: Refusal) -> None:
    words = refusal((READOUT, 0, LONG, 0.50000001, 0, READ), (OTHER_READOUT, 0, LONG, 0.5, 0, OTHER_READ))
    assert "add up to 1.00000001 of full scale; at most 1" in words


def test_delay_that_is_longer_than_a_sequencer_waits(refusal: Refusal) -> None:
    start = LONGEST_GAP
    words = refusal((FLUX, start, SQUARE, 0.1, 0, 0), duration=start + 59)
    assert f"line q0.flux: nothing happens for {start + 40} ns; a sequencer waits {start} ns at most" in words


def test_everything_wrong_is_reported_at_once(refusal: Refusal) -> None:
    words = refusal(
        (DRIVE, 8, DRAG, 1.5, 0, TONE),
        (DRIVE, 100, DRAG, 1.5, 0, TONE),
        (FLUX, 8, DRAG, 0.1, 0, 1.0),
        ("q9.drive", 8, DRAG, 0.1, 0, TONE),
    )
    assert "at 8 ns: amplitude outside -1..1 of full scale (1 more like it)" in words
    assert all(part in words for part in ("q9.drive", "a tone on a baseband", "a complex envelope"))


def test_bins_are_met_at_the_limit_and_refused_above_it(refusal: Refusal) -> None:
    acquisition = [(READOUT, 8, 400, READ, 0.0)]
    CONTROLLER.assemble(refusal.chunk(acquisitions=acquisition, shots=131072))
    with pytest.raises(CapacityError, match=r"slot6.seq0 \(q0.readout\) needs 131073 bins, it holds 131072. Split"):
        CONTROLLER.assemble(refusal.chunk(acquisitions=acquisition, shots=131073))


@pytest.mark.parametrize(("line", "limit"), [(DRIVE, 16384), (READOUT, 12288)])
def test_program_memory_is_met_at_the_limit_and_refused_above_it(refusal: Refusal, line: str, limit: int) -> None:
    tone = TONE if line == DRIVE else READ
    # On no line and never the same again, or else a loop would do.
    phases = np.random.default_rng(1).uniform(0.1, 6, limit).tolist()

    def chunk(instructions: int) -> Chunk:
        """Each play takes an instruction and one more for its phase, if that is not the one before."""
        chosen = phases[: instructions // 2]
        chosen += chosen[-1:] * (instructions % 2)
        rows = [(line, 4 * row, TINY, 0.1, phase, tone) for row, phase in enumerate(chosen)]
        return refusal.chunk(rows, duration=10**6)

    def used(of: Chunk) -> int:
        return next(usage.used for usage in CONTROLLER.capacity.usage(of) if usage.memory == "instructions")

    others = used(chunk(2)) - 2
    assert used(chunk(limit - others)) == limit
    CONTROLLER.assemble(chunk(limit - others))
    with pytest.raises(CapacityError, match=f"needs {limit + 1} instructions, it holds {limit}"):
        CONTROLLER.assemble(chunk(limit - others + 1))
