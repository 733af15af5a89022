"""Writes what follows from the simulated chips into the packaged device files: between the marks of qubits and pairs.

    python tools/first_values.py           writes server/qubitd/compiler/line5.toml and classroom5.toml anew
    python tools/first_values.py --check   says whether that would change them

A perfect lab would measure these numbers; a lab without one starts from them. What stands outside the marks is written
by hand: it is read, and never repeated between them.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qubitd.compiler.device_file import DeviceFile, load_device
from qubitd.core.decoherence import coherence_limit
from qubitd.core.envelope import Gaussian, sample_envelope
from qubitd.core.plausibility import quantity
from qubitd.core.ticks import to_ticks
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.first_values import (
    ReadoutPulse,
    coherence_error,
    cz_values,
    drive_values,
    readout_amplitude,
    readout_frequency,
    readout_values,
)

DEVICES = ("line5", "classroom5")
"""Each has a cabling of the same name."""
FOLDER = Path(__file__).parents[1] / "server/qubitd/compiler"
BEGIN = "# >>> computed from the chip by tools/first_values.py"
END = "# <<<"
GAIN_STEPS = 32768
"""Of the Cluster's gain, for an amplitude from 0 to 1."""
PHOTONS = 6.0
"""In each resonator during readout."""

Line = tuple[str, float, str]
"""A parameter's name within its table, its value, and a remark."""


def main() -> int:
    """Write the file, or compare it; 1 if it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the file is up to date")
    check: bool = parser.parse_args().check
    stale = [name for name in DEVICES if not _is_current(FOLDER / f"{name}.toml", name, writes=not check)]
    if check:
        for name in DEVICES:
            print(f"{name}.toml is {'out of date: run tools/first_values.py' if name in stale else 'up to date'}")
    return int(check and bool(stale))


def _is_current(path: Path, name: str, *, writes: bool) -> bool:
    """Whether a file is what it should be; if not, it may be written anew."""
    old = path.read_text(encoding="utf-8")
    new = with_first_values(old, Chip(load_cabling(Path(name))), load_device(name))
    if writes and new != old:
        path.write_text(new, encoding="utf-8")
    return new == old


def with_first_values(text: str, chip: Chip, file: DeviceFile) -> str:
    """Give a device file's text with every marked part made anew; what is outside the marks is read from `file`."""
    for i, qubit in enumerate(file.device.qubits):
        text = _replaced(text, f"[qubits.{qubit}]", qubit_lines(chip, file, i))
    for coupler in file.device.couplers:
        name = file.device.operand_name(coupler.qubits)
        text = _replaced(text, f"[pairs.{name}]", pair_lines(chip, file, coupler.qubits))
    return text


def qubit_lines(chip: Chip, file: DeviceFile, index: int) -> Iterator[Line]:
    """Give what the chip says of a qubit."""
    name = file.device.qubits[index]
    truth = chip.truth.qubits[chip.truth.index(name)]
    value = file.snapshot().value
    yield "frequency", truth.frequency, ""
    yield "anharmonicity", truth.anharmonicity, ""
    yield "t1", truth.t1, ""
    yield "t2", truth.t2, ""
    yield "t2_star", truth.t2_star, "without an echo"
    for gate in ("sx", "x", "sy"):
        if f"{name}.{gate}.duration" not in file.snapshot():
            continue  # not on this qubit, or played with another gate's pulse
        length = to_ticks(value(f"{name}.{gate}.duration"), what=f"{name}.{gate}.duration")
        envelope = sample_envelope(Gaussian(length=length, sigma=value(f"{name}.{gate}.sigma")))
        amplitudes = drive_values(chip, name, envelope)
        yield f"{gate}.amplitude", amplitudes.pi if gate == "x" else amplitudes.half_pi, ""
        yield f"{gate}.beta", 0.0, "two levels need no derivative"
        yield f"{gate}.error", _error(chip, name, value(f"{name}.{gate}.duration")), ""
    yield "id.error", _error(chip, name, value(f"{name}.id.duration")), ""
    if "u" in file.device.gates:
        yield "u.error", _error(chip, name, 2 * value(f"{name}.sx.duration")), "two sx"
    yield from _readout_lines(chip, file, name)


def _readout_lines(chip: Chip, file: DeviceFile, name: str) -> Iterator[Line]:
    value = file.snapshot().value
    truth = chip.truth.qubits[chip.truth.index(name)]
    duration = to_ticks(value(f"{name}.readout.duration"), what="readout")
    pulse = ReadoutPulse(
        samples=np.ones(duration, dtype=np.complex128),
        amplitude=readout_amplitude(chip, name, photons=PHOTONS),
        frequency=readout_frequency(chip, name),
        delay=chip.time_of_flight,
        length=to_ticks(value(f"{name}.readout.integration"), what="integration"),
    )
    found = readout_values(chip, name, pulse)
    yield "readout.frequency", pulse.frequency, "between the resonator's places for 0 and for 1"
    yield "readout.chi", truth.resonator.chi, "half of the step between these"
    yield "readout.amplitude", pulse.amplitude, f"{PHOTONS:g} photons"
    yield "readout.delay", pulse.delay * 1e-9, "time of flight: the acquisition starts this long after the pulse"
    yield "readout.rotation", found.rotation, ""
    yield "readout.threshold", found.threshold, ""
    yield "measure.prob_meas1_prep0", found.prob_meas1_prep0, ""
    yield "measure.prob_meas0_prep1", found.prob_meas0_prep1, ""
    yield "measure.error", (found.prob_meas1_prep0 + found.prob_meas0_prep1) / 2, ""


def pair_lines(chip: Chip, file: DeviceFile, qubits: tuple[int, int]) -> Iterator[Line]:
    """Give what the chip says of a pair."""
    name = file.device.operand_name(qubits)
    value = file.snapshot().value
    first, second = (file.device.qubits[i] for i in qubits)
    top = to_ticks(value(f"{name}.cz.top"), what=f"{name}.cz.top")
    slot = to_ticks(value(f"{name}.cz.duration"), what=f"{name}.cz.duration")
    meeting = cz_values(chip, first, second, top=top, slot=slot)
    amplitude = round(meeting.amplitude * GAIN_STEPS) / GAIN_STEPS
    found = cz_values(chip, first, second, top=top, slot=slot, amplitude=amplitude)
    zz = next(zz for bond, zz in chip.zz.items() if {*bond} == {chip.truth.index(first), chip.truth.index(second)})
    yield "zz", zz * 1e9, "how far one in 1 shifts the other, at rest"
    yield "cz.amplitude", found.amplitude, "on the grid of the output's gain"
    yield "cz.phase_first", found.phase_first, ""
    yield "cz.phase_second", found.phase_second, ""
    yield "cz.error", _rounded_up(found.error), ""
    yield "cz.leakage", found.leakage, "part of 11 that does not come back"
    if "cx" in file.device.gates:
        yield (
            "cx.error",
            _rounded_up(found.error + _pair_error(chip, file, qubits)),
            "a cz between two sx of the target",
        )


def _error(chip: Chip, name: str, duration: float) -> float:
    return _rounded_up(coherence_error(chip, name, duration))


def _pair_error(chip: Chip, file: DeviceFile, qubits: tuple[int, int]) -> float:
    """What T1 and T2 cost a pair while one of them is turned by two sx, the slower ones."""
    names = [file.device.qubits[i] for i in qubits]
    truths = [chip.truth.qubits[chip.truth.index(name)] for name in names]
    longest = max(file.snapshot().value(f"{name}.sx.duration") for name in names)
    return coherence_limit(2 * longest, tuple((truth.t1, truth.t2) for truth in truths))


def _rounded_up(error: float) -> float:
    """Three digits, never below: no error may be less than T1 and T2 allow."""
    step = 10.0 ** (math.floor(math.log10(error)) - 2)
    return math.ceil(error / step) * step


def _replaced(text: str, header: str, lines: Iterator[Line]) -> str:
    """Put lines between the marks of one table, but for what is written by hand above them."""
    part = re.compile(rf"({re.escape(header)}\n(?:(?!\[).*\n)*?{re.escape(BEGIN)}\n)(?:.*\n)*?({re.escape(END)}\n)")
    found = part.search(text)
    if found is None:
        raise SystemExit(f"the device file has no marks in {header}")
    by_hand = {line.partition("=")[0].strip() for line in found[1].splitlines()}
    written = [(f"{key} = {_number(key, value)}", remark) for key, value, remark in lines if key not in by_hand]
    made = "".join(f"{line} # {remark}\n" if remark else f"{line}\n" for line, remark in written)
    return f"{text[: found.start()]}{found[1]}{made}{found[2]}{text[found.end() :]}"


def _number(key: str, value: float) -> str:
    """Seven digits; with a unit, the exponents that engineers read: 28e-6, 6.05e9."""
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return repr(float(f"{value:.7g}"))
    kind = quantity(key)
    exponent = math.floor(math.log10(abs(value)))
    if kind is not None and kind.unit:
        exponent = 3 * (exponent // 3)
    return f"{value / 10.0**exponent:.7g}e{exponent}"


if __name__ == "__main__":
    sys.exit(main())
