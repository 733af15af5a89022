"""Hand-written programs that act on what a readout of the simulated chip found: the qubits follow."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.core.envelope import Gaussian, sample_envelope
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.first_values import (
    ReadoutPulse,
    ReadoutValues,
    drive_values,
    readout_amplitude,
    readout_frequency,
    readout_values,
)
from qubitd.emulator.cluster import performance

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

SLOTS = {1: "QCM-RF", 6: "QRM-RF"}
READOUT = 440
DRIVE_LO = {0: 6.25e9, 1: 5.45e9}
READOUT_LO = 7.28e9
PERIOD = 200_000
ENVELOPE = sample_envelope(Gaussian(length=40, sigma=8e-9))

DRIVE = """
    move {shots},R0
    set_mrk {marker}
    set_awg_gain 32767,32767
    wait_sync 4
shot: reset_ph
    upd_param 60000
    upd_param 60000
    latch_rst 4
    set_latch_en 1,36
    play 0,1,40
{body}
    loop R0,@shot
    stop
"""
READ = """
    move 0,R1
    move {shots},R0
    set_mrk 2
    set_awg_gain 32767,32767
    wait_sync 4
shot: reset_ph
    upd_param 60000
    upd_param 60080
    play 0,1,{flight}
    acquire 0,R1,{pause}
    add R1,1,R1
    nop
    play 0,1,{flight}
    acquire 0,R1,{rest}
    add R1,1,R1
    loop R0,@shot
    stop
"""


@lru_cache
def chip() -> Chip:
    return Chip(load_cabling())


@lru_cache
def tone(qubit: int) -> ReadoutPulse:
    name = f"q{qubit}"
    return ReadoutPulse(
        samples=np.ones(READOUT, dtype=np.complex128),
        amplitude=readout_amplitude(chip(), name, photons=6.0),
        frequency=readout_frequency(chip(), name),
        delay=chip().time_of_flight,
        length=READOUT,
    )


@lru_cache
def values(qubit: int) -> ReadoutValues:
    return readout_values(chip(), f"q{qubit}", tone(qubit))


class Desk:
    """A pi pulse, a readout, something that may depend on it, and a second readout."""

    def __init__(self, bench: Bench, *, shots: int) -> None:
        self.bench, self.shots = bench, shots
        bench.ask("*CLS;SLOT6:LO1:ENA 1")
        self.flight = chip().time_of_flight
        self.act = 120_080 + self.flight + READOUT + 388
        """ns from the shot's beginning to the first pulse that may depend on the readout."""
        self.again = self.act + 100
        bench.ask(f"SLOT6:STAT:QUES:FREQ:LO1 {READOUT_LO:.0f};:SLOT6:AFE:ATT:OUT0 20")
        for output, lo in DRIVE_LO.items():
            bench.ask(f"SLOT1:LO{output}:ENA 1;:SLOT1:STAT:QUES:FREQ:LO{output} {lo:.0f};:SLOT1:AFE:ATT:OUT{output} 20")

    def drive(self, qubit: int, body: str, *, spent: int, prepare: float = 1.0) -> None:
        """Play a pi pulse, and a body at `act`; waveforms 2, 3 are the pi pulse."""
        where = f"1.{qubit}"
        pi = drive_values(chip(), f"q{qubit}", ENVELOPE).pi * ENVELOPE
        waves = [prepare * pi.real, prepare * pi.imag, pi.real, pi.imag]
        wait = self.act - 120_080
        rest = PERIOD - self.act - spent
        text = f"wait {wait}\n{body}\nset_cond 0,0,0,0\nwait {rest - 60_000}\nwait 60000"
        self.bench.upload(where, DRIVE.format(shots=self.shots, marker=1 << qubit, body=text), waves=waves)
        frequency = chip().truth.qubits[qubit].frequency - DRIVE_LO[qubit]
        self.bench.ask(f"SLOT1:SEQ{qubit}:CHAN ", f"[[{2 * qubit}],[{2 * qubit + 1}]]".encode())
        self._configure(where, {"awg.0.nco.freq_hz": frequency})

    def read(self, qubit: int, *, address: int, late: int = 0) -> None:
        where = f"6.{qubit}"
        wave = np.full(READOUT, tone(qubit).amplitude)
        program = READ.format(
            shots=self.shots,
            flight=self.flight,
            pause=self.again - 120_080 - self.flight,
            rest=PERIOD - self.again - self.flight - late - 60_000,
        ).replace("upd_param 60080", f"upd_param {60_080 + late}")
        program = program.replace("add R1,1,R1\n    loop", "add R1,1,R1\n    wait 60000\n    loop")
        self.bench.upload(where, program, waves=[wave, 0 * wave], bins=2 * self.shots)
        rotation, threshold = values(qubit).rotation, values(qubit).threshold
        self._configure(
            where,
            {
                "awg.0.nco.freq_hz": tone(qubit).frequency - READOUT_LO,
                "acq.0.demod.en": True,
                "acq.0.th_acq.non_weighed_integration_len": READOUT,
                "acq.0.th_acq.rotation_matrix_a11": float(np.cos(rotation)),
                "acq.0.th_acq.rotation_matrix_a12": float(-np.sin(rotation)),
                "acq.0.th_acq.discr_threshold": threshold * READOUT,
                "acq.0.th_acq_trg_map.en": True,
                "acq.0.th_acq_trg_map.addr": address,
            },
        )

    def bits(self, qubit: int) -> NDArray[np.bool_]:
        """What both readouts found, shape (shots, 2)."""
        return np.asarray(self.bench.bins(f"6.{qubit}")["threshold"] == 1).reshape(self.shots, 2)

    def _configure(self, where: str, changes: dict[str, object]) -> None:
        self.bench.configure(where, {"seq_proc.sync_en": True, "awg.0.mixer.en": True, **changes})


def desk(make_bench: Callable[..., Bench], *, shots: int) -> Desk:
    return Desk(make_bench(SLOTS, digitiser=Chip(load_cabling())), shots=shots)


FLIP_IF_1 = "set_cond 1,1,0,40\nplay 2,3,40"


@pytest.mark.parametrize("way", ["laid out", "stepwise"])
def test_a_conditional_flip_resets_the_qubit(
    way: str, make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was in 1 and was read as 1 ends in 0; what is left is what the readout missed, and relaxation."""
    shots = 4000 if way == "laid out" else 150
    if way == "stepwise":
        monkeypatch.setattr(performance, "score_with_conditions", lambda *_: None)
    made = desk(make_bench, shots=shots)
    made.drive(0, FLIP_IF_1, spent=40)
    made.read(0, address=1)
    assert {state.split(";")[0] for state in made.bench.run("1.0", "6.0")} == {"OKAY"}
    before, after = made.bits(0).mean(axis=0)
    errors = values(0)
    assert before > 0.93
    missed = (1 - before) + errors.prob_meas1_prep0
    assert after == pytest.approx(missed, abs=0.02 + 5 * np.sqrt(missed / shots))


def test_a_flip_without_a_condition_undoes_the_reset(make_bench: Callable[..., Bench]) -> None:
    made = desk(make_bench, shots=2000)
    made.drive(0, "play 2,3,40", spent=40, prepare=0.5)
    made.read(0, address=1)
    made.bench.run("1.0", "6.0")
    bits = made.bits(0)
    assert 0.45 < bits[:, 0].mean() < 0.55
    assert np.mean(bits[:, 0] != bits[:, 1]) > 0.9


def test_the_state_after_a_readout_agrees_with_what_it_found(make_bench: Callable[..., Bench]) -> None:
    """Half of the shots are in 1. The flip that follows a 1 leaves 0 everywhere; relaxation goes on during readout."""
    made = desk(make_bench, shots=4000)
    made.drive(0, FLIP_IF_1, spent=40, prepare=0.5)
    made.read(0, address=1)
    made.bench.run("1.0", "6.0")
    first, second = made.bits(0).T
    assert 0.45 < first.mean() < 0.55
    assert second.mean() < 0.07
    assert second[~first].mean() == pytest.approx(values(0).prob_meas1_prep0 + 0.01, abs=0.03)


def test_a_flip_by_the_parity_of_two_readouts(make_bench: Callable[..., Bench]) -> None:
    """q0 and q1 are each in an equal superposition; q1 is flipped if they differ, so they agree afterwards."""
    made = desk(make_bench, shots=4000)
    made.act += 252
    made.again += 252
    made.drive(0, "wait 40", spent=40, prepare=0.5)
    made.drive(1, "set_cond 1,6,4,40\nplay 2,3,40", spent=40, prepare=0.5)
    made.read(0, address=2)
    made.read(1, address=3, late=252)
    states = made.bench.run("1.0", "1.1", "6.0", "6.1")
    assert {state.split(";")[0] for state in states} == {"OKAY"}
    (table,) = made.bench.cluster.played
    assert len(table.conditions) == 1
    first, second = made.bits(0), made.bits(1)
    assert 0.4 < np.mean(first[:, 0] != second[:, 0]) < 0.6
    assert np.mean(first[:, 1] == second[:, 1]) > 0.85


def test_groups_of_shots_agree_with_all_at_once(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubitd.emulator.chip.chip.MOST_NUMBERS", 100 * 5**5)
    made = desk(make_bench, shots=1000)
    made.drive(0, FLIP_IF_1, spent=40, prepare=0.5)
    made.read(0, address=1)
    made.bench.run("1.0", "6.0")
    first, second = made.bits(0).T
    assert 0.43 < first.mean() < 0.57
    assert second.mean() < 0.08
