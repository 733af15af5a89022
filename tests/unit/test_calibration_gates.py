"""The gate refuses by name whatever makes a value untrustworthy, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qubitd.calibration.fit import Fit, Oscillation
from qubitd.calibration.gates import Evidence, Limits, refusals

RESIDUALS = np.array([0.5, -0.7, 1.2, -0.1, -0.9, 0.3, 0.8, -1.1, 0.2, -0.4] * 4)
FIT = Fit(
    model=Oscillation(),
    theta=2.5,
    stderr=0.003,
    coefficients=np.array([0.5, -0.45, 0.0]),
    chi2=36.0,
    dof=36,
    significance=5000.0,
    residuals=RESIDUALS,
    kept=np.ones(40, dtype=np.bool_),
)
EVIDENCE = Evidence(
    quantity="a_pi",
    unit="V",
    value=0.2,
    stderr=0.0002,
    extent=2.25,
    extent_name="periods",
    sweep=(0.0, 0.9),
    fit=FIT,
)
LIMITS = Limits(spec=0.001, least=0.05, most=0.9, extent=0.7)


def test_good_evidence_is_accepted() -> None:
    assert refusals(EVIDENCE, LIMITS) == ()


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (replace(EVIDENCE, stderr=0.00034), "a_pi is uncertain by 0.00034 V, at most 0.000333"),
        (replace(EVIDENCE, extent=0.69), "too short: 0.69 periods, at least 0.7"),
        (replace(EVIDENCE, value=0.089), "a_pi = 0.089 V lies in the outer tenth of the sweep"),
        (replace(EVIDENCE, value=0.82), "outer tenth"),
        (replace(EVIDENCE, fit=replace(FIT, significance=30.0)), "do not differ from a constant"),
        (replace(EVIDENCE, fit=replace(FIT, chi2=36 * 1.943)), "does not describe the data"),
        (replace(EVIDENCE, fit=replace(FIT, residuals=np.sort(RESIDUALS))), "neighbouring points err alike"),
    ],
)
def test_one_violated_condition_gives_one_reason(evidence: Evidence, reason: str) -> None:
    (only,) = refusals(evidence, LIMITS)
    assert reason in only


def test_an_impossible_value_is_refused() -> None:
    (only,) = refusals(EVIDENCE, replace(LIMITS, least=0.21))
    assert only == "a_pi = 0.2 V is outside what is possible (0.21 to 0.9)"


def test_every_reason_is_named() -> None:
    wrong = replace(EVIDENCE, stderr=1.0, extent=0.1, value=0.01, fit=replace(FIT, significance=1.0))
    assert len(refusals(wrong, LIMITS)) == 5


@pytest.mark.parametrize("wrong", [{"stderr": float("inf")}, {"value": float("nan")}])
def test_a_value_that_is_not_finite_is_refused(wrong: dict[str, float]) -> None:
    (only,) = refusals(replace(EVIDENCE, **wrong), LIMITS)  # type: ignore[arg-type]  # a dict of floats
    assert "do not determine a_pi" in only


def test_dropped_points_do_not_count_in_the_runs_test() -> None:
    kept = np.arange(40) < 20
    alternating = np.where(kept, RESIDUALS, 1.0)
    assert refusals(replace(EVIDENCE, fit=replace(FIT, residuals=alternating, kept=kept)), LIMITS) == ()
