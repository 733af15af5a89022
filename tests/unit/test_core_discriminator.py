"""IQ points become bits by a rotation and a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.core.discriminator import Discriminator, discriminator_of
from qubitd.core.errors import InvalidCalibrationError
from qubitd.core.snapshot import Parameter, Snapshot


@pytest.mark.parametrize("angle", np.linspace(-np.pi, np.pi, 9))
def test_blobs_at_any_angle_are_told_apart(angle: float) -> None:
    points = (np.array([[-0.1], [0.1]]) * np.exp(1j * angle) + 0.02j * np.exp(1j * angle)).astype(np.complex64)
    bits = Discriminator(rotation=-angle, threshold=0.0)(points)
    assert bits.tolist() == [[False], [True]]


def test_a_point_on_the_threshold_is_one() -> None:
    discriminator = Discriminator(rotation=0.0, threshold=0.25)
    assert discriminator(np.array([0.25, 0.2499], dtype=np.complex64)).tolist() == [True, False]


def test_a_discriminator_is_read_from_two_parameters() -> None:
    values = {"q1.readout.rotation": ("rad", 0.5), "q1.readout.threshold": ("", 0.01)}
    parameters = {name: Parameter(name=name, value=value, unit=unit) for name, (unit, value) in values.items()}
    snapshot = Snapshot(revision=1, parent=0, author="", message="", created_at=0, parameters=parameters)
    assert discriminator_of(snapshot, "q1") == Discriminator(rotation=0.5, threshold=0.01)
    with pytest.raises(InvalidCalibrationError, match=r"q0\.readout\.rotation"):
        discriminator_of(snapshot, "q0")
