"""Tiny programs and the Q1ASM that they become, a file each: `--update` writes it, reviewers look at the diff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.compiler.text import program_text
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
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

HERE = Path(__file__).parent / "cluster"
LINES = ("q0.drive", "q1.drive", "q0.flux", "q0.readout", "q1.readout")
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Square(length=59)),
    sample_envelope(Square(length=400)),
]
DRAG, TOP, WINDOW = range(3)
_WRITTEN = 2
"""Programs of a chunk that are written."""
Q0, Q1, R0, R1 = 6.05e9, 5.25e9, 7.48e9, 7.23e9
"""Tones at multiples of 25 MHz from their oscillators, so that a phase of 0 stays 0 in the text."""

Make = Callable[["ProgramBuilder"], Chunk]


def rotation_and_readout(make_program: ProgramBuilder) -> Chunk:
    program = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[
            ("q0.drive", 0, DRAG, 0.105, 0.0, Q0),
            ("q0.drive", 40, DRAG, 0.105, np.pi / 2, Q0),
            ("q0.readout", 80, WINDOW, 0.15, 0.0, R0),
        ],
        acquisitions=[("q0.readout", 280, 400, R0, 0.0)],
        duration=700,
    )
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=5, reset=210_000)


def bell(make_program: ProgramBuilder) -> Chunk:
    program = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[
            ("q0.drive", 0, DRAG, 0.105, np.pi / 2, Q0),
            ("q1.drive", 0, DRAG, 0.105, 0.0, Q1),
            ("q0.flux", 40, TOP, 0.389, 0.0, 0.0),
            ("q1.drive", 110, DRAG, 0.105, -0.4, Q1),
            ("q0.readout", 150, WINDOW, 0.15, 0.0, R0),
            ("q1.readout", 150, WINDOW, 0.2, 0.0, R1),
        ],
        acquisitions=[("q0.readout", 350, 400, R0, 0.0), ("q1.readout", 350, 400, R1, 0.0)],
        duration=770,
    )
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=5, reset=210_000)


def two_programs_with_swept_frequency(make_program: ProgramBuilder) -> Chunk:
    def at(frequency: float) -> list[tuple[str, int, int, float, float, float]]:
        return [("q0.drive", 0, DRAG, 0.1, 0.0, frequency), ("q0.drive", 100, DRAG, -0.1, 0.0, Q0)]

    programs = [
        make_program(lines=LINES, envelopes=ENVELOPES, plays=at(frequency), duration=140)
        for frequency in (Q0, Q0 + 1e6)
    ]
    return Chunk(programs=tuple(programs), first_program=0, first_shot=0, shots=5, reset=0)


def long_delay(make_program: ProgramBuilder) -> Chunk:
    plays = [
        ("q0.flux", 0, TOP, 0.5, 0.0, 0.0),
        ("q0.flux", 65_536, TOP, 0.5, 0.0, 0.0),
        ("q0.flux", 10**6, TOP, 0.5, 0.0, 0.0),
    ]
    program = make_program(lines=LINES, envelopes=ENVELOPES, plays=plays, duration=1_000_100)
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=2, reset=0)


def rabi_scan(make_program: ProgramBuilder) -> Chunk:
    """Gains that lie on no whole step: a fraction is gathered beside them."""
    programs = [
        make_program(
            lines=LINES,
            envelopes=ENVELOPES,
            plays=[("q0.drive", 0, DRAG, amplitude, 0.0, Q0), ("q0.readout", 40, WINDOW, 0.15, 0.0, R0)],
            acquisitions=[("q0.readout", 240, 400, R0, 0.0)],
            duration=660,
        )
        for amplitude in np.linspace(0, 0.25, 7)
    ]
    return Chunk(programs=tuple(programs), first_program=0, first_shot=0, shots=5, reset=210_000)


def ramsey_scan_of_a_delay_and_a_phase(make_program: ProgramBuilder) -> Chunk:
    """One loop in another; waits beyond what one instruction can, and phases that pass a turn."""
    programs = [
        make_program(
            lines=LINES,
            envelopes=ENVELOPES,
            plays=[
                ("q0.drive", 0, DRAG, 0.105, 0.0, Q0),
                ("q0.drive", 40 + delay, DRAG, 0.105, turns * 2 * np.pi, Q0),
                ("q0.flux", 80 + delay, TOP, 0.25, 0.0, 0.0),
            ],
            duration=140 + delay,
        )
        for delay in range(0, 100_000, 25_000)
        for turns in np.linspace(0.3, 1.2, 5)
    ]
    return Chunk(programs=tuple(programs), first_program=0, first_shot=0, shots=5, reset=10_000)


def active_reset(make_program: ProgramBuilder) -> Chunk:
    """A readout, a flip and a phase if it found 1, a pulse whatever it found, and a readout for those in 0."""
    program = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[
            ("q0.drive", 1000, DRAG, 0.21, 0.0, Q0),
            ("q0.drive", 1100, DRAG, 0.105, np.pi / 2, Q0),
            ("q0.readout", 0, WINDOW, 0.15, 0.0, R0),
            ("q0.readout", 1200, WINDOW, 0.15, 0.0, R0),
        ],
        acquisitions=[("q0.readout", 200, 400, R0, 0.0), ("q0.readout", 1400, 400, R0, 0.0)],
        duration=1900,
    )
    dynamics = Dynamics(
        feeds=(Feed(qubit=0, discriminator=Discriminator(rotation=0.5, threshold=0.01)),),
        conditions=(
            OutcomeCondition(operator=Operator.OR, qubits=(0,)),
            OutcomeCondition(operator=Operator.NOR, qubits=(0,)),
        ),
        play_condition=np.array([0, ALWAYS, ALWAYS, 1], dtype=np.int16),
        acquisition_condition=np.array([ALWAYS, 1], dtype=np.int16),
        shifts=PhaseShifts(
            line=np.zeros(1, dtype=np.uint16),
            start=np.array([1060]),
            phase=np.array([np.pi]),
            frame=np.zeros(1, dtype=np.int16),
            condition=np.zeros(1, dtype=np.int16),
        ),
        latches=Latches(
            line=np.array([0, 3, 3], dtype=np.uint16),
            start=np.array([900, 700, 1100]),
            action=np.array([Latch.OPEN, Latch.OPEN, Latch.CLOSE], dtype=np.int8),
        ),
    )
    return Chunk(programs=(replace(program, dynamics=dynamics),), first_program=0, first_shot=0, shots=5, reset=0)


@pytest.mark.parametrize(
    "make",
    [
        active_reset,
        rotation_and_readout,
        bell,
        two_programs_with_swept_frequency,
        long_delay,
        rabi_scan,
        ramsey_scan_of_a_delay_and_a_phase,
    ],
)
def test_q1asm_is_as_it_was_reviewed(make: Make, make_program: ProgramBuilder, update: bool) -> None:
    chunk = make(make_program)
    assembly = open_rack(load_rack()).assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    source = _written(chunk)
    text = "\n".join([source, *(f"# {load.wired.name}\n" + load.program.decode() for load in assembly.sequencers)])
    path = HERE / f"{make.__name__}.q1asm"
    if update:
        path.write_text(text)
    assert text == path.read_text()


def _written(chunk: Chunk) -> str:
    """Write the first programs of a chunk, which show what the others are."""
    first = "\n".join(program_text(program) for program in chunk.programs[:_WRITTEN])
    more = max(0, len(chunk.programs) - _WRITTEN)
    return f"{chunk.shots} shots, {chunk.reset} ns before each\n{first}" + (f"and {more} more\n" if more else "")
