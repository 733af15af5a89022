"""IQ clouds become excited fractions, whatever their angle, and with errors that are those of the shots."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.calibration.errors import InvalidRecordError
from qubitd.calibration.signal import excited_curve
from qubitd.core.discriminator import Discriminator

POINTS = np.linspace(0, 1, 9)


def clouds(
    fractions: NDArray[np.float64], *, shots: int, angle: float = 0.0, noise: float = 0.03, seed: int = 5
) -> NDArray[np.complex64]:
    """Shots around -0.1 (ground) and +0.1 (excited), turned by an angle."""
    rng = np.random.default_rng(seed)
    excited = rng.random((len(fractions), shots)) < fractions[:, None]
    blur = rng.normal(size=(2, *excited.shape)) * noise
    return np.asarray((0.2 * excited - 0.1 + blur[0] + 1j * blur[1]) * np.exp(1j * angle), dtype=np.complex64)


@pytest.mark.parametrize("angle", [0.0, 0.7, 3.0, -2.0])
def test_fractions_come_back_at_any_angle_of_the_clouds(angle: float) -> None:
    iq = clouds(POINTS, shots=2000, angle=angle)
    curve = excited_curve(POINTS, iq, Discriminator(rotation=-angle, threshold=0.0))
    assert np.all(np.abs(curve.y - POINTS) < 5 * curve.sigma + 1e-3)


def test_a_threshold_beside_both_clouds_does_not_spoil_the_fractions() -> None:
    iq = clouds(POINTS, shots=2000)
    curve = excited_curve(POINTS, iq, Discriminator(rotation=0.0, threshold=0.9))
    assert np.all(np.abs(curve.y - POINTS) < 5 * curve.sigma + 1e-3)


def test_a_qubit_that_stays_in_its_ground_state_reads_zero() -> None:
    iq = clouds(np.full(9, 0.01), shots=2000)
    curve = excited_curve(POINTS, iq, Discriminator(rotation=0.0, threshold=0.0))
    assert np.all(curve.y < 0.02)


@pytest.mark.parametrize("noise", [0.005, 0.05, 0.15])
def test_standard_errors_match_the_scatter_of_repetitions(noise: float) -> None:
    fractions = np.tile([0.02, 0.5, 0.95], 200)
    iq = clouds(fractions, shots=150, noise=noise)
    curve = excited_curve(np.arange(600.0), iq, Discriminator(rotation=0.0, threshold=0.0))
    for i in range(3):
        scatter, stated = np.std(curve.y[i::3]), np.mean(curve.sigma[i::3])
        assert stated == pytest.approx(scatter, rel=0.2)


def test_dead_readout_and_wrong_shapes_are_refused() -> None:
    discriminator = Discriminator(rotation=0.0, threshold=0.0)
    with pytest.raises(InvalidRecordError, match="not connected"):
        excited_curve(POINTS, np.zeros((9, 100), dtype=np.complex64), discriminator)
    with pytest.raises(InvalidRecordError, match=r"expected \(9, 10 shots or more\)"):
        excited_curve(POINTS, np.zeros((9, 9), dtype=np.complex64), discriminator)
