"""The cabling file: the packaged one holds the truth, and a wrong one is refused by dotted path, limit and value."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from qubitd.core.errors import QubitdError
from qubitd.emulator.cabling import Cabling, load_cabling
from qubitd.emulator.errors import InvalidCablingError

PACKAGED = files("qubitd.emulator").joinpath("cablings/line5.toml").read_text(encoding="utf-8")

REFERENCE = "reference_attenuation_db"


def read(text: str, folder: Path) -> Cabling:
    path = folder / "cabling.toml"
    path.write_text(text, encoding="utf-8")
    return load_cabling(path)


def replaced(old: str, new: str) -> str:
    assert old in PACKAGED
    return PACKAGED.replace(old, new, 1)


def test_the_packaged_file_wires_the_demo_rack() -> None:
    cabling = load_cabling()
    assert dict(cabling.slots) == {1: "QCM-RF", 2: "QCM-RF", 3: "QCM-RF", 4: "QCM", 5: "QCM", 6: "QRM-RF"}
    wires = {cable.port: cable.line for cable in cabling.cables}
    assert wires["slot2.out1"] == "q3.drive"
    assert wires["slot5.out0"] == "q4.flux"
    assert wires["slot6.out0"] == wires["slot6.in0"] == "feedline"
    assert len(wires) == 12
    assert cabling.cable_at("slot5.out1") is None


def test_the_packaged_file_holds_the_five_qubits_in_line() -> None:
    chip = load_cabling().chip
    assert [qubit.frequency for qubit in chip.qubits] == [6.05e9, 5.25e9, 4.55e9, 5.35e9, 6.15e9]
    assert [(pair.pulsed, pair.partner) for pair in chip.pairs] == [(0, 1), (1, 2), (3, 2), (4, 3)]
    assert chip.passive_reset == 5 * max(round(qubit.t1 * 1e9) for qubit in chip.qubits)
    assert chip.qubits[0].t2 == pytest.approx(1 / (1 / 56e-6 + 1 / 50e-6))
    assert all(qubit.t2 < 2 * qubit.t1 for qubit in chip.qubits)
    assert chip.index("q3") == 3


def test_t2_may_stand_for_tphi(tmp_path: Path) -> None:
    cabling = read(replaced("tphi = 50e-6 # pure dephasing; `t2` may be given instead", "t2 = 20e-6"), tmp_path)
    assert cabling.chip.qubits[0].t2 == pytest.approx(20e-6)


def test_slow_noise_shortens_t2_star(tmp_path: Path) -> None:
    quiet = read(PACKAGED, tmp_path).chip.qubits[0]
    assert quiet.t2_star == pytest.approx(quiet.t2)
    noisy = replace(quiet, frequency_noise=20e3)
    frequencies = np.random.default_rng(1).normal(scale=20e3, size=100_000)
    fringe = np.exp(-noisy.t2_star / noisy.t2) * np.cos(2 * np.pi * frequencies * noisy.t2_star).mean()
    assert fringe == pytest.approx(1 / np.e, abs=0.005)


def test_attenuation_and_loss_scale_the_amplitude(tmp_path: Path) -> None:
    cable = read(
        replaced(
            'to = "q0.drive"\nreference_attenuation_db = 20.0',
            'to = "q0.drive"\nreference_attenuation_db = 20\nloss_db = 6',
        ),
        tmp_path,
    ).cables[0]
    assert cable.gain(14.0) == pytest.approx(1.0)
    assert cable.gain(34.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("t1 = 28e-6", "t1 = -28e-6", "qubit.q0.t1", "above 0 s, is -2.8e-05"),
        ("t1 = 28e-6", 't1 = "long"', "qubit.q0.t1", "must be a number in s, is 'long'"),
        ("t1 = 28e-6", "t1 = true", "qubit.q0.t1", "must be a number in s, is True"),
        ("t1 = 28e-6", "t1 = inf", "qubit.q0.t1", "finite"),
        ("t1 = 28e-6\n", "", "qubit.q0.t1", "is missing"),
        ("tphi = 70e-6", "t2 = 90e-6", "qubit.q1.t2", "below 6.8e-05 s, is 9e-05"),
        ("tphi = 70e-6", "tphi = 70e-6\nt2 = 20e-6", "qubit.q1.t2", "give one of them"),
        ("frequency = 6.05e9", "frequency = 6.05", "qubit.q0.frequency", "at least 1e+09"),
        ("anharmonicity = -280e6", "anharmonicity = 280e6", "qubit.q0.anharmonicity", "is 2.8e+08"),
        ("tphi = 70e-6", "tphi = 70e-6\nfrequency_noise = -1.0", "qubit.q1.frequency_noise", "at least 0"),
        ('to = "q0.drive"\n', 'to = "q0.drive"\nlo_error = 2e8\n', "cable[0].lo_error", "at most 1e+08"),
        ('to = "q0.flux"\n', 'to = "q0.flux"\nlo_error = 1.0\n', "cable[5].lo_error", "at most 0"),
        ('to = "feedline"\n', 'to = "feedline"\nlo_error = 1.0\n', "cable[10].lo_error", "at most 0"),
        ("asymmetry = 0.35", "asymmetry = 1.5", "qubit.q0.asymmetry", "below 1, is 1.5"),
        ("resonator.chi = -1.70e6", "resonator.xi = -1.70e6", "qubit.q0.resonator.xi", "not a known key"),
        ("resonator.linewidth = 4.6e6", "resonator.linewidth = 0", "qubit.q0.resonator.linewidth", "above 0 Hz"),
        ("coupling = 6.1e6", "coupling = 0.0", "pair.q1_q2.coupling", "above 0 Hz, is 0"),
        ("[pair.q1_q2]", "[pair.q1_q9]", "pair.q1_q9", "must name two of the qubits q0, q1"),
        ("[pair.q1_q2]", "[pair.q1]", "pair.q1", "must name two of the qubits"),
        ('pulsed = "q1"', 'pulsed = "q0"', "pair.q1_q2.pulsed", "must be q1 or q2, is 'q0'"),
        ('pulsed = "q1"', "pulsed = 1", "pair.q1_q2.pulsed", "must be text, is 1"),
        ('1 = "QCM-RF"', '1 = "QCX"', "cluster.slots.1", "must be one of QCM, QCM-RF, QRM, QRM-RF"),
        ('1 = "QCM-RF"', '21 = "QCM-RF"', "cluster.slots.21", "slots 1 to 20"),
        ("[cluster.slots]", "[cluster.slots]\n[cluster.rack]", "cluster.rack", "not a known key"),
        ('to = "q0.drive"', 'to = "q7.drive"', "cable[0].to", "no line of the chip: 'q7.drive'"),
        ('to = "q0.drive"', 'to = "q0.flux"', "cable[0].to", "q0.flux cannot hang on an RF connector"),
        ('to = "q0.flux"', 'to = "q0.drive"', "cable[5].to", "q0.drive cannot hang on a baseband connector"),
        ('from = "slot1.out0"', 'from = "slot1.out2"', "cable[0].from", "a QCM-RF has 2 connectors"),
        ('from = "slot1.out0"', 'from = "slot9.out0"', "cable[0].from", "slot 9, which holds no module"),
        ('from = "slot1.out0"', 'from = "slot1.0"', "cable[0].from", "must be a connector such as slot1.out0"),
        ('from = "slot1.out1"', 'from = "slot1.out0"', "cable[1]", "slot1.out0 has 2 cables"),
        ('to = "q1.drive"', 'to = "q0.drive"', "cable[1]", "q0.drive has 2 cables"),
        ('to = "slot6.in0"', 'to = "slot6.in1"', "cable[11].to", "a QRM-RF has 1 connectors"),
        ('from = "feedline"', 'from = "q0.drive"', "cable[11].from", "no line of the chip"),
        ("delay = 200e-9", "delay = 200.5e-9", "cable[11].delay", "whole number of nanoseconds, is 200.5 ns"),
        ("delay = 200e-9", "delay = -1e-9", "cable[11].delay", "at least 0"),
        ("delay = 200e-9", "length = 200e-9", "cable[11].length", "not a known key; known here: delay, from"),
        (f"{REFERENCE} = 20.0", f"{REFERENCE} = 99", f"cable[0].{REFERENCE}", "at most 60 dB, is 99"),
        (f"{REFERENCE} = 20.0\n", "", f"cable[0].{REFERENCE}", "is missing"),
        ('to = "q0.flux"', f'to = "q0.flux"\n{REFERENCE} = 3', f"cable[5].{REFERENCE}", "at most 0 dB, is 3"),
        ("passive_reset = 210e-6", "passive_reset = 0.0", "chip.passive_reset", "at least 1e-09 and at most 1 s, is 0"),
        ("efficiency = 0.3", "efficiency = 1.3", "feedline.efficiency", "at most 1, is 1.3"),
        ("[feedline]", "[feeder]", "feedline", "is missing"),
        ("[feedline]", "[feeder]", "feeder", "not a known key"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_by_its_dotted_path(tmp_path: Path, old: str, new: str, where: str, what: str) -> None:
    with pytest.raises(InvalidCablingError) as refused:
        read(replaced(old, new), tmp_path)
    found = [problem for problem in refused.value.problems if problem.where == where]
    assert found, str(refused.value)
    assert any(what in problem.what for problem in found), str(refused.value)


def test_all_faults_of_a_file_are_reported_together(tmp_path: Path) -> None:
    text = (
        replaced("t1 = 28e-6", "t1 = 0")
        .replace("efficiency = 0.3", "efficiency = 0")
        .replace("[chip]", "[chip]\nx = 1")
    )
    with pytest.raises(QubitdError) as refused:
        read(text, tmp_path)
    message = str(refused.value)
    for where in ("qubit.q0.t1", "feedline.efficiency", "chip.x"):
        assert where in message
    assert isinstance(refused.value, InvalidCablingError)
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize("text", ["slots = 3", "cable = 1", "cable = [1]", "[cluster]\nslots = 3\n", "qubit.q0 = 1"])
def test_tables_of_the_wrong_shape_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidCablingError, match=r"must be (a table|an array)|not a known key"):
        read(text, tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCablingError, match=r"missing\.toml: cannot be read"):
        load_cabling(tmp_path / "missing.toml")
    with pytest.raises(InvalidCablingError, match=r"cannot be read.*line 1"):
        read("a = = 1", tmp_path)


def test_swapped_drive_cables_are_a_valid_file(tmp_path: Path) -> None:
    text = PACKAGED.replace('"q0.drive"', '"x"').replace('"q1.drive"', '"q0.drive"').replace('"x"', '"q1.drive"')
    cabling = read(text, tmp_path)
    assert [cable.line for cable in cabling.cables[:2]] == ["q1.drive", "q0.drive"]


def test_the_classroom_chip_is_what_its_device_declares() -> None:
    chip = load_cabling(Path("classroom5")).chip
    assert [q.t1 for q in chip.qubits] == [6e-3, 8e-3, 5e-3, 4e-3, 6e-3]
    assert [q.t2 for q in chip.qubits] == pytest.approx([9e-3, 14e-3, 7e-3, 5e-3, 9e-3])
    assert chip.passive_reset == 5 * 8_000_000
    assert all(q.frequency_noise == 0 for q in chip.qubits)
    for pair in chip.pairs:
        high, low = chip.qubits[pair.pulsed], chip.qubits[pair.partner]
        gap = high.frequency - low.frequency
        zz = 2 * pair.coupling**2 * (1 / (gap + high.anharmonicity) - 1 / (gap - low.anharmonicity))
        assert 0 < zz < 1e3
        assert pair.coupling <= 0.7e6
