"""Rabi amplitude: sweep the amplitude of x, and find the one that makes a half turn.

The excited fraction is B + A cos(pi a / a_pi + phi): its frequency over the amplitude gives a_pi, and half of it the
amplitude of sx, whose pulse is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.errors import InvalidExperimentError
from qubitd.calibration.experiment import Analysis, Axis, Estimate, more_shots
from qubitd.calibration.fit import Fit, Oscillation, fit_curve
from qubitd.calibration.gates import LEAST_SIGNIFICANCE, Evidence, Limits, refusals
from qubitd.calibration.measurement import Measurement
from qubitd.calibration.signal import excited_curve
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep, SweepAxis

RELATIVE_SPEC = 0.005
"""Of both amplitudes: a rotation error of 16 mrad costs 4e-5 on x and 1e-5 on sx, a tenth of what T1 and T2 cost."""
LEAST_AMPLITUDE, MOST_AMPLITUDE = 0.05, 0.9
"""Fractions of full scale between which a half turn can be played well."""
LEAST_PERIODS = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Rabi:
    """Sweeps `<qubit>.x.amplitude` from 0."""

    qubit: str
    """Name of the qubit."""
    index: int
    """Its index on the device."""
    max_amplitude: float = 0.9
    """End of the sweep, fraction of full scale, 0.1..1."""
    points: int = 41
    """At least 8."""
    shots: int = 2000
    """Per point, at least 10."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.max_amplitude <= 1:
            raise InvalidExperimentError(f"a Rabi sweep to amplitude {self.max_amplitude:g}; choose 0.1 to 1")
        if self.points < 8 or self.shots < 10:
            raise InvalidExperimentError(
                f"a Rabi sweep of {self.points} points with {self.shots} shots; the least is 8 points, 10 shots"
            )

    @property
    def name(self) -> str:
        """Name the experiment."""
        return "rabi"

    @property
    def x(self) -> NDArray[np.float64]:
        """Amplitudes, fraction of full scale."""
        return np.linspace(0, self.max_amplitude, self.points)

    @property
    def reads(self) -> tuple[str, ...]:
        """Name the readout's discriminator."""
        return (f"{self.qubit}.readout.rotation", f"{self.qubit}.readout.threshold")

    @property
    def writes(self) -> tuple[str, ...]:
        """Name the amplitudes of x and sx."""
        return (f"{self.qubit}.x.amplitude", f"{self.qubit}.sx.amplitude")

    def job(self, *, seed: int | None = None) -> JobSpec:
        """Make one circuit, x and measure, swept over the amplitude."""
        circuit = CircuitBuilder(name=f"rabi {self.qubit}", num_qubits=self.index + 1, num_clbits=1)
        axis = SweepAxis(names=(f"{self.qubit}.x.amplitude",), values=self.x[None, :])
        return JobSpec(
            batch=pack([circuit.add("x", self.index).measure(self.index, 0)]),
            sweep=Sweep(axes=(axis,)),
            shots=self.shots,
            meas_level=MeasLevel.KERNELED,
            meas_return=MeasReturn.SINGLE,
            seed_simulator=seed,
            tags=("calibration", "rabi", self.qubit),
        )

    def analyse(self, measurement: Measurement) -> Analysis:
        """Fit the oscillation and judge a_pi."""
        curve = excited_curve(measurement.x, measurement.iq, measurement.discriminator)
        fit = fit_curve(Oscillation(), curve)
        evidence = _evidence(fit, (float(curve.x[0]), float(curve.x[-1])))
        limits = Limits(
            spec=RELATIVE_SPEC * evidence.value, least=LEAST_AMPLITUDE, most=MOST_AMPLITUDE, extent=LEAST_PERIODS
        )
        return Analysis(
            title=f"Rabi amplitude of {self.qubit}",
            axis=Axis(title="amplitude of x (fraction of full scale)", unit=""),
            curve=curve,
            fit=fit,
            estimates=tuple(
                Estimate(
                    name=name,
                    value=share * evidence.value,
                    stderr=share * evidence.stderr,
                    unit="",
                    spec=share * limits.spec,
                )
                for name, share in zip(self.writes, (1.0, 0.5), strict=True)
            ),
            reasons=refusals(evidence, limits),
        )

    def again(self, refused: Analysis) -> Self:
        """Sweep four half turns if any were seen, otherwise the whole range in finer steps; with more shots."""
        if refused.fit.significance > LEAST_SIGNIFICANCE:
            wished = 4 / (2 * refused.fit.theta)
            return replace(self, max_amplitude=min(max(wished, 0.1), MOST_AMPLITUDE), shots=more_shots(self.shots))
        return replace(self, max_amplitude=MOST_AMPLITUDE, points=2 * self.points, shots=more_shots(self.shots))


def _evidence(fit: Fit, sweep: tuple[float, float]) -> Evidence:
    """Turn a frequency into the amplitude of half a period."""
    half_turn = 1 / (2 * fit.theta)
    return Evidence(
        quantity="a_pi",
        unit="",
        value=half_turn,
        stderr=half_turn * fit.stderr / fit.theta,
        extent=fit.theta * (sweep[1] - sweep[0]),
        extent_name="periods",
        sweep=sweep,
        fit=fit,
    )
