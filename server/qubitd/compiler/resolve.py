"""Fills in the numbers of a gate's template once per (gate, operands, calibration), never once per operation.

Lengths are in ticks and envelopes whole. Amplitudes, phases and frequencies are sums of angles and calibration
parameters, each times a factor: a sweep of these fills in other values and resolves nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from qubitd.compiler.templates import gate_parameters, play_qubit, pulse_gates, view_of
from qubitd.core.device import (
    AcquireStep,
    Affine,
    Device,
    Number,
    PlayStep,
    PulseGate,
    Reference,
    Scaled,
    ShiftPhaseStep,
    parameter_name,
)
from qubitd.core.envelope import KERNEL_FIELDS, SHAPE_FIELDS, Envelope, make_envelope, make_sampled
from qubitd.core.errors import InvalidCalibrationError, InvalidInputError, OffGridError, Problem
from qubitd.core.plausibility import value_problem
from qubitd.core.properties import gate_ticks
from qubitd.core.snapshot import Snapshot, Values
from qubitd.core.ticks import to_ticks

NO_FRAME = -1
"""Frame of a play whose phase follows no qubit."""
NOTHING_OWN: Mapping[str, Envelope] = {}
"""Of a job that brings no envelopes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPlay:
    """A pulse whose numbers are known, but for the circuit's angles."""

    line: str
    position: int
    """Which of the operands' frames it follows, as the circuit counts them; NO_FRAME for none."""
    frame: int
    """That frame's qubit, or NO_FRAME."""
    envelope: Envelope
    amplitude: Affine
    """Fraction of full scale; terms are angles and calibration parameters, here and below."""
    phase: Affine
    """Radians, on top of the frame's phase at the gate's start."""
    frequency: Affine
    """Hz at the line; 0 on a flux line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedAcquisition:
    """An integration whose numbers are known."""

    line: str
    qubit: int
    delay: int
    """Ticks from the gate's start."""
    length: int
    """Ticks."""
    frequency: Affine
    """Hz."""
    kernel: Envelope | None
    """Its weights; None for a boxcar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedGate:
    """A pulse gate on its operands."""

    name: str
    operands: tuple[int, ...]
    """As the circuit gives them."""
    angles: tuple[str, ...]
    length: int
    """Ticks that it takes on each operand."""
    plays: tuple[ResolvedPlay, ...]
    acquisitions: tuple[ResolvedAcquisition, ...]
    shifts: tuple[Affine, ...]
    """Radians by which it advances each operand's frame, in the circuit's order."""
    parameters: frozenset[str]
    """Names of all parameters that it was made from."""
    shaping: frozenset[str]
    """Those of them that are no mere terms of a sum: with another value it is resolved again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptValues:
    """A snapshot in which some parameters have other values."""

    snapshot: Snapshot
    point: Mapping[str, float]

    def __contains__(self, name: str, /) -> bool:
        return name in self.snapshot

    def value(self, name: str) -> float:
        """Give the point's value, or else the snapshot's."""
        return self.point[name] if name in self.point else self.snapshot.value(name)


def resolve_gate(
    device: Device,
    values: Values,
    gate: PulseGate,
    operands: tuple[int, ...],
    own: Mapping[str, Envelope] = NOTHING_OWN,
) -> ResolvedGate:
    """Fill in the numbers of a pulse gate.

    Args:
        device: that has the gate.
        values: of the calibration's parameters.
        gate: the template.
        operands: as the circuit gives them.
        own: envelopes and kernels in place of the template's, by names such as `q0.x.envelope`.

    Raises:
        InvalidCalibrationError: values are missing, implausible, off the grid or contradict each other; all are named.
    """
    missing = [name for name in sorted(gate_parameters(device, gate, operands)) if name not in values]
    if missing:
        raise InvalidCalibrationError([Problem(where=name, what="has no value; calibrate it") for name in missing])
    return _Resolver(device, values, gate, operands, own).resolve()


def calibration_problems(device: Device, values: Values) -> tuple[Problem, ...]:
    """Find what keeps any gate from being played with these values. A gate that merely lacks a value is no problem."""
    found: dict[Problem, None] = {}
    for gate, operands in pulse_gates(device):
        if all(name in values for name in gate_parameters(device, gate, operands)):
            found.update(dict.fromkeys(_problems_of(device, values, gate, operands)))
    return tuple(found)


class _Resolver:
    """One gate on its operands, with the problems met so far."""

    def __init__(
        self,
        device: Device,
        values: Values,
        gate: PulseGate,
        operands: tuple[int, ...],
        own: Mapping[str, Envelope],
    ) -> None:
        self.own = own
        self.device = device
        self.values = values
        self.gate = gate
        self.operands = operands
        self.view = view_of(gate, operands)
        self.problems: list[Problem] = []
        self.shifts = [Affine(constant=0.0)] * len(operands)
        self.terms: set[str] = set()
        """Parameters that stand as terms of a sum."""
        self.shaping: set[str] = set()
        """Parameters whose values went into something else."""

    def resolve(self) -> ResolvedGate:
        length = self._gate_length()
        plays: list[ResolvedPlay] = []
        acquisitions: list[ResolvedAcquisition] = []
        for step in self.gate.steps:
            match step:
                case PlayStep():
                    plays.extend(self._play(step, length))
                case AcquireStep():
                    acquisitions.append(self._acquisition(step, length))
                case ShiftPhaseStep():
                    position = self.operands.index(self.view[step.operand])
                    self.shifts[position] = self.shifts[position] + self._angled(step.phase)
                case _:
                    assert_never(step)
        if self.problems:
            raise InvalidCalibrationError(list(dict.fromkeys(self.problems)))
        return ResolvedGate(
            name=self.gate.name,
            operands=self.operands,
            angles=self.gate.angles,
            length=length,
            plays=tuple(plays),
            acquisitions=tuple(acquisitions),
            shifts=tuple(self.shifts),
            parameters=(parameters := gate_parameters(self.device, self.gate, self.operands)),
            shaping=parameters - (self.terms - self.shaping),
        )

    def _play(self, step: PlayStep, slot: int) -> Iterator[ResolvedPlay]:
        """Give the play; nothing if its envelope cannot be made."""
        qubit = play_qubit(self.device, step, self.view)
        name = self.device.qubits[qubit]
        length = self._ticks(step.length, "a play")
        if length > slot:
            self._refuse(step.length, f"a pulse of {length} ns does not fit {self._taking(slot)}")
        envelope = self._envelope(step, length)
        if envelope is None:
            return
        in_frame = step.line == "drive"
        position = self.operands.index(qubit) if in_frame else NO_FRAME
        phase = self._angled(step.phase)
        yield ResolvedPlay(
            line=f"{name}.{step.line}",
            position=position,
            frame=qubit if in_frame else NO_FRAME,
            envelope=envelope,
            amplitude=self._angled(step.amplitude),
            phase=phase + self.shifts[position] if in_frame else phase,
            frequency=self._frequency(step, name),
        )

    def _envelope(self, step: PlayStep, length: int) -> Envelope | None:
        own = self._own("envelope", length)
        if own is not None:
            return own
        where = self._name(step.length)
        try:
            if step.envelope == "sampled":
                return make_sampled(step.samples, where=where)
            shape = {field: self._fixed(step.shape[field]) for field in SHAPE_FIELDS[step.envelope]}
            return make_envelope(step.envelope, length=length, shape=shape, where=where)
        except InvalidInputError as error:
            self.problems.extend(error.problems)
            return None

    def _kernel(self, step: AcquireStep, length: int) -> Envelope | None:
        """Give the weights of an acquisition; None for a boxcar, or if they cannot be made."""
        own = self._own("kernel", length)
        if own is not None:
            return own
        if step.kernel == "boxcar":
            return None
        shape = {field: self._fixed(step.shape[field]) for field in KERNEL_FIELDS[step.kernel]}
        try:
            return make_envelope(step.kernel, length=length, shape=shape, where=self._name(step.length))
        except InvalidInputError as error:
            self.problems.extend(error.problems)
            return None

    def _own(self, kind: str, length: int) -> Envelope | None:
        """Give what the job brings for a step of so many ticks, if anything."""
        name = f"{self.device.operand_name(self.operands)}.{self.gate.name}.{kind}"
        found = self.own.get(name)
        if found is not None and found.length != length:
            self.problems.append(
                Problem(where=name, what=f"has {found.length} samples; what it is for takes {length} ns")
            )
        return found

    def _acquisition(self, step: AcquireStep, slot: int) -> ResolvedAcquisition:
        name = self.device.qubits[self.view[step.operand]]
        delay = self._ticks(step.delay, "the delay of an acquisition")
        length = self._ticks(step.length, "an acquisition")
        if delay + length > slot:
            self._refuse(
                step.length, f"an acquisition that ends after {delay + length} ns does not fit {self._taking(slot)}"
            )
        return ResolvedAcquisition(
            line=f"{name}.readout",
            qubit=self.view[step.operand],
            delay=delay,
            length=length,
            frequency=self._term(f"{name}.readout.frequency"),
            kernel=self._kernel(step, length),
        )

    def _frequency(self, step: PlayStep, qubit: str) -> Affine:
        match step.line:
            case "drive":
                return self._term(f"{qubit}.frequency")
            case "readout":
                return self._term(f"{qubit}.readout.frequency")
            case "flux":
                return Affine(constant=0.0)
            case _:
                assert_never(step.line)

    def _gate_length(self) -> int:
        try:
            return gate_ticks(self.device, self.values, self.gate, self.operands)
        except OffGridError as error:
            self._refuse(self.gate.duration, str(error))
            return 0

    def _ticks(self, number: Number, what: str) -> int:
        try:
            return to_ticks(self._fixed(number), what=f"{what} of {self._gate_name()}")
        except OffGridError as error:
            self._refuse(number, str(error))
            return 0

    def _fixed(self, number: Number) -> float:
        if isinstance(number, Reference):
            return self._shaping(self._name(number))
        if isinstance(number, Affine | Scaled):
            self._refuse(number, "a length or the shape of an envelope cannot depend on an angle")
            return 0.0
        return number

    def _angled(self, number: Number) -> Affine:
        if isinstance(number, Scaled):
            return number.by.scaled(self._shaping(self._name(number.reference)))
        if isinstance(number, Reference):
            return self._term(self._name(number))
        return number if isinstance(number, Affine) else Affine(constant=number)

    def _term(self, name: str) -> Affine:
        """Give a parameter by name, once its value has been checked."""
        self._checked(name)
        self.terms.add(name)
        return Affine(constant=0.0, terms=((name, 1.0),))

    def _shaping(self, name: str) -> float:
        self.shaping.add(name)
        return self._checked(name)

    def _checked(self, name: str) -> float:
        value = self.values.value(name)
        problem = value_problem(name, value)
        if problem is not None:
            self.problems.append(Problem(where=name, what=problem))
        return value

    def _refuse(self, number: Number, what: str) -> None:
        self.problems.append(Problem(where=self._name(number), what=what))

    def _name(self, number: Number) -> str:
        if isinstance(number, Reference):
            return parameter_name(self.device, self.operands, number)
        return self._gate_name()

    def _taking(self, slot: int) -> str:
        return f"{self._gate_name()}, which takes {slot} ns; make the gate's duration longer"

    def _gate_name(self) -> str:
        return f"{self.gate.name} on {self.device.operand_name(self.operands)}"


def _problems_of(device: Device, values: Values, gate: PulseGate, operands: tuple[int, ...]) -> tuple[Problem, ...]:
    try:
        resolve_gate(device, values, gate, operands)
    except InvalidCalibrationError as error:
        return error.problems
    return ()
