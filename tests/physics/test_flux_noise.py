"""Frequencies that change from shot to shot: Ramsey decays as a Gaussian, decoupled circuits keep their coherence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.discriminator import discriminator_of
from qubitd.core.job import Decoupling, JobSpec
from qubitd.core.sweep import Sweep
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.tape import Tape

FILE = load_device("line5")
SIGMA = 100e3
"""Hz."""
SHOTS = 6400
CABLING = Path(__file__).parents[2] / "drivers/qubitd/emulator/cablings/line5.toml"
Noisy = Callable[[float], Chip]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Noisy:
    """line5's chip with frequency noise on q0."""
    folder = tmp_path_factory.mktemp("cabling")

    def chip(sigma: float) -> Chip:
        text = CABLING.read_text(encoding="utf-8")
        path = folder / f"{sigma:g}.toml"
        path.write_text(text.replace("[qubit.q0]\n", f"[qubit.q0]\nfrequency_noise = {sigma}\n"), encoding="utf-8")
        return Chip(load_cabling(path))

    return chip


def ramsey(idle: float, dd: Decoupling | None, *, seed: int = 1) -> JobSpec:
    """sx, wait, sx: reads 1 if the qubit kept its phase."""
    builder = CircuitBuilder(name="ramsey", num_qubits=5, num_clbits=1)
    builder.add("sx", 0).delay(0, idle).add("sx", 0).measure(0, 0)
    return JobSpec(batch=pack([builder]), sweep=Sweep(), shots=SHOTS, dd=dd, seed_simulator=seed)


def ones(chip: Chip, spec: JobSpec) -> float:
    """Play a job's only program on the chip; give the fraction of shots that read 1."""
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec).programs()
    tape, plays, windows = Tape(chip.cabling), program.plays, program.acquisitions
    for i in range(len(plays.start)):
        line = program.lines[plays.line[i]]
        tape.play(
            "feedline" if line.endswith(".readout") else line,
            program.tables.envelopes[int(plays.envelope[i])].samples,
            int(plays.start[i]),
            amplitude=float(plays.amplitude[i]),
            frequency=float(plays.frequency[i]),
            phase=float(plays.phase[i]),
        )
    tape.acquire(int(windows.start[0]), int(windows.length[0]), frequency=float(windows.frequency[0]))
    (points,) = chip.run(tape.table(shots=SHOTS), np.random.default_rng(5))
    return float(np.mean(discriminator_of(FILE.snapshot(), "q0")(points.astype(np.complex64))))


def contrast(spec: JobSpec, part: float) -> float:
    """What is read if a part of the coherence that the calibration predicts is there."""
    (predicted,) = expected(FILE.device, FILE.snapshot(), spec.batch, dd=spec.dd)
    return 0.5 + part * (predicted["1"] - 0.5)


@pytest.mark.parametrize("idle", [1e-6, 2e-6, 4e-6])
def test_ramsey_decays_as_a_gaussian(noisy: Noisy, idle: float) -> None:
    part = np.exp(-((2 * np.pi * SIGMA * (idle + 40e-9)) ** 2) / 2)
    assert ones(noisy(SIGMA), ramsey(idle, None)) == pytest.approx(contrast(ramsey(idle, None), part), abs=0.03)


@pytest.mark.parametrize("kind", list(Decoupling))
def test_decoupling_keeps_the_coherence_that_noise_takes(noisy: Noisy, kind: Decoupling) -> None:
    idle, chip = 6e-6, noisy(SIGMA)
    lost = ones(chip, ramsey(idle, None))
    kept = ones(chip, ramsey(idle, kind))
    assert abs(lost - 0.5) < 0.04
    assert kept == pytest.approx(contrast(ramsey(idle, kind), 1.0), abs=0.02)
    assert kept > 0.85


def test_a_quiet_chip_agrees_with_what_is_expected_either_way(noisy: Noisy) -> None:
    for kind in (None, Decoupling.XY8):
        spec = ramsey(6e-6, kind)
        assert ones(noisy(0.0), spec) == pytest.approx(contrast(spec, 1.0), abs=0.02)
