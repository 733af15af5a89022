"""Registers of an RF sequencer's oscillator, against Python's integers, which are of any size."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.core.feedforward import ALWAYS
from qubitd.drivers.cluster.columns import AcquisitionColumns, PlayColumns
from qubitd.drivers.cluster.registers import QUARTER_TURN_UNITS
from qubitd.drivers.cluster.tones import tone_registers

LEAD = 40
NOTHING = np.zeros(0, dtype=np.int64)
NO_ACQUISITIONS = AcquisitionColumns(
    line=NOTHING.astype(np.uint16),
    program=NOTHING,
    row=NOTHING,
    start=NOTHING,
    length=NOTHING,
    phase=np.zeros(0),
    frequency=np.zeros(0),
    qubit=NOTHING,
    kernel=NOTHING,
    condition=NOTHING,
)


def plays(starts: list[int], quarter_hertz: list[int]) -> PlayColumns:
    """Plays of one program, all of phase 0."""
    zeros = np.zeros(len(starts), dtype=np.int64)
    return PlayColumns(
        line=zeros.astype(np.uint16),
        program=zeros,
        start=np.array(starts, dtype=np.int64),
        length=zeros + 20,
        envelope=zeros,
        amplitude=np.ones(len(starts)),
        phase=np.zeros(len(starts)),
        frequency=np.array(quarter_hertz) / 4,
        frame=zeros,
        condition=zeros + ALWAYS,
    )


def exact(starts: list[int], quarter_hertz: list[int]) -> list[int]:
    """What `set_ph` must add at each play: the phase that is wanted, less what the oscillator gathered."""
    gathered, before, found = quarter_hertz[0] * (starts[0] + LEAD), starts[0], list[int]()
    for i, (start, frequency) in enumerate(zip(starts, quarter_hertz, strict=True)):
        gathered += quarter_hertz[max(0, i - 1)] * (start - before)
        before = start
        ahead = (frequency * start - gathered) % QUARTER_TURN_UNITS
        found.append((ahead + 2) // 4 % (QUARTER_TURN_UNITS // 4))
    return found


@pytest.mark.parametrize("step", [1000, 999_999_937, 4_000_000_001, 86_400_000_000_007])
@pytest.mark.parametrize("sign", [1, -1])
def test_phases_are_exact_however_long_a_shot_is(step: int, sign: int) -> None:
    starts = [number * step for number in range(12)]
    frequencies = [sign * (1_999_999_987 - 5 * (number % 3)) for number in range(12)]
    tones = tone_registers(plays(starts, frequencies), NO_ACQUISITIONS, lo=0.0, lead=LEAD)
    assert tones.play_phase.tolist() == exact(starts, frequencies)
