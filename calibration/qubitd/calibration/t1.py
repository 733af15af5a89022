"""T1: excite, wait, measure. The excited fraction is B + A exp(-t / T1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.delays import played_delays
from qubitd.calibration.errors import InvalidExperimentError
from qubitd.calibration.experiment import Analysis, Axis, Estimate, more_shots
from qubitd.calibration.fit import Decay, fit_curve
from qubitd.calibration.gates import LEAST_SIGNIFICANCE, Evidence, Limits, refusals
from qubitd.calibration.measurement import Measurement
from qubitd.calibration.signal import excited_curve
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep

RELATIVE_SPEC = 0.15
"""T1 itself moves by more than this within a day; a standard error of 5 % is enough."""
LEAST_T1, MOST_T1 = 1e-6, 1e-2
"""Seconds."""
LEAST_DECAY_TIMES = 3.0
"""Below, the offset and the decay time cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class T1:
    """A batch of circuits, one for each delay from 0."""

    qubit: str
    """Name of the qubit."""
    index: int
    """Its index on the device."""
    max_delay: float
    """Longest delay, seconds: five times the T1 that is expected."""
    points: int = 21
    """At least 8."""
    shots: int = 1000
    """Per point, at least 10."""

    def __post_init__(self) -> None:
        if not LEAST_T1 <= self.max_delay <= 5 * MOST_T1:
            raise InvalidExperimentError(
                f"delays up to {self.max_delay:g} s; choose five times the T1 expected, "
                f"from {LEAST_T1:g} to {5 * MOST_T1:g} s"
            )
        if self.points < 8 or self.shots < 10:
            raise InvalidExperimentError(
                f"a T1 measurement of {self.points} points with {self.shots} shots; the least is 8 points, 10 shots"
            )

    @property
    def name(self) -> str:
        """Name the experiment."""
        return "t1"

    @property
    def x(self) -> NDArray[np.float64]:
        """Delays as they are played: seconds, rounded to the grid."""
        return played_delays(self.max_delay, self.points)

    @property
    def reads(self) -> tuple[str, ...]:
        """Name the readout's discriminator and the pulse that excites."""
        readout = f"{self.qubit}.readout"
        return (f"{readout}.rotation", f"{readout}.threshold", f"{self.qubit}.x.amplitude")

    @property
    def writes(self) -> tuple[str, ...]:
        """Name T1."""
        return (f"{self.qubit}.t1",)

    def job(self, *, seed: int | None = None) -> JobSpec:
        """Make one circuit, bound to each delay."""
        circuit = CircuitBuilder(name=f"t1 {self.qubit}", num_qubits=self.index + 1, num_clbits=1)
        circuit.add("x", self.index).delay(self.index, FromColumn(column=0)).measure(self.index, 0)
        return JobSpec(
            batch=pack([circuit.bind(self.x[:, np.newaxis])]),
            sweep=Sweep(),
            shots=self.shots,
            meas_level=MeasLevel.KERNELED,
            meas_return=MeasReturn.SINGLE,
            seed_simulator=seed,
            tags=("calibration", "t1", self.qubit),
        )

    def analyse(self, measurement: Measurement) -> Analysis:
        """Fit the decay and judge T1."""
        curve = excited_curve(measurement.x, measurement.iq, measurement.discriminator)
        fit = fit_curve(Decay(), curve)
        evidence = Evidence(
            quantity="T1",
            unit="s",
            value=fit.theta,
            stderr=fit.stderr,
            extent=curve.span / fit.theta,
            extent_name="decay times",
            sweep=(float(curve.x[0]), float(curve.x[-1])),
            fit=fit,
        )
        spec = RELATIVE_SPEC * fit.theta
        limits = Limits(spec=spec, least=LEAST_T1, most=MOST_T1, extent=LEAST_DECAY_TIMES)
        return Analysis(
            title=f"T1 of {self.qubit}",
            axis=Axis(title="delay", unit="s"),
            curve=curve,
            fit=fit,
            estimates=(Estimate(name=self.writes[0], value=fit.theta, stderr=fit.stderr, unit="s", spec=spec),),
            reasons=refusals(evidence, limits),
        )

    def again(self, refused: Analysis) -> Self:
        """Sweep to five times the T1 that was seen, or twice as far if none was, with more shots."""
        seen = refused.fit.significance > LEAST_SIGNIFICANCE
        wished = 5 * refused.fit.theta if seen else 2 * self.max_delay
        max_delay = min(max(wished, self.max_delay / 10, LEAST_T1), 10 * self.max_delay, 5 * MOST_T1)
        return replace(self, max_delay=max_delay, shots=more_shots(self.shots))
