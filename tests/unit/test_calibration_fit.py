"""Fits find what was put in, from any sweep, and say so when the data hold nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.calibration.curve import Curve, runs_z
from qubitd.calibration.errors import InvalidExperimentError
from qubitd.calibration.fit import Decay, Oscillation, fit_curve


def exact(x: NDArray[np.float64], y: NDArray[np.float64], sigma: float = 0.01) -> Curve:
    return Curve(x=x, y=y, sigma=np.full(len(x), sigma))


@pytest.mark.parametrize("periods", [0.5, 1.0, 2.7, 9.3, 18.9])
def test_an_oscillation_is_found_without_a_guess(periods: float) -> None:
    x = np.linspace(3.0, 5.0, 41)
    y = 0.4 + 0.3 * np.cos(2 * np.pi * periods * x / 2.0 + 1.0)
    fit = fit_curve(Oscillation(), exact(x, y))
    assert fit.theta == pytest.approx(periods / 2.0, rel=1e-4)
    assert fit(x) == pytest.approx(y, abs=1e-4)


@pytest.mark.parametrize("decay_times", [0.5, 3.0, 5.0, 15.0])
def test_a_decay_time_is_found_without_a_guess(decay_times: float) -> None:
    x = np.linspace(0, 100e-6, 31)
    y = 0.05 + 0.9 * np.exp(-x / 100e-6 * decay_times)
    fit = fit_curve(Decay(), exact(x, y))
    assert fit.theta == pytest.approx(100e-6 / decay_times, rel=1e-4)
    assert fit.coefficients == pytest.approx([0.05, 0.9], abs=1e-3)


def test_the_standard_error_is_that_of_a_full_least_squares_fit() -> None:
    x = np.linspace(0, 1, 30)
    y = 0.5 - 0.45 * np.cos(2 * np.pi * 1.7 * x)
    fit = fit_curve(Oscillation(), exact(x, y, sigma=0.02))
    angle = 2 * np.pi * 1.7 * x
    jacobian = (
        np.stack([np.ones(30), np.cos(angle), np.sin(angle), 0.45 * 2 * np.pi * x * np.sin(angle)], axis=1) / 0.02
    )
    assert fit.stderr == pytest.approx(np.sqrt(np.linalg.inv(jacobian.T @ jacobian)[3, 3]), rel=1e-3)


def test_a_point_far_outside_is_left_out_and_the_rest_decides() -> None:
    x = np.linspace(0, 1, 41)
    y = 0.5 - 0.45 * np.cos(2 * np.pi * 2 * x)
    y[7] += 0.2
    fit = fit_curve(Oscillation(), exact(x, y, sigma=0.02))
    assert np.flatnonzero(~fit.kept).tolist() == [7]
    assert fit.theta == pytest.approx(2.0, rel=1e-4)
    assert fit.dof == 40 - 4
    assert abs(fit.residuals[7]) > 5


def test_more_than_a_fifth_of_outliers_are_all_kept() -> None:
    x = np.linspace(0, 1, 40)
    y = np.where(np.arange(40) % 3 == 0, 0.9, 0.1)
    assert fit_curve(Decay(), exact(x, y)).kept.all()


def test_a_constant_has_no_significance() -> None:
    fit = fit_curve(Decay(), exact(np.linspace(0, 1, 20), np.full(20, 0.3)))
    assert fit.significance == pytest.approx(0, abs=1e-6)


def test_a_theta_that_nothing_depends_on_has_infinite_error() -> None:
    x = np.linspace(0, 1, 20)
    fit = fit_curve(Decay(), exact(x, np.zeros(20)))
    assert fit.stderr == float("inf")


def test_a_fit_of_too_few_points_is_refused() -> None:
    with pytest.raises(InvalidExperimentError, match="7 points; the least is 8"):
        fit_curve(Decay(), exact(np.linspace(0, 1, 7), np.zeros(7)))


@pytest.mark.parametrize(
    ("x", "y", "sigma", "message"),
    [
        ([0.0, 1.0], [0.0], [1.0, 1.0], "shapes"),
        ([0.0, 1.0], [0.0, float("nan")], [1.0, 1.0], "not finite"),
        ([1.0, 1.0], [0.0, 0.0], [1.0, 1.0], "ascending"),
        ([0.0, 1.0], [0.0, 0.0], [1.0, 0.0], "above 0"),
    ],
)
def test_a_curve_that_cannot_be_fitted_is_refused(
    x: list[float], y: list[float], sigma: list[float], message: str
) -> None:
    with pytest.raises(InvalidExperimentError, match=message):
        Curve(x=np.array(x), y=np.array(y), sigma=np.array(sigma))


def test_runs_test_sees_neighbours_that_err_alike() -> None:
    slow = np.sin(np.linspace(0, 2 * np.pi, 60))
    quick = np.tile([1.0, -1.0], 30)
    assert runs_z(slow) < -6
    assert runs_z(quick) > 6
    assert runs_z(np.ones(10)) == 0
    assert runs_z(np.array([1.0, -1.0])) == 0
