"""What physics and units allow of calibration parameters: asked before a value is committed, swept or first used.

The last part of a parameter's name says what kind of number it is, and with that its unit and its bounds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from qubitd.core.errors import Problem
from qubitd.core.snapshot import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A kind of number."""

    unit: str
    """SI symbol; empty for a fraction."""
    low: float
    """Least plausible value."""
    high: float
    """Greatest plausible value."""
    typical: float = 1.0
    """Its order of magnitude, above 0: tells which wrong unit was most likely meant."""

    def allows(self, value: float) -> bool:
        """Whether a value is plausible."""
        return self.low <= value <= self.high


_FRACTION = Quantity(unit="", low=0.0, high=1.0)
_LIFETIME = Quantity(unit="s", low=10e-9, high=1.0, typical=30e-6)
_LENGTH = Quantity(unit="s", low=1e-9, high=1.0, typical=100e-9)
_PHASE = Quantity(unit="rad", low=-4 * math.pi, high=4 * math.pi)

QUANTITIES: Mapping[str, Quantity] = {
    "frequency": Quantity(unit="Hz", low=10e6, high=30e9, typical=5e9),
    "anharmonicity": Quantity(unit="Hz", low=-10e9, high=10e9),
    "linewidth": Quantity(unit="Hz", low=1e3, high=1e9, typical=5e6),
    "chi": Quantity(unit="Hz", low=-1e8, high=1e8, typical=2e6),
    "zz": Quantity(unit="Hz", low=-50e6, high=50e6),
    "t1": _LIFETIME,
    "t2": _LIFETIME,
    "t2_star": _LIFETIME,
    "duration": _LENGTH,
    "integration": _LENGTH,
    "top": _LENGTH,
    "sigma": Quantity(unit="s", low=0.1e-9, high=1e-3),
    "rise": Quantity(unit="s", low=0.0, high=1e-3),
    "delay": Quantity(unit="s", low=0.0, high=1e-3),
    "beta": Quantity(unit="s", low=-1e-6, high=1e-6),
    "amplitude": Quantity(unit="", low=-1.0, high=1.0),
    "threshold": Quantity(unit="", low=-1.5, high=1.5),
    "error": _FRACTION,
    "leakage": _FRACTION,
    "prob_meas1_prep0": _FRACTION,
    "prob_meas0_prep1": _FRACTION,
    "thermal_population": Quantity(unit="", low=0.0, high=0.5),
    "rotation": _PHASE,
    "phase": _PHASE,
    "phase_first": _PHASE,
    "phase_second": _PHASE,
}
"""What is known of a parameter by the last part of its name. (A fluxonium's anharmonicity is positive.)"""

_COHERENCE = {"t2": "T2", "t2_star": "T2*"}

_SLIPS = {
    "Hz": {"GHz": 1e9, "MHz": 1e6, "kHz": 1e3},
    "s": {"ns": 1e-9, "us": 1e-6, "ms": 1e-3},
    "rad": {"degrees": math.pi / 180},
    "": {"percent": 0.01},
}
"""Units that are taken by mistake."""


def quantity(name: str) -> Quantity | None:
    """Give what is known of a parameter by its name; None for a lab's own parameter."""
    return QUANTITIES.get(name.rpartition(".")[2])


def value_problem(name: str, value: float) -> str | None:
    """Say what is wrong with a parameter's value, in its own unit, if anything is."""
    kind = quantity(name)
    if not math.isfinite(value):
        return f"{value} is not a finite number"
    if kind is None or kind.allows(value):
        return None
    limits = f"{_with_unit(kind.low, kind.unit)} to {_with_unit(kind.high, kind.unit)}"
    rounded = _with_unit(value, kind.unit)
    seen = rounded if not kind.allows(float(f"{value:.6g}")) else f"{float(value)!r} {kind.unit}".rstrip()
    return f"{seen} is outside {limits}{_likely_slip(kind, value)}"


def implausible(parameters: Mapping[str, Parameter], *, changed: Collection[str] | None = None) -> tuple[Problem, ...]:
    """Find every value that physics or units do not allow.

    Args:
        parameters: all parameters, by name, as they would stand.
        changed: report only what concerns these; None for all.
    """
    concerned = parameters.keys() if changed is None else changed
    found = [
        Problem(where=name, what=what)
        for name in sorted(concerned)
        for what in (_unit_problem(parameters[name]), value_problem(name, parameters[name].value))
        if what is not None
    ]
    return (*found, *_coherence_problems(parameters, concerned))


def _unit_problem(parameter: Parameter) -> str | None:
    kind = quantity(parameter.name)
    if kind is None or kind.unit == parameter.unit:
        return None
    return f"unit is {parameter.unit or 'none'!r}; it must be {kind.unit or 'none'!r}"


def _coherence_problems(parameters: Mapping[str, Parameter], concerned: Collection[str]) -> list[Problem]:
    """T2 and T2* <= 2 T1, within three standard errors where both were measured."""
    found: list[Problem] = []
    for name, t2 in sorted(parameters.items()):
        prefix, _, last = name.rpartition(".")
        t1 = parameters.get(f"{prefix}.t1")
        if last not in _COHERENCE or t1 is None or not {t1.name, t2.name} & set(concerned):
            continue
        if t1.unit != t2.unit:  # kept from before the name meant this
            continue
        slack = 3 * math.hypot(2 * (t1.stderr or 0.0), t2.stderr or 0.0)
        if t2.value > 2 * t1.value + slack:
            what = f"of {t2.value:g} s is above twice the T1 of {t1.value:g} s, which physics does not allow"
            found.append(Problem(where=t2.name, what=f"{_COHERENCE[last]} {what}; measure both again"))
    return found


def _likely_slip(kind: Quantity, value: float) -> str:
    converted = {unit: value * factor for unit, factor in _SLIPS[kind.unit].items()}
    meant = {unit: number for unit, number in converted.items() if number and kind.allows(number)}
    if not meant:
        return ""
    unit = min(meant, key=lambda unit: abs(math.log(abs(meant[unit]) / kind.typical)))
    return f"; was it meant in {unit}? Give {_with_unit(meant[unit], kind.unit)}"


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.6g} {unit}".rstrip()
