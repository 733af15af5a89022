"""Ramsey: two half turns with a wait between; how fast their phase drifts apart is how far the drive is off.

The frame is turned on purpose at a known rate, the shift, while the qubit waits. With the qubit `offset` above the
drive the excited fraction is B + A cos(2 pi (shift - offset) t + phi) exp(-t / T2): a fringe slower than the shift
means that the drive is too low. So the sign is seen as long as the offset is smaller than the shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.delays import played_delays
from qubitd.calibration.errors import InvalidExperimentError
from qubitd.calibration.experiment import Analysis, Axis, Estimate, more_shots
from qubitd.calibration.fit import Oscillation, fit_curve
from qubitd.calibration.gates import Evidence, Limits, refusals
from qubitd.calibration.measurement import Measurement
from qubitd.calibration.signal import excited_curve
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep

SPEC = 5e3
"""Hz: over a gate of 25 ns this costs 1e-7, over an idle microsecond 2e-4."""
LEAST_PERIODS = 3.0
_STEPS_PER_PERIOD = 3.0
"""Points per period of a fringe at twice the shift, at least: the fit must not see its alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramsey:
    """A batch of circuits, one for each delay from 0."""

    qubit: str
    """Name of the qubit."""
    index: int
    """Its index on the device."""
    frequency: float
    """Of the drive, Hz: the parameter that is in force when the job runs."""
    t2: float = math.inf
    """Coherence time in seconds, by which the fringes decay."""
    shift: float = 2e6
    """Rate at which the frame is turned on purpose, Hz, above 0; an offset must be less than 0.8 of it."""
    max_delay: float = 4e-6
    """Longest delay, seconds."""
    points: int = 61
    """At least 8, and enough for a fringe at twice the shift."""
    shots: int = 1000
    """Per point, at least 10."""

    def __post_init__(self) -> None:
        if self.points < 8 or self.shots < 10:
            raise InvalidExperimentError(
                f"a Ramsey measurement of {self.points} points with {self.shots} shots; the least is 8 points, 10 shots"
            )
        if not (0 < self.shift < math.inf and 0 < self.max_delay < math.inf):
            raise InvalidExperimentError(
                f"a shift of {self.shift:g} Hz and delays up to {self.max_delay:g} s; give positive numbers"
            )
        periods = self.shift * self.max_delay
        needed = math.ceil(2 * periods * _STEPS_PER_PERIOD)
        if periods < LEAST_PERIODS or self.points < needed:
            raise InvalidExperimentError(
                f"{self.points} delays up to {self.max_delay:g} s with a shift of {self.shift:g} Hz; choose at least "
                f"{LEAST_PERIODS:g} periods of the shift and, here, {needed} points"
            )

    @property
    def name(self) -> str:
        """Name the experiment."""
        return "ramsey"

    @property
    def x(self) -> NDArray[np.float64]:
        """Delays as they are played: seconds, rounded to the grid."""
        return played_delays(self.max_delay, self.points)

    @property
    def reads(self) -> tuple[str, ...]:
        """Name the readout's discriminator, the half turn, and the frequency it is played at."""
        names = ("readout.rotation", "readout.threshold", "sx.amplitude", "frequency")
        return tuple(f"{self.qubit}.{name}" for name in names)

    @property
    def writes(self) -> tuple[str, ...]:
        """Name the drive frequency."""
        return (f"{self.qubit}.frequency",)

    def job(self, *, seed: int | None = None) -> JobSpec:
        """Make one circuit, bound to each delay and to how far the frame turns meanwhile."""
        circuit = CircuitBuilder(name=f"ramsey {self.qubit}", num_qubits=self.index + 1, num_clbits=1)
        circuit.add("sx", self.index).delay(self.index, FromColumn(column=0))
        circuit.add("rz", self.index, params=(FromColumn(column=1),)).add("sx", self.index).measure(self.index, 0)
        values = np.stack([self.x, 2 * np.pi * self.shift * self.x], axis=1)
        return JobSpec(
            batch=pack([circuit.bind(values)]),
            sweep=Sweep(),
            shots=self.shots,
            meas_level=MeasLevel.KERNELED,
            meas_return=MeasReturn.SINGLE,
            seed_simulator=seed,
            tags=("calibration", "ramsey", self.qubit),
        )

    def analyse(self, measurement: Measurement) -> Analysis:
        """Fit the fringes and judge the frequency."""
        curve = excited_curve(measurement.x, measurement.iq, measurement.discriminator)
        fit = fit_curve(Oscillation(decay=self.t2), curve)
        evidence = Evidence(
            quantity="the fringe",
            unit="Hz",
            value=fit.theta,
            stderr=fit.stderr,
            extent=fit.theta * curve.span,
            extent_name="periods",
            sweep=(0.0, 2 * self.shift),
            fit=fit,
        )
        limits = Limits(spec=SPEC, least=0.0, most=2 * self.shift, extent=0.7)
        frequency = self.frequency + self.shift - fit.theta
        return Analysis(
            title=f"Ramsey frequency of {self.qubit}",
            axis=Axis(title="delay", unit="s"),
            curve=curve,
            fit=fit,
            estimates=(Estimate(name=self.writes[0], value=frequency, stderr=fit.stderr, unit="Hz", spec=SPEC),),
            reasons=refusals(evidence, limits),
        )

    def again(self, refused: Analysis) -> Self:  # noqa: ARG002  # whatever was seen, a wider range shows more
        """Shift the frame twice as fast, for an offset twice as large, with as many more points and more shots."""
        return replace(self, shift=2 * self.shift, points=2 * self.points, shots=more_shots(self.shots))
