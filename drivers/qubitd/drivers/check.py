"""Check a rack before anything is played: the wiring on paper, and on request the instruments themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qubitd.core.errors import Problem
from qubitd.drivers.cluster.modules import MAX_NCO
from qubitd.drivers.cluster.wiring import WiredLine, cluster_wiring
from qubitd.drivers.errors import DriverError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack

CLEARANCE = 20e6
"""Hz that the leakage of a local oscillator and the mixer image of a tone keep from other tones of the rack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RackCheck:
    """What was found at one place of a rack, and at the places below it."""

    name: str
    problems: tuple[Problem, ...] = ()
    parts: tuple[RackCheck, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether nothing was found here and below."""
        return not self.problems and all(part.is_good for part in self.parts)

    def __str__(self) -> str:
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        yield f"{indent}{self.name}: {'good' if self.is_good else 'faulty'}"
        for problem in self.problems:
            yield f"{indent}  ! {problem.what}"
        for part in self.parts:
            yield from part._lines(f"{indent}  ")


def check_rack(rack: Rack, frequencies: Mapping[str, float], *, connect: bool = False) -> RackCheck:
    """Check a rack for a device.

    Args:
        rack: what the rack file says.
        frequencies: RF frequency in Hz of each of the device's lines; 0 for a flux line.
        connect: also find the instruments and ask who they are. Nothing is changed.
    """
    unwired = tuple(
        Problem(where=line, what=f"line {line} of the device is wired to nothing")
        for line in frequencies
        if line not in rack.lines
    )
    parts = [_instrument_check(rack, name, frequencies) for name in rack.instruments]
    if connect:
        parts.append(_connection_check(rack))
    return RackCheck(name=f"rack {rack.name}", problems=unwired, parts=tuple(parts))


def _instrument_check(rack: Rack, name: str, frequencies: Mapping[str, float]) -> RackCheck:
    wiring = cluster_wiring(rack, rack.instruments[name])
    tones = {line: frequencies[line] for line, wired in wiring.items() if wired.is_rf and line in frequencies}
    lines = [
        RackCheck(name=wired.name, problems=tuple(_line_problems(wired, frequencies[line], tones)))
        for line, wired in wiring.items()
        if line in frequencies
    ]
    return RackCheck(name=f"instrument {name}", parts=tuple(lines))


def _line_problems(wired: WiredLine, frequency: float, tones: Mapping[str, float]) -> Iterator[Problem]:
    if not wired.is_rf:
        if frequency:
            yield _problem(wired, f"{frequency / 1e9:.6g} GHz on a baseband output; wire it to an RF module")
        return
    offset = frequency - wired.lo
    if not abs(offset) <= MAX_NCO:
        yield _problem(
            wired,
            f"{frequency / 1e9:.6g} GHz is {abs(offset) / 1e6:.9g} MHz from the {wired.lo / 1e9:.6g} GHz oscillator; "
            f"at most {MAX_NCO / 1e6:.0f} MHz, change lo in the rack file",
        )
        return
    for what, spur in (("oscillator's leakage", wired.lo), ("mixer image", wired.lo - offset)):
        for line, tone in tones.items():
            if abs(tone - spur) < CLEARANCE:
                yield _problem(
                    wired,
                    f"the {what} at {spur / 1e9:.6g} GHz lies {abs(tone - spur) / 1e6:.9g} MHz from {line}; "
                    f"keep {CLEARANCE / 1e6:.0f} MHz, change lo in the rack file",
                )


def _connection_check(rack: Rack) -> RackCheck:
    controller = open_rack(rack)
    try:
        controller.connect()
    except DriverError as error:
        return RackCheck(name="connection", problems=(Problem(where="connection", what=str(error)),))
    finally:
        controller.close()
    return RackCheck(name="connection")


def _problem(wired: WiredLine, what: str) -> Problem:
    return Problem(where=wired.line, what=what)
