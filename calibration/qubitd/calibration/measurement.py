"""What a run measured, with all that its analysis needs; stored with the picture, so that it can be analysed again."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.errors import InvalidRecordError
from qubitd.core.discriminator import Discriminator

_FACTS = ("experiment", "qubit", "run", "backend", "revision", "measured_at")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """The raw data of one experiment on one qubit."""

    experiment: str
    """Such as `rabi`."""
    qubit: str
    """Name of the qubit, such as `q0`."""
    run: str
    """Id of the job."""
    backend: str
    """Name of the device."""
    revision: int
    """Calibration revision that the job was pinned to."""
    measured_at: int
    """ns since 1970-01-01 UTC."""
    discriminator: Discriminator
    """Of the qubit, at that revision."""
    x: NDArray[np.float64]
    """Swept values in their SI unit, shape (points,)."""
    iq: NDArray[np.complex64]
    """Shape (points, shots), fraction of ADC full scale."""


def save_measurement(measurement: Measurement, path: Path) -> None:
    """Write a measurement as an npz file without pickled objects."""
    facts = {name: getattr(measurement, name) for name in _FACTS}
    facts |= {"rotation": measurement.discriminator.rotation, "threshold": measurement.discriminator.threshold}
    np.savez_compressed(path, facts=np.array(json.dumps(facts)), x=measurement.x, iq=measurement.iq)


def load_measurement(path: Path) -> Measurement:
    """Read what `save_measurement` wrote.

    Raises:
        InvalidRecordError: the file is missing or is no measurement.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            return Measurement(
                **{name: facts[name] for name in _FACTS},
                discriminator=Discriminator(rotation=float(facts["rotation"]), threshold=float(facts["threshold"])),
                x=stored["x"].astype(np.float64),
                iq=stored["iq"].astype(np.complex64),
            )
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InvalidRecordError(f"{path} is not a stored measurement ({error}); measure again") from error
