"""Circuits on the simulated chip without a rack: gates of fixed shape, with the chip's own truth as calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.core.discriminator import Discriminator
from qubitd.core.envelope import Gaussian, sample_envelope
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.first_values import (
    CzValues,
    DriveValues,
    ReadoutPulse,
    ReadoutValues,
    cz_values,
    drive_values,
    readout_amplitude,
    readout_frequency,
    readout_values,
)
from qubitd.emulator.chip.tape import Tape

ENVELOPE = sample_envelope(Gaussian(length=40, sigma=8e-9))
TOPS = {(0, 1): (0, 59, 70), (1, 2): (1, 58, 68), (2, 3): (3, 57, 68), (3, 4): (4, 56, 67)}
"""Pair -> pulsed qubit, ns of the square top, ns of the slot."""
READOUT = 440
"""ns of a readout pulse and of its window."""


LASTING = [
    *((f"t1 = {t1}e-6", "t1 = 1.0") for t1 in (28, 34, 42, 32, 26)),
    *((f"tphi = {tphi}e-6", "tphi = 1.0") for tphi in (50, 70, 100, 65)),
]
"""Changes of cabling.toml after which nothing decays."""


class Player:
    """Writes gates on a tape, each qubit as soon as it is free, with virtual Z."""

    def __init__(self, chip: Chip, calibrated: Chip, *, photons: float) -> None:
        self.chip = chip
        self.photons = photons
        self.calibrated = calibrated
        self.tape = Tape(calibrated.cabling)
        self.time = [0] * len(chip.truth.qubits)
        self.phase = [0.0] * len(self.time)
        self.read: list[int] = []
        self.drives = [_drive(calibrated, q) for q in range(len(self.time))]

    def frequency(self, qubit: int) -> float:
        return self.calibrated.truth.qubits[qubit].frequency

    def pulse(self, qubit: int, amplitude: float, *, detuning: float = 0.0, phase: float = 0.0) -> None:
        self.time[qubit] = self.tape.play(
            f"q{qubit}.drive",
            ENVELOPE,
            self.time[qubit],
            amplitude=amplitude,
            frequency=self.frequency(qubit) + detuning,
            phase=phase + self.phase[qubit],
        )

    def rz(self, qubit: int, angle: float) -> None:
        self.phase[qubit] += angle

    def sx(self, qubit: int) -> None:
        self.pulse(qubit, self.drives[qubit].half_pi)

    def x(self, qubit: int) -> None:
        self.pulse(qubit, self.drives[qubit].pi)

    def h(self, qubit: int) -> None:
        self.rz(qubit, np.pi / 2)
        self.sx(qubit)
        self.rz(qubit, np.pi / 2)

    def cz(self, a: int, b: int, *, corrected: bool = True, top: int | None = None) -> None:
        first, second = sorted((a, b))
        pulsed, whole, slot = TOPS[first, second]
        values = _cz(self.calibrated, first, second)
        start = max(self.time[first], self.time[second])
        samples = np.ones(whole if top is None else top, dtype=np.complex128)
        self.tape.play(f"q{pulsed}.flux", samples, start, amplitude=values.amplitude)
        self.time[first] = self.time[second] = start + slot
        if corrected:
            self.rz(first, values.phase_first)
            self.rz(second, values.phase_second)

    def cx(self, control: int, target: int) -> None:
        self.h(target)
        self.cz(control, target)
        self.h(target)

    def delay(self, qubit: int, duration: int) -> None:
        self.time[qubit] += duration

    def align(self) -> None:
        self.time = [max(self.time)] * len(self.time)

    def tone(self, qubit: int, *, detuning: float = 0.0, amplitude: float | None = None) -> int:
        """Play a readout tone without a window; give its start."""
        start = self.time[qubit]
        played = _readout_pulse(self.calibrated, qubit, self.photons)
        self.tape.play(
            "feedline",
            played.samples,
            start,
            amplitude=played.amplitude if amplitude is None else amplitude,
            frequency=played.frequency + detuning,
        )
        self.time[qubit] = start + len(played.samples)
        return start

    def measure(self, *qubits: int, detuning: float = 0.0) -> None:
        for qubit in qubits:
            start = self.tone(qubit, detuning=detuning)
            frequency = readout_frequency(self.calibrated, f"q{qubit}") + detuning
            self.tape.acquire(start + self.calibrated.time_of_flight, READOUT, frequency=frequency)
            self.read.append(qubit)

    def readout_values(self, qubit: int) -> ReadoutValues:
        return _readout_values(self.calibrated, qubit, self.photons)

    def next_body(self, gap: int) -> None:
        """Leave a gap after everything and reset the phases, as a new shot does."""
        self.time = [max(self.time) + gap] * len(self.time)
        self.phase = [0.0] * len(self.time)
        self.tape.reset_phases(self.time[0])

    def points(self, *, shots: int, seed: int) -> NDArray[np.complex128]:
        return self.chip.run(self.tape.table(shots=shots), np.random.default_rng(seed))

    def bits(self, *, shots: int, seed: int) -> NDArray[np.bool_]:
        """Discriminated points, shape (readouts, shots); readouts must be written in the order of time."""
        points = self.points(shots=shots, seed=seed)
        values = [self.readout_values(qubit) for qubit in self.read]
        return np.stack(
            [
                Discriminator(rotation=v.rotation, threshold=v.threshold)(row.astype(np.complex64))
                for v, row in zip(values, points, strict=True)
            ]
        )


@lru_cache
def _drive(chip: Chip, qubit: int) -> DriveValues:
    return drive_values(chip, f"q{qubit}", ENVELOPE)


@lru_cache
def _cz(chip: Chip, first: int, second: int) -> CzValues:
    _, top, slot = TOPS[first, second]
    return cz_values(chip, f"q{first}", f"q{second}", top=top, slot=slot)


@lru_cache
def _readout_pulse(chip: Chip, qubit: int, photons: float) -> ReadoutPulse:
    return ReadoutPulse(
        samples=np.ones(READOUT, dtype=np.complex128),
        amplitude=readout_amplitude(chip, f"q{qubit}", photons=photons),
        frequency=readout_frequency(chip, f"q{qubit}"),
        delay=chip.time_of_flight,
        length=READOUT,
    )


@lru_cache
def _readout_values(chip: Chip, qubit: int, photons: float) -> ReadoutValues:
    return readout_values(chip, f"q{qubit}", _readout_pulse(chip, qubit, photons))


@lru_cache
def _chip(path: Path | None, *, zz: bool = True) -> Chip:
    made = Chip(load_cabling(path))
    if not zz:
        made.zz.clear()
    return made


class Play(Protocol):
    """Starts a player."""

    def __call__(
        self,
        *changes: tuple[str, str],
        lasting: bool = False,
        zz: bool = True,
        photons: float = 6.0,
        calibrated_on: Chip | None = None,
    ) -> Player: ...


@pytest.fixture(scope="session")
def chip() -> Chip:
    """The packaged chip."""
    return _chip(None)


@pytest.fixture(scope="session")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Start a player on the packaged chip, or on one made by replacing text in a copy of cabling.toml.

    With `lasting` nothing decays, and without `zz` qubits at rest leave each other alone: what is left are the gates
    themselves. With many photons readout does not err. The gates are calibrated on the chip that is
    played, unless another one is given.
    """
    folder = tmp_path_factory.mktemp("cabling")

    def start(
        *changes: tuple[str, str],
        lasting: bool = False,
        zz: bool = True,
        photons: float = 6.0,
        calibrated_on: Chip | None = None,
    ) -> Player:
        replaced = [*changes, *(LASTING if lasting else ())]
        chip = _chip(_changed_cabling(folder, replaced) if replaced else None, zz=zz)
        return Player(chip, calibrated_on or chip, photons=photons)

    return start


def _changed_cabling(folder: Path, changes: Sequence[tuple[str, str]]) -> Path:
    text = files("qubitd.emulator").joinpath("cablings/line5.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"cabling.toml has no {old!r}"
        text = text.replace(old, new)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.toml"
    path.write_text(text, encoding="utf-8")
    return path
