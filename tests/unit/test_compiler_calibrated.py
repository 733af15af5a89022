"""Gates with their numbers filled in are kept for the next job at the same calibration, and only for that."""

from __future__ import annotations

from dataclasses import replace

from qubitd.compiler.calibrated import calibrated_gates
from qubitd.compiler.device_file import load_device
from qubitd.compiler.gate_table import GateKey

FILE = load_device("line5")
SX = GateKey(name="sx", operands=(0,))


def test_the_gates_of_one_calibration_are_filled_in_once() -> None:
    first = calibrated_gates(FILE.device, FILE.snapshot()).get(SX)
    assert calibrated_gates(FILE.device, FILE.snapshot()).get(SX) is first


def test_another_value_revision_or_device_has_gates_of_its_own() -> None:
    snapshot = FILE.snapshot()
    gates = calibrated_gates(FILE.device, snapshot)
    others = [
        (FILE.device, snapshot.with_values({"q0.sx.amplitude": 0.2})),
        (FILE.device, replace(snapshot, revision=2)),
        (replace(FILE.device), snapshot),
    ]
    assert all(calibrated_gates(device, calibration) is not gates for device, calibration in others)
    assert calibrated_gates(*others[0]).snapshot.value("q0.sx.amplitude") == 0.2


def test_a_calibration_that_was_not_asked_for_lately_is_let_go() -> None:
    gates = calibrated_gates(FILE.device, FILE.snapshot())
    for revision in range(2, 11):
        calibrated_gates(FILE.device, replace(FILE.snapshot(), revision=revision))
    assert calibrated_gates(FILE.device, FILE.snapshot()) is not gates
