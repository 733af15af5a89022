"""What becomes of a value: written, confirmed, or measured again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qubitd.calibration.curve import Curve
from qubitd.calibration.errors import NotAcceptedError
from qubitd.calibration.experiment import Analysis, Axis, Estimate
from qubitd.calibration.fit import Decay, fit_curve
from qubitd.calibration.measurement import Measurement
from qubitd.calibration.write_back import Change, changes, disagreements, is_jump
from qubitd.core.discriminator import Discriminator
from qubitd.core.snapshot import Parameter, Snapshot

X = np.linspace(0, 1, 10)
CURVE = Curve(x=X, y=np.exp(-3 * X), sigma=np.full(10, 0.01))
MEASUREMENT = Measurement(
    experiment="t1",
    qubit="q0",
    run="job-9",
    backend="line5",
    revision=1,
    measured_at=1234,
    discriminator=Discriminator(rotation=0, threshold=0),
    x=X,
    iq=np.zeros((10, 10), dtype=np.complex64),
)


def analysis(value: float, stderr: float = 1.0, spec: float = 8.0) -> Analysis:
    estimate = Estimate(name="q0.t1", value=value, stderr=stderr, unit="s", spec=spec)
    return Analysis(
        title="T1 of q0",
        axis=Axis(title="delay", unit="s"),
        curve=CURVE,
        fit=fit_curve(Decay(), CURVE),
        estimates=(estimate,),
        reasons=(),
    )


def snapshot(value: float = 100.0) -> Snapshot:
    old = Parameter(name="q0.t1", value=value, unit="s", source="file")
    return Snapshot(revision=1, parent=0, author="file", message="", created_at=0, parameters={"q0.t1": old})


def only(found: Analysis, known: Snapshot) -> Change:
    (change,) = changes(found, MEASUREMENT, known)
    return change


def test_a_value_that_moved_is_written_with_its_error_and_run() -> None:
    change = only(analysis(103.1), snapshot())
    assert not change.is_confirmation
    assert change.new == Parameter(
        name="q0.t1", value=103.1, unit="s", stderr=1.0, measured_at=1234, run="job-9", source="t1"
    )


@pytest.mark.parametrize(("value", "stderr", "spec"), [(102.9, 1.0, 8.0), (101.9, 0.1, 8.0), (98.1, 0.1, 8.0)])
def test_a_value_within_its_noise_or_tolerance_is_confirmed(value: float, stderr: float, spec: float) -> None:
    change = only(analysis(value, stderr, spec), snapshot())
    assert change.is_confirmation
    assert change.new.value == 100.0
    assert (change.new.stderr, change.new.measured_at, change.new.run) == (stderr, 1234, "job-9")


def test_a_parameter_without_a_value_gets_one() -> None:
    empty = Snapshot(revision=1, parent=0, author="file", message="", created_at=0, parameters={})
    change = only(analysis(100.0), empty)
    assert change.old is None
    assert not change.is_confirmation
    assert not is_jump(analysis(100.0), empty)


def test_a_refused_analysis_changes_nothing() -> None:
    refused = replace(analysis(103.1), reasons=("too short",))
    with pytest.raises(NotAcceptedError, match="T1 of q0 was not accepted: too short"):
        changes(refused, MEASUREMENT, snapshot())


def test_a_large_jump_asks_for_a_second_measurement() -> None:
    assert is_jump(analysis(121.0), snapshot())
    assert not is_jump(analysis(119.0), snapshot())


def test_two_measurements_must_agree_within_three_errors() -> None:
    assert disagreements(analysis(120.0), analysis(124.2)) == ()
    (reason,) = disagreements(analysis(120.0), analysis(124.3))
    assert reason == "q0.t1 was 120 and then 124.3 s; two measurements may differ by 4.2"
