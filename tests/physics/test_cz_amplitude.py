"""A CZ whose flux amplitude is 1 % off: the conditional phase moves as the closed form says.

What static ZZ adds outside the flux pulse, from the middle of the pulse before to the end of the slot, is known.
"""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.program import Program
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.tape import Tape

FILE = load_device("line5")
PAIR, PULSED, PARTNER = 0, 0, 1
SCALES = (0.99, 1.0, 1.01)


def programs(*, excited: bool) -> list[Program]:
    """A half turn of the partner and a CZ, at each amplitude of the flux pulse."""
    builder = CircuitBuilder(name="cz", num_qubits=5, num_clbits=0)
    if excited:
        builder.add("x", PULSED)
    builder.add("sx", PARTNER).add("cz", PULSED, PARTNER)
    amplitude = FILE.snapshot().value("q0_q1.cz.amplitude")
    axis = SweepAxis(names=("q0_q1.cz.amplitude",), values=np.array([SCALES]) * amplitude)
    return list(compile_circuits(FILE.device, FILE.snapshot(), pack([builder]), Sweep(axes=(axis,))).programs())


def coherence(chip: Chip, program: Program, *, excited: bool) -> complex:
    """<1|rho|0> of the partner, of the part in which the pulsed qubit is where it was put."""
    tape, plays = Tape(chip.cabling), program.plays
    for i in range(len(plays.start)):
        tape.play(
            program.lines[plays.line[i]],
            program.tables.envelopes[int(plays.envelope[i])].samples,
            int(plays.start[i]),
            amplitude=float(plays.amplitude[i]),
            frequency=float(plays.frequency[i]),
            phase=float(plays.phase[i]),
        )
    state = density_matrix(chip, tape.table(shots=1), time=program.duration)
    return complex(state[2 + excited, 0 + excited])


def closed_form(chip: Chip, amplitude: float) -> float:
    """Phase of <11|U|11> = exp(-i pi d t) [cos(pi W t) + i (d / W) sin(pi W t)], W = sqrt(8 g^2 + d^2)."""
    flux = np.array([amplitude * chip.truth.qubits[PULSED].flux_rate])
    d = float(chip.flux_lines.mismatch(PAIR, flux, np.zeros(1))[0])
    g, t = chip.truth.pairs[PAIR].coupling * 1e-9, FILE.snapshot().value("q0_q1.cz.top") * 1e9
    w = np.hypot(np.sqrt(8) * g, d)
    return float(np.angle(np.exp(-1j * np.pi * d * t) * (np.cos(np.pi * w * t) + 1j * d / w * np.sin(np.pi * w * t))))


def test_the_conditional_phase_moves_as_the_formula_says(chip: Chip) -> None:
    amplitude = FILE.snapshot().value("q0_q1.cz.amplitude")
    found = [
        np.angle(coherence(chip, one, excited=True) / coherence(chip, zero, excited=False))
        for zero, one in zip(programs(excited=False), programs(excited=True), strict=True)
    ]
    outside = FILE.snapshot().value("q1.sx.duration") / 2 + FILE.snapshot().value("q0_q1.cz.duration")
    outside -= FILE.snapshot().value("q0_q1.cz.top")
    at_rest = -2 * np.pi * chip.zz[PULSED, PARTNER] * 1e9 * outside
    expected = [closed_form(chip, scale * amplitude) + at_rest for scale in SCALES]
    np.testing.assert_allclose(np.angle(np.exp(1j * (np.array(found) - expected))), 0, atol=1e-3)
    assert abs(found[1]) == pytest.approx(np.pi, abs=0.03)
    assert all(abs(abs(phase) - np.pi) > 0.5 for phase in (found[0], found[2]))
