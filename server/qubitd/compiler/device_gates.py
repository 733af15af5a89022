"""The `[gates]` part of a device file: templates of plays, phase shifts and acquisitions, and composite gates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qubitd.compiler.toml_section import Section, as_list, finite_number
from qubitd.core.angles import AngleExpressionError, parse_angle
from qubitd.core.device import (
    BUILT_IN_OPERATIONS,
    AcquireStep,
    Affine,
    BodyStep,
    CompositeGate,
    Coupler,
    Gate,
    LineKind,
    Meaning,
    Number,
    PlayStep,
    PulseGate,
    Reference,
    Scaled,
    ShiftPhaseStep,
    Step,
)
from qubitd.core.envelope import KERNEL_FIELDS, SHAPE_FIELDS, make_sampled
from qubitd.core.errors import InvalidDeviceError
from qubitd.core.ticks import to_seconds

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAMETER = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*")
_LINES: Mapping[str, LineKind] = {"drive": "drive", "flux": "flux", "readout": "readout"}
_MISSING = "is missing; it must be a number or the name of a parameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What the steps of one gate may refer to."""

    num_qubits: int
    angles: tuple[str, ...]
    has_pulsed: bool


def read_gates(section: Section, qubits: Sequence[str], couplers: Sequence[Coupler]) -> dict[str, Gate]:
    """Read all gates; those with a problem are left out."""
    gates: dict[str, Gate] = {}
    for name in section:
        if not _NAME.fullmatch(name) or name in BUILT_IN_OPERATIONS:
            section.refuse(name, "is no name for a gate; use letters, digits and _, and not barrier or delay")
        found = len(section.problems)
        gate = _read_gate(name, section.section(name), qubits, couplers)
        if len(section.problems) == found:
            gates[name] = gate
    return gates


def _read_gate(name: str, section: Section, qubits: Sequence[str], couplers: Sequence[Coupler]) -> Gate:
    operands = _read_operands(section, qubits, couplers)
    num_qubits = len(operands[0]) if operands else 1
    angles = tuple(section.texts("angles"))
    for angle in angles:
        if not _NAME.fullmatch(angle) or angle == "pi" or angles.count(angle) > 1:
            section.refuse("angles", f"{angle!r} is no name for an angle, or stands twice")
    frame = _Frame(num_qubits=num_qubits, angles=angles, has_pulsed=_are_coupled(operands, couplers))
    made = (
        _read_composite(name, section, operands, frame)
        if "body" in section
        else _read_pulse_gate(name, section, operands, frame)
    )
    section.close()
    return made


def _read_pulse_gate(name: str, section: Section, operands: tuple[tuple[int, ...], ...], frame: _Frame) -> PulseGate:
    steps = tuple(
        step for part in (section.sections("steps") if "steps" in section else ()) if (step := _read_step(part, frame))
    )
    does_something = any(not isinstance(step, AcquireStep) for step in steps)
    return PulseGate(
        name=name,
        operands=operands,
        symmetric=section.flag("symmetric"),
        angles=frame.angles,
        duration=_read_fixed(section, "duration", frame),
        error=_read_fixed(section, "error", frame) if does_something or "error" in section else None,
        steps=steps,
        meaning=_read_meaning(section),
        internal=section.flag("internal"),
    )


def _read_composite(name: str, section: Section, operands: tuple[tuple[int, ...], ...], frame: _Frame) -> CompositeGate:
    body = tuple(_read_body_step(part, frame) for part in section.sections("body"))
    return CompositeGate(
        name=name,
        operands=operands,
        angles=frame.angles,
        error=_read_fixed(section, "error", frame),
        body=body,
        meaning=_read_meaning(section),
        internal=section.flag("internal"),
    )


def _read_meaning(section: Section) -> Meaning:
    definition = (section.text("definition") or "") if "definition" in section else ""
    return Meaning(definition=definition, equivalences=tuple(section.texts("equivalences")))


def _read_operands(section: Section, qubits: Sequence[str], couplers: Sequence[Coupler]) -> tuple[tuple[int, ...], ...]:
    on = section.raw("on")
    if on == "qubits":
        return tuple((i,) for i in range(len(qubits)))
    if on == "pairs":
        return tuple(pair for c in couplers for pair in (c.qubits, c.qubits[::-1]))
    groups = tuple(_positions(entry, qubits) for entry in as_list(on) or [])
    if not groups or any(not group or len(group) != len(groups[0]) for group in groups):
        what = 'must be "qubits", "pairs", a list of qubits, or a list of lists of as many different qubits each'
        section.refuse("on", what)
        return ()
    return groups


def _positions(entry: object, qubits: Sequence[str]) -> tuple[int, ...]:
    """The indices of a qubit or of a list of different ones; none if it is anything else."""
    names = [entry] if isinstance(entry, str) else as_list(entry) or []
    found = tuple(qubits.index(name) for name in names if isinstance(name, str) and name in qubits)
    return found if len(set(found)) == len(names) else ()


def _are_coupled(operands: tuple[tuple[int, ...], ...], couplers: Sequence[Coupler]) -> bool:
    pairs = {coupler.qubits for coupler in couplers}
    return all(tuple(sorted(group)) in pairs for group in operands)


def _read_step(section: Section, frame: _Frame) -> Step | None:
    step: Step | None = None
    if "play" in section:
        step = _read_play(section, frame)
    elif "shift_phase" in section:
        step = ShiftPhaseStep(
            operand=_read_operand(section, frame), phase=_read_number(section, "shift_phase", frame.angles)
        )
    elif "acquire" in section:
        step = _read_acquisition(section, frame)
    else:
        section.refuse("", "must have one of the keys play, shift_phase, acquire")
        return None
    section.close()
    return step


def _read_play(section: Section, frame: _Frame) -> PlayStep:
    envelope = section.text("play") or ""
    if envelope not in SHAPE_FIELDS:
        section.refuse("play", f"unknown envelope {envelope!r}; known are {', '.join(sorted(SHAPE_FIELDS))}")
    line = section.text("line") or ""
    if line not in _LINES:
        section.refuse("line", f"unknown line {line!r}; known are {', '.join(_LINES)}")
    if line == "flux" and "phase" in section:
        section.refuse("phase", "a flux line has no carrier that could have one; turn the amplitude's sign")
    samples = _read_samples(section) if envelope == "sampled" else ()
    return PlayStep(
        line=_LINES.get(line, "drive"),
        operand=_read_play_operand(section, frame),
        envelope=envelope,
        length=to_seconds(len(samples)) if samples else _read_fixed(section, "length", frame),
        amplitude=_read_number(section, "amplitude", frame.angles),
        phase=_read_number(section, "phase", frame.angles) if "phase" in section else 0.0,
        shape={key: _read_fixed(section, key, frame) for key in SHAPE_FIELDS.get(envelope, ())},
        samples=samples,
    )


def _read_samples(section: Section) -> tuple[complex, ...]:
    """Numbers 1 ns apart: `samples`, and `quadrature` if the envelope is complex."""
    real = _read_row(section, "samples")
    imaginary = _read_row(section, "quadrature") if "quadrature" in section else [0.0] * len(real)
    if len(imaginary) != len(real):
        section.refuse("quadrature", f"has {len(imaginary)} numbers; `samples` has {len(real)}")
    try:
        made = make_sampled([complex(*pair) for pair in zip(real, imaginary, strict=False)], where="")
    except InvalidDeviceError as error:
        section.refuse("samples", error.problems[0].what)
        return (0j,)
    return made.samples


def _read_row(section: Section, key: str) -> list[float]:
    values = as_list(section.raw(key)) or []
    numbers = [number for value in values if (number := finite_number(value)) is not None]
    if len(numbers) != len(values):
        section.refuse(key, "must be a list of finite numbers")
    return numbers


def _read_acquisition(section: Section, frame: _Frame) -> AcquireStep:
    kernel = (section.text("kernel") or "") if "kernel" in section else "boxcar"
    if kernel not in KERNEL_FIELDS:
        section.refuse("kernel", f"unknown kernel {kernel!r}; known are {', '.join(sorted(KERNEL_FIELDS))}")
    return AcquireStep(
        operand=_read_operand(section, frame),
        delay=_read_fixed(section, "delay", frame),
        length=_read_fixed(section, "acquire", frame),
        kernel=kernel,
        shape={key: _read_fixed(section, key, frame) for key in KERNEL_FIELDS.get(kernel, ())},
    )


def _read_play_operand(section: Section, frame: _Frame) -> int | Literal["pulsed"]:
    if section.raw("qubit") != "pulsed":
        return _read_operand(section, frame)
    if not frame.has_pulsed:
        section.refuse("qubit", '"pulsed" is the pulsed qubit of a coupled pair; this gate stands on others')
    return "pulsed"


def _read_operand(section: Section, frame: _Frame) -> int:
    """A position among the gate's qubits; 0 goes without saying for a gate on one qubit."""
    if frame.num_qubits == 1 and "qubit" not in section:
        return 0
    return section.integer("qubit", least=0, most=frame.num_qubits - 1) or 0


def _read_body_step(section: Section, frame: _Frame) -> BodyStep:
    angles = as_list(section.raw("angles")) if "angles" in section else []
    if angles is None:
        section.refuse("angles", "must be a list of numbers and expressions")
    step = BodyStep(
        gate=section.text("gate") or "",
        operands=_read_body_operands(section, frame),
        angles=tuple(_read_affine(section, "angles", angle, frame.angles) for angle in angles or []),
    )
    section.close()
    return step


def _read_body_operands(section: Section, frame: _Frame) -> tuple[int, ...]:
    """Positions among the gate's qubits; all of them go without saying."""
    positions = range(frame.num_qubits)
    if "qubits" not in section:
        return tuple(positions)
    given = as_list(section.raw("qubits")) or []
    found = tuple(i for i in given if isinstance(i, int) and not isinstance(i, bool) and i in positions)
    if not given or len(found) != len(given):
        section.refuse("qubits", f"must be a list of positions among the gate's qubits, 0 to {frame.num_qubits - 1}")
        return (0,)
    return found


def _read_fixed(section: Section, key: str, frame: _Frame) -> Number:
    """A number or the name of a parameter."""
    number = _read_number(section, key, frame.angles)
    if isinstance(number, Affine | Scaled):
        section.refuse(key, "cannot depend on an angle")
        return 0.0
    return number


def _read_number(section: Section, key: str, angles: tuple[str, ...]) -> Number:
    """A number, a parameter, an expression of the gate's angles, or a parameter * an expression."""
    value = section.raw(key)
    if value is None:
        section.refuse(key, _MISSING)
        return 0.0
    if isinstance(value, str) and _is_parameter(value, angles):
        return Reference(name=value)
    name, times, rest = value.partition("*") if isinstance(value, str) else ("", "", "")
    if times and _is_parameter(name.strip(), angles):
        return Scaled(reference=Reference(name=name.strip()), by=_read_affine(section, key, rest, angles))
    affine = _read_affine(section, key, value, angles)
    return affine if affine.terms else affine.constant


def _is_parameter(text: str, angles: tuple[str, ...]) -> bool:
    return _PARAMETER.fullmatch(text) is not None and text not in (*angles, "pi")


def _read_affine(section: Section, key: str, value: object, angles: tuple[str, ...]) -> Affine:
    if isinstance(value, str):
        try:
            return parse_angle(value, angles)
        except AngleExpressionError as error:
            section.refuse(key, str(error))
            return Affine(constant=0.0)
    number = finite_number(value)
    if number is None:
        section.refuse(key, f"must be a finite number, the name of a parameter or an expression, not {value!r}")
    return Affine(constant=number or 0.0)
