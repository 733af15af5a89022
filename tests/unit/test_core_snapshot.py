"""Snapshots never change, and equal digests mean equal parameters."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from qubitd.core.errors import InvalidCalibrationError
from qubitd.core.snapshot import Parameter, Snapshot, parameters_digest

T1 = Parameter(name="q0.t1", value=28e-6, unit="s", stderr=1e-6, measured_at=5, run="j1", source="t1")
AMPLITUDE = Parameter(name="q0.x.amplitude", value=0.2, unit="")


def snapshot(*parameters: Parameter) -> Snapshot:
    named = {parameter.name: parameter for parameter in parameters}
    return Snapshot(revision=3, parent=2, author="ann", message="why", created_at=7, parameters=named)


def test_a_value_is_given_by_name() -> None:
    assert snapshot(T1, AMPLITUDE).value("q0.t1") == 28e-6
    assert "q0.t1" in snapshot(T1)


def test_an_unknown_parameter_is_named_with_the_revision() -> None:
    with pytest.raises(InvalidCalibrationError, match=r"q9\.t1: no such parameter at revision 3"):
        snapshot(T1).value("q9.t1")


def test_the_order_of_parameters_does_not_change_the_digest() -> None:
    assert snapshot(T1, AMPLITUDE).digest == snapshot(AMPLITUDE, T1).digest
    assert list(snapshot(AMPLITUDE, T1).parameters) == ["q0.t1", "q0.x.amplitude"]


@pytest.mark.parametrize(
    "changed",
    [
        replace(T1, value=28.000000000000004e-6),
        replace(T1, unit="us"),
        replace(T1, stderr=None),
        replace(T1, stderr=2e-6),
        replace(T1, measured_at=None),
        replace(T1, run="j2"),
        replace(T1, source="file"),
        replace(T1, name="q1.t1"),
    ],
)
def test_every_field_changes_the_digest(changed: Parameter) -> None:
    assert parameters_digest({changed.name: changed}) != parameters_digest({"q0.t1": T1})


def test_parameters_cannot_be_changed() -> None:
    parameters = {"q0.t1": T1}
    before = snapshot(*parameters.values())
    parameters["q0.t1"] = replace(T1, value=1e-6)
    assert before.value("q0.t1") == 28e-6
    with pytest.raises(TypeError):
        before.parameters["q0.t1"] = T1  # type: ignore[index]  # what the test is about
    with pytest.raises(FrozenInstanceError):
        before.revision = 4  # type: ignore[misc]  # what the test is about


def test_swept_values_replace_values_and_nothing_else() -> None:
    swept = snapshot(T1, AMPLITUDE).with_values({"q0.x.amplitude": 0.3})
    assert swept.value("q0.x.amplitude") == 0.3
    assert swept.parameters["q0.t1"] is T1
    assert (swept.revision, swept.parent, swept.author) == (3, 2, "ann")
    assert swept.digest != snapshot(T1, AMPLITUDE).digest


def test_a_sweep_of_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(InvalidCalibrationError, match=r"q0\.y\.amplitude"):
        snapshot(T1).with_values({"q0.y.amplitude": 0.3})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_and_errors_are_finite(value: float) -> None:
    with pytest.raises(InvalidCalibrationError, match=r"q0\.t1: value"):
        Parameter(name="q0.t1", value=value, unit="s")
    with pytest.raises(InvalidCalibrationError, match=r"q0\.t1: stderr"):
        Parameter(name="q0.t1", value=1.0, unit="s", stderr=value)


def test_a_negative_standard_error_is_refused() -> None:
    with pytest.raises(InvalidCalibrationError, match="stderr -1"):
        replace(T1, stderr=-1.0)
