"""Calibration parameters and snapshots: dated values with an uncertainty, and all of them at one revision.

A snapshot never changes. Its digest covers every field of every parameter, so two snapshots with one digest are equal.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from qubitd.core.errors import InvalidCalibrationError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One calibrated number."""

    name: str
    """Dotted: `q0.sx.amplitude`, `q0_q1.cz.duration`, `q0.t1`."""
    value: float
    """Finite, in `unit`."""
    unit: str
    """SI symbol: `s`, `Hz`, `rad`; empty for a fraction."""
    stderr: float | None = None
    """One standard error in `unit`; None for a first value."""
    measured_at: int | None = None
    """ns since 1970-01-01 UTC; None for a first value."""
    run: str = ""
    """Id of the job that measured it."""
    source: str = ""
    """Experiment or file that it came from."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise _invalid(self.name, f"value {self.value} is not a finite number")
        if self.stderr is not None and not (math.isfinite(self.stderr) and self.stderr >= 0):
            raise _invalid(self.name, f"stderr {self.stderr} is not a finite number of 0 or more")


class Values(Protocol):
    """Where calibrated numbers come from: a snapshot, or one point of a sweep over it."""

    def __contains__(self, name: str, /) -> bool:
        """Whether the parameter has a value."""
        ...

    def value(self, name: str) -> float:
        """Give a parameter's value in its unit.

        Raises:
            InvalidCalibrationError: there is no such parameter.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All parameters of a device at one revision."""

    revision: int
    """1 for the first, then counting up."""
    parent: int
    """The revision it was made from; 0 for the first."""
    author: str
    """`file`, or the identity that committed it."""
    message: str
    created_at: int
    """ns since 1970-01-01 UTC."""
    parameters: Mapping[str, Parameter]
    """By name."""
    digest: str = field(init=False)
    """SHA-256 over every field of every parameter, hexadecimal."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(sorted(self.parameters.items()))))
        object.__setattr__(self, "digest", parameters_digest(self.parameters))

    def __contains__(self, name: str, /) -> bool:
        return name in self.parameters

    def value(self, name: str) -> float:
        """Give a parameter's value in its unit.

        Raises:
            InvalidCalibrationError: the snapshot has no such parameter.
        """
        try:
            return self.parameters[name].value
        except KeyError:
            raise _invalid(
                name, f"no such parameter at revision {self.revision}; calibrate it or add a first value"
            ) from None

    def with_values(self, values: Mapping[str, float]) -> Snapshot:
        """Give a copy in which some parameters have other values, as one point of a sweep has.

        Raises:
            InvalidCalibrationError: a name is unknown, or a value is not finite.
        """
        changed = dict(self.parameters)
        for name, value in values.items():
            self.value(name)
            old = changed[name]
            changed[name] = Parameter(name=name, value=float(value), unit=old.unit, source="sweep")
        return Snapshot(
            revision=self.revision,
            parent=self.parent,
            author=self.author,
            message=self.message,
            created_at=self.created_at,
            parameters=changed,
        )


def parameters_digest(parameters: Mapping[str, Parameter]) -> str:
    """Hash parameters, whatever their order."""
    hasher = hashlib.sha256()
    for name in sorted(parameters):
        p = parameters[name]
        stderr = "-" if p.stderr is None else p.stderr.hex()
        fields = (p.name, p.value.hex(), p.unit, stderr, str(p.measured_at), p.run, p.source)
        hasher.update("\x1f".join(fields).encode())
        hasher.update(b"\x1e")
    return hasher.hexdigest()


def _invalid(name: str, what: str) -> InvalidCalibrationError:
    return InvalidCalibrationError([Problem(where=name or "(no name)", what=what)])
