"""From accepted estimates to parameters: write what has changed, confirm what has not.

A value is replaced only if it moved by more than three standard errors and a quarter of its tolerance; otherwise the
old value stays and only its date, run and standard error are renewed: noise does not move a good calibration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qubitd.calibration.errors import NotAcceptedError
from qubitd.calibration.experiment import Analysis, Estimate
from qubitd.calibration.measurement import Measurement
from qubitd.core.snapshot import Parameter, Snapshot

LARGEST_JUMP = 0.2
"""Relative change beyond which a value must be measured twice."""
_AGREEMENT = 3.0
"""Standard errors by which two measurements of one value may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to happen to one parameter."""

    old: Parameter | None
    """None if the device had no value."""
    measured: Estimate
    """The value of this run."""
    new: Parameter
    """The parameter to commit."""

    @property
    def is_confirmation(self) -> bool:
        """Whether the old value stays."""
        return self.old is not None and self.new.value == self.old.value


def changes(analysis: Analysis, measurement: Measurement, snapshot: Snapshot) -> tuple[Change, ...]:
    """Decide for each estimate whether it replaces or confirms the value in force.

    Raises:
        NotAcceptedError: the analysis was refused.
    """
    if not analysis.is_accepted:
        raise NotAcceptedError(experiment=analysis.title, reasons=analysis.reasons)
    return tuple(_change(snapshot.parameters.get(e.name), e, measurement) for e in analysis.estimates)


def is_jump(analysis: Analysis, snapshot: Snapshot) -> bool:
    """Ask whether a value moved so far that one measurement is not enough."""
    pairs = [(snapshot.parameters.get(e.name), e) for e in analysis.estimates]
    return any(old is not None and abs(e.value - old.value) > LARGEST_JUMP * abs(old.value) for old, e in pairs)


def disagreements(first: Analysis, second: Analysis) -> tuple[str, ...]:
    """Give a reason for every value on which two measurements differ by more than three standard errors."""
    reasons: list[str] = []
    for a, b in zip(first.estimates, second.estimates, strict=True):
        most = _AGREEMENT * math.hypot(a.stderr, b.stderr)
        if abs(a.value - b.value) > most:
            reasons.append(
                f"{a.name} was {a.value:.5g} and then {b.value:.5g} {b.unit}".rstrip()
                + f"; two measurements may differ by {most:.2g}"
            )
    return tuple(reasons)


def _change(old: Parameter | None, estimate: Estimate, measurement: Measurement) -> Change:
    value = estimate.value if old is None or _has_moved(old, estimate) else old.value
    new = Parameter(
        name=estimate.name,
        value=value,
        unit=estimate.unit,
        stderr=estimate.stderr,
        measured_at=measurement.measured_at,
        run=measurement.run,
        source=measurement.experiment,
    )
    return Change(old=old, measured=estimate, new=new)


def _has_moved(old: Parameter, estimate: Estimate) -> bool:
    return abs(estimate.value - old.value) > max(3 * estimate.stderr, estimate.spec / 4)
