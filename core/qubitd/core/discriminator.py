"""IQ points to bits: rotate, compare with a threshold. Stored in fractions of ADC full scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.snapshot import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Discriminator:
    """bit = Re(iq * exp(1j * rotation)) >= threshold."""

    rotation: float
    """Radians."""
    threshold: float
    """Fraction of ADC full scale."""

    def __call__(self, iq: NDArray[np.complex64]) -> NDArray[np.bool_]:
        """Classify points of any shape."""
        rotated = iq.real * np.cos(self.rotation) - iq.imag * np.sin(self.rotation)
        return np.asarray(rotated >= self.threshold)


def discriminator_of(values: Values, qubit: str) -> Discriminator:
    """Read a qubit's discriminator from `<qubit>.readout.rotation` and `<qubit>.readout.threshold`.

    Raises:
        InvalidCalibrationError: a value is missing.
    """
    return Discriminator(
        rotation=values.value(f"{qubit}.readout.rotation"), threshold=values.value(f"{qubit}.readout.threshold")
    )
