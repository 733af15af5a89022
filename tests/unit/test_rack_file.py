"""Rack files: read into values, every fault named with its dotted path, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from qubitd.drivers.errors import RackFileError
from qubitd.drivers.rack import Ceiling, EmulatorSettings, with_address
from qubitd.drivers.rack_file import load_rack, parse_rack

SMALL = """
name = "bench"
time = "real"

[instruments.cluster]
model = "qblox-cluster"
resource = "TCPIP0::192.168.0.2::5025::SOCKET"
serial = "00015_2134_003"

[instruments.cluster.slots.2]
model = "QCM-RF"
outputs.1 = { lo = 5e9, attenuation_db = 12 }

[lines."q0.drive"]
port = "cluster.slot2.out1"
sequencer = 3
ceiling = { amplitude = 0.5 }
"""


def faults(text: str) -> list[str]:
    with pytest.raises(RackFileError) as caught:
        parse_rack(text, source="my.toml")
    return [str(problem) for problem in caught.value.problems]


def changed(old: str, new: str) -> list[str]:
    assert old in SMALL
    return faults(SMALL.replace(old, new))


def test_rack_file_becomes_values() -> None:
    rack = parse_rack(SMALL, source="my.toml")
    cluster = rack.instruments["cluster"]
    assert (rack.name, rack.time, rack.emulator) == ("bench", "real", None)
    assert (cluster.resource, cluster.serial, cluster.timeout) == (
        "TCPIP0::192.168.0.2::5025::SOCKET",
        "00015_2134_003",
        10.0,
    )
    (slot,) = cluster.slots
    assert (slot.slot, slot.kind, slot.outputs[0].lo, slot.outputs[0].attenuation_db) == (2, "QCM-RF", 5e9, 12)
    line = rack.lines["q0.drive"]
    assert (line.instrument, line.slot, line.output, line.sequencer) == ("cluster", 2, 1, 3)
    assert line.ceiling == Ceiling(amplitude=0.5, mean_power=2, mean=1, slew=3)


def test_built_in_rack_wires_five_qubits_of_an_emulated_cluster() -> None:
    rack = load_rack()
    assert rack.emulator == EmulatorSettings(cabling="line5", control_port=5026)
    assert rack.time == "virtual"
    assert set(rack.lines) == {f"q{qubit}.{kind}" for qubit in range(5) for kind in ("drive", "flux", "readout")}
    assert {rack.lines[f"q{qubit}.readout"].sequencer for qubit in range(5)} == {0, 1, 2, 3, 4}


def test_rack_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "rack.toml"
    path.write_text(SMALL)
    assert load_rack(path) == parse_rack(SMALL, source="x")


def test_missing_file_and_broken_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(RackFileError, match=r"no.toml: cannot be read"):
        load_rack(tmp_path / "no.toml")
    with pytest.raises(RackFileError, match=r"cannot be read"):
        load_rack(tmp_path)
    assert "my.toml: is no TOML" in faults("name = ")[0]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('name = "bench"', "", "my.toml: name: is missing"),
        ('name = "bench"', "name = 3", "my.toml: name: 3 is no string"),
        ('"real"', '"fast"', "my.toml: time: 'fast' is unknown; known are virtual, real"),
        ("serial", "serail", "my.toml: instruments.cluster.serail: unknown key; known here are model, resource"),
        ("qblox-cluster", "awg", "my.toml: instruments.cluster.model: 'awg' is unknown"),
        ("slots.2]", "slots.21]", "my.toml: instruments.cluster.slots.21: is no slot"),
        ('"QCM-RF"', '"QCM-XX"', "my.toml: instruments.cluster.slots.2.model: 'QCM-XX' is unknown"),
        ("lo = 5e9", "lo = 5", "my.toml: instruments.cluster.slots.2.outputs.1.lo: 5 is outside 2e+09 to 1.8e+10"),
        ("lo = 5e9", "lo = nan", "lo: nan is no finite number"),
        ("lo = 5e9", "lo = true", "lo: True is no finite number"),
        ("lo = 5e9", "low = 5e9", "outputs.1.low: unknown key"),
        ("attenuation_db = 12", "attenuation_db = 11", "attenuation_db: 11 dB; the attenuator has steps of 2 dB"),
        ("attenuation_db = 12", "attenuation_db = 1.5", "attenuation_db: 1.5 is no whole number"),
        ("lo = 5e9", "lo = 18_000_000_001", "outputs.1.lo: 18000000001 is outside 2e+09 to 1.8e+10"),
        ("attenuation_db = 12", "attenuation_db = 62", "attenuation_db: 62 is outside 0 to 60"),
        ("outputs.1", "outputs.2", "slots.2.outputs.2: this module has 2 outputs that can be set"),
        ("outputs.1", "inputs.0", "slots.2.inputs.0: this module has 0 inputs that can be set"),
        ("outputs.1 = {", "outputs = 3 #", "slots.2.outputs: is no table"),
        ("slot2.out1", "slot2", "lines.\"q0.drive\".port: 'cluster.slot2' is not of the form instrument.slot1.out0"),
        ("cluster.slot2.out1", "awg.slot2.out1", "port: no instrument 'awg' in this file"),
        ("slot2.out1", "slot3.out1", "port: cluster has no slot 3 in this file"),
        ("slot2.out1", "slot2.out4", "port: a QCM-RF has outputs 0 to 1"),
        ("slot2.out1", "slot2.out0", "port: slot 2 lacks outputs.0 with lo and attenuation_db"),
        ("sequencer = 3", "sequencer = 6", "sequencer: 6 is outside 0 to 5"),
        ("amplitude = 0.5", "amplitude = -1", "ceiling.amplitude: -1 is outside 0 to 1.5"),
        ("amplitude", "amplitud", "ceiling.amplitud: unknown key"),
    ],
)
def test_fault_is_named_with_its_dotted_path(old: str, new: str, fault: str) -> None:
    assert any(fault in found for found in changed(old, new)), changed(old, new)


def test_two_lines_on_one_sequencer_are_refused() -> None:
    twice = SMALL + '\n[lines."q1.drive"]\nport = "cluster.slot2.out1"\nsequencer = 3\n'
    assert faults(twice) == ['my.toml: lines."q1.drive": sequencer 3 of slot 2 already plays q0.drive']


def test_every_fault_is_reported_at_once() -> None:
    text = SMALL.replace("serial", "serail").replace("lo = 5e9", "lo = 5").replace("sequencer = 3", "sequencer = 9")
    assert len(faults(text)) == 3


def test_emulator_section_is_checked() -> None:
    assert "my.toml: emulator.control_port: is missing" in faults(SMALL + '\n[emulator]\ncabling = "line5"\n')
    assert "my.toml: emulator.port: unknown key" in "".join(faults(SMALL + "\n[emulator]\nport = 1\n"))


def test_rack_moves_to_another_host_with_its_ports() -> None:
    moved = with_address(load_rack(), "127.0.0.7")
    assert moved.instruments["cluster"].resource == "TCPIP0::127.0.0.7::5025::SOCKET"
    assert moved.lines == load_rack().lines
