"""What every experiment is: a frozen value that says what it reads, sweeps and writes, and a pure analysis.

An experiment touches nothing: it makes a job, and turns what the job measured into estimates or reasons against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.curve import Curve
from qubitd.calibration.fit import Fit
from qubitd.calibration.measurement import Measurement
from qubitd.core.job import JobSpec

_MOST_SHOTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured value for one calibration parameter."""

    name: str
    """Dotted name of the parameter."""
    value: float
    """In `unit`."""
    stderr: float
    """One standard error in `unit`."""
    unit: str
    """SI symbol; empty for a fraction."""
    spec: float
    """Tolerance of the parameter, in `unit`: a change below a quarter of it is not worth a new value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What was swept, for a picture."""

    title: str
    """Such as `delay`."""
    unit: str
    """SI symbol; empty for a fraction."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """What one measurement says; complete also when it was refused."""

    title: str
    """Such as `Rabi amplitude of q0`."""
    axis: Axis
    curve: Curve
    fit: Fit
    estimates: tuple[Estimate, ...]
    """What would be written; never empty, and worth nothing if there are reasons."""
    reasons: tuple[str, ...]
    """Why nothing may be written; empty means accepted."""

    @property
    def is_accepted(self) -> bool:
        """Whether the estimates passed every gate."""
        return not self.reasons


class Experiment(Protocol):
    """One way to measure parameters."""

    @property
    def name(self) -> str:
        """Word for file names and the `source` of what is written."""
        ...

    @property
    def qubit(self) -> str:
        """Name of the qubit."""
        ...

    @property
    def x(self) -> NDArray[np.float64]:
        """What is swept, in its SI unit, shape (points,); programs of the job in this order."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Parameters whose values the job or the analysis uses."""
        ...

    @property
    def writes(self) -> tuple[str, ...]:
        """Parameters that the estimates are for."""
        ...

    def job(self, *, seed: int | None = None) -> JobSpec:
        """Make the job: one program per point, one measurement each, IQ of single shots."""
        ...

    def analyse(self, measurement: Measurement) -> Analysis:
        """Fit and judge; the same measurement always gives the same analysis."""
        ...

    def again(self, refused: Analysis) -> Self:
        """Give the experiment to try after a refusal: wider or finer, with more shots."""
        ...


def more_shots(shots: int) -> int:
    """Give the shots for another try: four times as many halve every error; at most 20 000."""
    return max(shots, min(4 * shots, _MOST_SHOTS))
