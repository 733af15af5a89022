"""Device files: what a lab writes becomes a device with first values, or every problem with its dotted path."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from qubitd.compiler.device_file import DeviceFile, load_device, packaged_devices, read_device
from qubitd.core.device import (
    AcquireStep,
    Affine,
    CompositeGate,
    PlayStep,
    PulseGate,
    Reference,
    ShiftPhaseStep,
)
from qubitd.core.errors import InvalidDeviceError
from qubitd.core.properties import target_properties

TWO = """
name = "two"
description = "Two qubits"
[limits]
shots = 1000
circuits = 10
[qubits.q0]
frequency = 5e9
t1 = 20e-6
t2 = 30e-6
sx.duration = 20e-9
sx.amplitude = 0.1
sx.error = 1e-3
flux.offset = { value = 0.3, unit = "V" }
[qubits.q1]
sx.duration = 30e-9
[pairs.q0_q1]
pulsed = "q1"
cz.duration = 60e-9
cz.amplitude = -0.4
[gates.rz]
on = "qubits"
angles = ["theta"]
duration = 0.0
error = 0.0
steps = [{ shift_phase = "theta" }]
[gates.sx]
on = "qubits"
duration = "sx.duration"
error = "sx.error"
steps = [{ play = "cosine", line = "drive", length = "sx.duration", amplitude = "sx.amplitude" }]
[gates.cz]
on = "pairs"
symmetric = true
duration = "cz.duration"
error = "cz.error"
steps = [{ play = "square", line = "flux", qubit = "pulsed", length = "cz.duration", amplitude = "cz.amplitude" }]
[gates.u]
on = "qubits"
angles = ["theta", "phi", "lambda_"]
error = "u.error"
body = [
  { gate = "rz", angles = ["lambda_"] },
  { gate = "sx" },
  { gate = "rz", angles = ["theta + pi"] },
  { gate = "sx" },
  { gate = "rz", angles = ["phi - pi"] },
]
[gates.cx]
on = [["q0", "q1"]]
error = 0.01
definition = "gate cx c, t { h t; cz c, t; h t; }"
body = [
  { gate = "u", qubits = [1], angles = ["pi/2", 0, "pi"] },
  { gate = "cz" },
  { gate = "u", qubits = [1], angles = ["pi/2", 0, "pi"] },
]
"""


def read(text: str) -> DeviceFile:
    return read_device(text.encode(), where="two.toml")


def problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidDeviceError) as refused:
        read(text)
    return {problem.where.removeprefix("two.toml: "): problem.what for problem in refused.value.problems}


def changed(*changes: tuple[str, str]) -> dict[str, str]:
    text = TWO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return problems(text)


def test_a_file_gives_qubits_couplers_limits_and_gates() -> None:
    device = read(TWO).device
    assert (device.name, device.description) == ("two", "Two qubits")
    assert (device.max_shots, device.max_circuits) == (1000, 10)
    assert device.qubits == ("q0", "q1")
    assert (device.couplers[0].qubits, device.couplers[0].pulsed) == ((0, 1), 1)
    assert list(device.gates) == ["rz", "sx", "cz", "u", "cx"]


def test_steps_name_parameters_and_angles() -> None:
    gates = read(TWO).device.gates
    rz, sx, cz = gates["rz"], gates["sx"], gates["cz"]
    assert isinstance(rz, PulseGate)
    assert isinstance(sx, PulseGate)
    assert isinstance(cz, PulseGate)
    assert rz.steps == (ShiftPhaseStep(operand=0, phase=Affine(constant=0.0, terms=(("theta", 1.0),))),)
    assert sx.steps == (
        PlayStep(
            line="drive",
            operand=0,
            envelope="cosine",
            length=Reference(name="sx.duration"),
            amplitude=Reference(name="sx.amplitude"),
        ),
    )
    assert sx.operands == ((0,), (1,))
    assert cz.symmetric
    assert cz.operands == ((0, 1), (1, 0))


def test_a_composite_gate_has_a_body_with_angle_expressions() -> None:
    gates = read(TWO).device.gates
    u, cx = gates["u"], gates["cx"]
    assert isinstance(u, CompositeGate)
    assert isinstance(cx, CompositeGate)
    assert u.body[2].angles[0].terms == (("theta", 1.0),)
    assert cx.operands == ((0, 1),)
    assert cx.body[0].operands == (1,)
    assert cx.body[1].operands == (0, 1)
    assert cx.meaning.definition.startswith("gate cx")


def test_first_values_have_the_unit_of_their_kind_or_the_one_they_are_given_with() -> None:
    values = {p.name: p for p in read(TWO).first_values}
    assert (values["q0.t1"].value, values["q0.t1"].unit, values["q0.t1"].source) == (20e-6, "s", "file")
    assert values["q0.sx.amplitude"].unit == ""
    assert (values["q0.flux.offset"].value, values["q0.flux.offset"].unit) == (0.3, "V")
    assert values["q0_q1.cz.amplitude"].value == -0.4
    assert values["q0.t1"].stderr is None
    assert values["q0.t1"].measured_at is None


def test_the_digest_is_that_of_the_bytes() -> None:
    assert read(TWO).digest == hashlib.sha256(TWO.encode()).hexdigest()


def test_the_snapshot_of_a_file_is_revision_1() -> None:
    snapshot = read(TWO).snapshot()
    assert (snapshot.revision, snapshot.parent, snapshot.author) == (1, 0, "file")
    assert snapshot.value("q0.sx.amplitude") == 0.1


def test_line5_is_complete() -> None:
    file = load_device("line5")
    rows = target_properties(file.device, file.snapshot()).operations
    names = [row.name for row in rows]
    counted = {name: names.count(name) for name in names}
    assert counted == {"rz": 5, "sx": 5, "x": 5, "sy": 5, "id": 5, "cz": 8, "measure": 5, "reset": 5, "delay": 5}
    assert all(row.error is not None for row in rows if row.name not in ("reset", "delay"))
    measure = file.device.gates["measure"]
    assert isinstance(measure, PulseGate)
    assert any(isinstance(step, AcquireStep) for step in measure.steps)


def test_line5_is_packaged_and_can_be_read_from_a_path(tmp_path: Path) -> None:
    assert "line5" in packaged_devices()
    path = tmp_path / "my chip.toml"
    path.write_text(TWO, encoding="utf-8")
    assert load_device(str(path)).device.name == "two"


def test_an_unknown_name_lists_the_packaged_devices() -> None:
    with pytest.raises(InvalidDeviceError, match=r"line6: no such device or file; packaged devices are .*line5"):
        load_device("line6")


def test_a_folder_is_no_device_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidDeviceError, match="cannot be read: Is a directory"):
        load_device(str(tmp_path))


@pytest.mark.parametrize("data", [b"name = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused_with_the_place(data: bytes) -> None:
    with pytest.raises(InvalidDeviceError, match=r"two\.toml: is no TOML file in UTF-8"):
        read_device(data, where="two.toml")


def test_an_empty_file_lacks_everything() -> None:
    found = problems("")
    assert {"qubits", "limits", "name", "description", "gates", "limits.shots"} <= set(found)


def test_all_problems_are_reported_at_once() -> None:
    found = changed(
        ("shots = 1000", "shots = 0"),
        ("t2 = 30e-6", "t2 = 41e-6"),
        ("frequency = 5e9", "frequency = 5.0"),
        ('pulsed = "q1"', 'pulsed = "q2"'),
        ("sx.amplitude = 0.1", "sx.amplitude = nan"),
        ('play = "cosine"', 'play = "sawtooth"'),
    )
    assert set(found) >= {
        "limits.shots",
        "qubits.q0.t2",
        "qubits.q0.frequency",
        "pairs.q0_q1.pulsed",
        "qubits.q0.sx.amplitude",
        "gates.sx.steps[0].play",
    }


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ('name = "two"', 'name = "a_b"', "name", "no name for a device"),
        ('name = "two"', "name = 2", "name", "must be text, not 2"),
        ('name = "two"', 'name = "two"\nowner = "me"', "owner", "unknown key; known here are .*gates"),
        ("shots = 1000", "shots = 1.5", "limits.shots", "must be a whole number"),
        ("shots = 1000", "shots = true", "limits.shots", "must be a whole number"),
        ("circuits = 10", "circuits = 10\nqubits = 2", "limits.qubits", "unknown key"),
        ("[qubits.q1]", "[qubits.q_1]", "qubits.q_1", "no name for a qubit"),
        ("t1 = 20e-6", "t1 = '20e-6'", "qubits.q0.t1", "must be a finite number"),
        ("t1 = 20e-6", f"t1 = 1{'0' * 400}", "qubits.q0.t1", "must be a finite number"),
        ("t1 = 20e-6", "t1 = inf", "qubits.q0.t1", "must be a finite number"),
        ("t1 = 20e-6", "t3 = 20e-6", "qubits.q0.t3", "unknown key: no gate uses it"),
        ("sx.amplitude = 0.1", "sx.amplitud = 0.1", "qubits.q0.sx.amplitud", "unknown key"),
        ("sx.amplitude = 0.1", "sx.phase = 0.1", "qubits.q0.sx.phase", "unknown key"),
        ("sx.amplitude = 0.1", "sx.amplitude = 1.1", "qubits.q0.sx.amplitude", "outside -1 to 1"),
        ("sx.error = 1e-3", "sx.error = 1.1", "qubits.q0.sx.error", "outside 0 to 1"),
        ("sx.duration = 20e-9", "sx.duration = 20.5e-9", "qubits.q0.sx.duration", "whole number of 1 ns"),
        ("sx.duration = 20e-9", "sx.duration = 0.0", "qubits.q0.sx.duration", "outside"),
        ("sx.duration = 30e-9", "", "q1.sx.duration", "is missing"),
        ('unit = "V" }', "unit = 1 }", "qubits.q0.flux.offset", "must be a finite number"),
        ("value = 0.3,", "value = 0.3, stderr = 0.1,", "qubits.q0.flux.offset", "must be a finite number"),
        ("[pairs.q0_q1]", "[pairs.q1_q0]", "pairs.q1_q0", "in their order"),
        ("[pairs.q0_q1]", "[pairs.q0_q7]", "pairs.q0_q7", "must be two qubits"),
        ("[gates.rz]", "[gates.barrier]", "gates.barrier", "no name for a gate"),
        ('angles = ["theta"]', 'angles = ["pi"]', "gates.rz.angles", "'pi' is no name"),
        ('angles = ["theta"]', "angles = [1]", "gates.rz.angles", "texts only"),
        ('angles = ["theta"]', 'angles = "theta"', "gates.rz.angles", "must be a list"),
        ('shift_phase = "theta"', 'shift_phase = "theta**2"', "gates.rz.steps[0].shift_phase", "added"),
        ('shift_phase = "theta"', 'shift_phase = "a+b"', "gates.rz.steps[0].shift_phase", "unknown name 'a'"),
        ('shift_phase = "theta"', 'turn = "theta"', "gates.rz.steps[0]", "one of the keys"),
        ('{ shift_phase = "theta" }', "3", "gates.rz.steps[0]", "must be a table"),
        (
            '{ shift_phase = "theta" }',
            '{ shift_phase = "theta", qubit = 1 }',
            "gates.rz.steps[0].qubit",
            "limits are 0 to 0",
        ),
        ("duration = 0.0", "duration = nan", "gates.rz.duration", "finite number"),
        ("duration = 0.0", 'duration = "theta"', "gates.rz.duration", "cannot depend on an angle"),
        ("error = 0.0", "", "gates.rz.error", "is missing"),
        ('line = "drive"', 'line = "dc"', "gates.sx.steps[0].line", "known are drive, flux, readout"),
        ('play = "cosine"', 'play = "drag"', "gates.sx.steps[0].sigma", "is missing"),
        ('line = "flux"', 'line = "flux", phase = "pi"', "gates.cz.steps[0].phase", "has no carrier"),
        ('line = "drive"', 'line = "drive", colour = 1', "gates.sx.steps[0].colour", "unknown key"),
        ('line = "drive"', 'line = "drive", qubit = "pulsed"', "gates.sx.steps[0].qubit", "coupled pair"),
        ("symmetric = true", "symmetric = 1", "gates.cz.symmetric", "true or false"),
        ('on = "pairs"', 'on = "all"', "gates.cz.on", 'must be "qubits", "pairs"'),
        ('on = [["q0", "q1"]]', 'on = [["q0", "q0"]]', "gates.cx.on", "different qubits"),
        ('on = [["q0", "q1"]]', 'on = [["q0", "q1"], ["q0"]]', "gates.cx.on", "as many"),
        ('gate = "cz" }', 'gate = "cy" }', "gates.cx.body[1]", "unknown gate 'cy'; known are"),
        ('gate = "cz" }', 'gate = "cx" }', "gates.cx.body", "contains itself"),
        ('gate = "cz" }', 'gate = "cz", qubits = [0, 2] }', "gates.cx.body[1].qubits", "0 to 1"),
        ('gate = "cz" }', 'gate = "cz", qubits = [0, 0] }', "gates.cx.body[1]", "one qubit twice"),
        ('gate = "cz" }', 'gate = "cz", qubits = [0] }', "gates.cx.body[1]", "does not exist on q0"),
        ('angles = ["lambda_"] }', "angles = [] }", "gates.u.body[0]", "takes 1 angles, not 0"),
        ('angles = ["lambda_"] }', 'angles = "lambda_" }', "gates.u.body[0].angles", "must be a list"),
    ],
)
def test_a_problem_is_named_with_its_path(old: str, new: str, where: str, what: str) -> None:
    found = changed((old, new))
    assert re.search(what, found[where])


def test_a_pulse_longer_than_its_gate_is_refused() -> None:
    found = changed(('length = "cz.duration"', "length = 61e-9"))
    assert found == {
        "cz on q0_q1": "a pulse of 61 ns does not fit cz on q0_q1, which takes 60 ns; make the gate's duration longer"
    }


def test_a_composite_gate_holds_no_measurement() -> None:
    measure = """
[gates.measure]
on = "qubits"
duration = 1e-6
steps = [{ acquire = 400e-9, delay = 0.0 }]
"""
    found = problems(TWO.replace('{ gate = "cz" }', '{ gate = "measure", qubits = [0] }') + measure)
    assert "is a measurement" in found["gates.cx.body[1]"]
