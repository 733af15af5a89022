"""The acceptance gate: a value is written only if every condition holds, and a refusal names every one that does not.

No single figure of merit is trusted: R squared or chi squared alone let a third of wrong values through.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from qubitd.calibration.curve import runs_z
from qubitd.calibration.fit import Fit

LEAST_SIGNIFICANCE = 30.0
"""By how much chi squared must beat a constant's."""
LEAST_RUNS_Z = -4.0
EDGE = 0.1
"""Fraction of the sweep at either end in which a value is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an experiment demands of its value."""

    spec: float
    """Tolerance of the value, in its unit; the standard error must be a third of it or less."""
    least: float
    """Smallest value that physics allows."""
    most: float
    """Largest value that physics allows."""
    extent: float
    """Least length of the sweep in natural units of the model: periods, or decay times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a fit found, in the terms of the value that would be written."""

    quantity: str
    """Name of the value, for the reasons."""
    unit: str
    """SI symbol; empty for a fraction."""
    value: float
    stderr: float
    """One standard error; infinite where the data do not determine the value."""
    extent: float
    """Periods, or decay times, inside the sweep."""
    extent_name: str
    """`periods` or `decay times`."""
    sweep: tuple[float, float]
    """Ends of the sweep, in the unit of the value."""
    fit: Fit


def refusals(evidence: Evidence, limits: Limits) -> tuple[str, ...]:
    """Give every reason not to write this value; none means accepted."""
    numbers = (evidence.value, evidence.stderr, evidence.fit.chi2)
    if not all(math.isfinite(number) for number in numbers):
        return (f"the data do not determine {evidence.quantity} (value {evidence.value:g} ± {evidence.stderr:g})",)
    return (*_of_the_curve(evidence.fit), *_of_the_value(evidence, limits))


def _of_the_curve(fit: Fit) -> Iterator[str]:
    """Does the model describe the data at all?"""
    if fit.significance <= LEAST_SIGNIFICANCE:
        yield (
            f"the data do not differ from a constant (chi squared better by {fit.significance:.1f}, "
            f"needs more than {LEAST_SIGNIFICANCE:g})"
        )
    reduced, most = fit.chi2 / fit.dof, 1 + 4 * math.sqrt(2 / fit.dof)
    if reduced >= most:
        yield f"the model does not describe the data (chi squared {reduced:.2f} per degree, must be below {most:.2f})"
    z = runs_z(fit.residuals[fit.kept])
    if z <= LEAST_RUNS_Z:
        yield f"neighbouring points err alike (runs test {z:.1f}, needs more than {LEAST_RUNS_Z:g})"


def _of_the_value(evidence: Evidence, limits: Limits) -> Iterator[str]:
    """Was the value well inside what this sweep can see, and is it precise and possible?"""
    name, unit = evidence.quantity, evidence.unit
    if evidence.stderr > limits.spec / 3:
        yield f"{name} is uncertain by {evidence.stderr:.3g} {unit}".rstrip() + f", at most {limits.spec / 3:.3g}"
    if evidence.extent < limits.extent:
        yield (f"the sweep is too short: {evidence.extent:.2f} {evidence.extent_name}, at least {limits.extent:g}")
    low, high = evidence.sweep
    margin = EDGE * (high - low)
    if not low + margin <= evidence.value <= high - margin:
        yield (
            f"{name} = {evidence.value:.4g} {unit}".rstrip()
            + f" lies in the outer tenth of the sweep ({low:g} to {high:g})"
        )
    if not limits.least <= evidence.value <= limits.most:
        yield (
            f"{name} = {evidence.value:.4g} {unit}".rstrip()
            + f" is outside what is possible ({limits.least:g} to {limits.most:g})"
        )
