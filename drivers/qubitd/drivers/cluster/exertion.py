"""How hard a line is driven by what will really be played, and whether its ceiling allows that."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import Problem
from qubitd.drivers.cluster import native
from qubitd.drivers.cluster.assembly import Exertion
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.registers import GAIN_STEPS
from qubitd.drivers.cluster.waveforms import Waveform
from qubitd.drivers.cluster.wiring import WiredLine
from qubitd.drivers.errors import CeilingError

_SHORT = 2**12
"""Samples of an envelope that is looked at once for all lines."""
_Facts: TypeAlias = tuple[float, float, float, float, float]
Floats = NDArray[np.float64]

ROUNDING = 1e-4
"""By how much a ceiling may be exceeded: gains are rounded to steps of 3e-5. Four decimals show it."""


def line_exertion(part: LineProgram) -> Exertion:
    """Work out what a line carries at most, from rounded gains and the samples as they are uploaded.

    Means are over the shot of each program with its reset: what else is in its chunk makes no program harmless.
    """
    envelopes = np.flatnonzero(np.bincount(part.plays.envelope))
    if not len(envelopes):
        return Exertion(amplitude=0.0, mean_power=0.0, mean=0.0, slew=0.0)
    facts = np.zeros((int(envelopes[-1]) + 1, 5))
    facts[envelopes] = [_facts_of(part, int(envelope)) for envelope in envelopes]
    shots = np.maximum(np.append(part.layout.begin[1:], part.layout.total) - part.layout.begin, 1)
    plays = part.plays
    found = native.exertion(plays.program, plays.envelope, part.gain_real, facts, programs=len(shots))
    power, real, imag, amplitude, slew = _sums(part, facts, len(shots)) if found is None else found
    return Exertion(
        amplitude=amplitude,
        mean_power=float((power / shots).max()),
        mean=float(np.hypot(real / shots, imag / shots).max()),
        slew=slew,
    )


def _sums(part: LineProgram, facts: Floats, programs: int) -> tuple[Floats, Floats, Floats, float, float]:
    """Power, real and imaginary part of each program, the highest amplitude and the steepest step."""
    gain = part.gain_real / GAIN_STEPS
    peak, energy, real, imag, slew = facts.T.take(part.plays.envelope, axis=1)
    carried = (gain**2 * energy, gain * real, gain * imag)
    power, along, across = (
        np.bincount(part.plays.program, each, programs).astype(np.float64, copy=False) for each in carried
    )
    return power, along, across, float(np.max(np.abs(gain) * peak)), float(np.max(np.abs(gain) * slew))


def refuse_above_ceilings(lines: Iterable[tuple[WiredLine, Exertion]]) -> None:
    """Check what every line would carry against its ceiling.

    Raises:
        CeilingError: a line would carry more than the rack file allows; all such lines are reported.
    """
    problems = [problem for wired, exertion in lines for problem in _problems(wired, exertion)]
    if problems:
        raise CeilingError(problems)


def _problems(wired: WiredLine, exertion: Exertion) -> Iterator[Problem]:
    for quantity in ("amplitude", "mean_power", "mean", "slew"):
        value, limit = getattr(exertion, quantity), getattr(wired.ceiling, quantity)
        if value > limit + ROUNDING:
            yield Problem(
                where=f"line {wired.line}",
                what=f"{quantity} of {round(value, 4):.9g} of full scale exceeds the ceiling of {limit:.9g} in the "
                "rack file; lower the amplitude, or have the operator raise the ceiling",
            )


def _facts_of(part: LineProgram, envelope: int) -> _Facts:
    waveforms, table = part.waveforms.waveforms, part.waveforms
    real = waveforms[int(table.real[envelope])]
    imag = waveforms[int(table.imag[envelope])] if table.is_complex[envelope] else None
    is_short = len(real.samples) <= _SHORT
    return _short_facts(real, imag) if is_short else _short_facts.__wrapped__(real, imag)


@functools.lru_cache(maxsize=256)
def _short_facts(real: Waveform, imag: Waveform | None) -> _Facts:
    """Peak, energy, area (real, imaginary) and largest step of an envelope that starts from and returns to 0."""
    samples = real.samples.astype(np.float64) + (0j if imag is None else 1j * imag.samples)
    surrounded = np.concatenate([[0], samples, [0]])
    size, steps = np.abs(samples), surrounded[1:] - surrounded[:-1]
    area = complex(samples.sum())
    return float(size.max()), float((size**2).sum()), area.real, area.imag, float(np.abs(steps).max())
