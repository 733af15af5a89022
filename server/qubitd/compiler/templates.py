"""What the templates of a device's gates refer to: parameters, qubits and lines, before any of them has a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from qubitd.core.device import (
    AcquireStep,
    Device,
    Number,
    PlayStep,
    PulseGate,
    Reference,
    Scaled,
    ShiftPhaseStep,
    Step,
    parameter_name,
)
from qubitd.core.envelope import KERNEL_FIELDS, SHAPE_FIELDS
from qubitd.core.errors import InvalidDeviceError, Problem
from qubitd.core.register_grid import Register


def pulse_gates(device: Device) -> Iterator[tuple[PulseGate, tuple[int, ...]]]:
    """Give every pulse gate on all of its operands."""
    for gate in device.gates.values():
        if isinstance(gate, PulseGate):
            yield from ((gate, operands) for operands in gate.operands)


def gate_parameters(device: Device, gate: PulseGate, operands: tuple[int, ...]) -> frozenset[str]:
    """Name all parameters that a pulse gate on these operands is played with."""
    calibrated = (gate.duration, *(number for step in gate.steps for number in _numbers(step)))
    names = {parameter_name(device, operands, of) for n in calibrated if (of := _reference(n)) is not None}
    view = view_of(gate, operands)
    for step in gate.steps:
        match step:
            case PlayStep(line="drive"):
                names.add(f"{device.qubits[play_qubit(device, step, view)]}.frequency")
            case PlayStep(line="readout"):
                names.add(f"{device.qubits[play_qubit(device, step, view)]}.readout.frequency")
            case AcquireStep():
                names.add(f"{device.qubits[view[step.operand]]}.readout.frequency")
            case PlayStep() | ShiftPhaseStep():
                continue
            case _:
                assert_never(step)
    return frozenset(names)


def on_grid_parameters(device: Device, gate: PulseGate, operands: tuple[int, ...]) -> frozenset[str]:
    """Name the parameters of a pulse gate that must be whole numbers of ticks."""
    durations: list[Number] = [gate.duration]
    for step in gate.steps:
        match step:
            case PlayStep():
                durations.append(step.length)
            case AcquireStep():
                durations.extend((step.delay, step.length))
            case ShiftPhaseStep():
                continue
            case _:
                assert_never(step)
    return frozenset(parameter_name(device, operands, n) for n in durations if isinstance(n, Reference))


def register_parameters(device: Device, gate: PulseGate, operands: tuple[int, ...]) -> dict[str, Register]:
    """Name the parameters of a pulse gate that go into registers as they are, and what these hold."""
    found: dict[str, Register] = {}
    view = view_of(gate, operands)
    for step in gate.steps:
        numbers: list[tuple[Number, Register]] = []
        match step:
            case PlayStep():
                numbers += [(step.amplitude, Register.AMPLITUDE), (step.phase, Register.PHASE)]
                name = device.qubits[play_qubit(device, step, view)]
                tones = {"drive": f"{name}.frequency", "readout": f"{name}.readout.frequency"}
                if step.line in tones:
                    found[tones[step.line]] = Register.FREQUENCY
            case ShiftPhaseStep():
                numbers.append((step.phase, Register.PHASE))
            case AcquireStep():
                found[f"{device.qubits[view[step.operand]]}.readout.frequency"] = Register.FREQUENCY
            case _:
                assert_never(step)
        found |= {parameter_name(device, operands, n): kind for n, kind in numbers if isinstance(n, Reference)}
    return found


def lines_of(device: Device) -> tuple[str, ...]:
    """Name the lines that the device's gates play or acquire on, in the order of its qubits."""
    used: set[str] = set()
    for gate, operands in pulse_gates(device):
        used.update(_step_lines(device, gate, operands))
    kinds = ("drive", "flux", "readout")
    return tuple(line for qubit in device.qubits for kind in kinds if (line := f"{qubit}.{kind}") in used)


def view_of(gate: PulseGate, operands: tuple[int, ...]) -> tuple[int, ...]:
    """Give the operands as the template counts them."""
    return tuple(sorted(operands)) if gate.symmetric else operands


def play_qubit(device: Device, step: PlayStep, view: tuple[int, ...]) -> int:
    """Give the qubit on whose line a step plays.

    Raises:
        InvalidDeviceError: it plays on the pulsed qubit of operands that are not coupled.
    """
    if step.operand != "pulsed":
        return view[step.operand]
    coupler = device.coupler(view)
    if coupler is None:
        where = device.operand_name(view)
        raise InvalidDeviceError([Problem(where=where, what="a play on the pulsed qubit needs a coupler")])
    return coupler.pulsed


def _reference(number: Number) -> Reference | None:
    """The parameter that a number is made from."""
    if isinstance(number, Scaled):
        return number.reference
    return number if isinstance(number, Reference) else None


def _numbers(step: Step) -> tuple[Number, ...]:
    match step:
        case PlayStep():
            shape = (step.shape[field] for field in SHAPE_FIELDS[step.envelope])
            return (step.length, step.amplitude, step.phase, *shape)
        case ShiftPhaseStep():
            return (step.phase,)
        case AcquireStep():
            return (step.delay, step.length, *(step.shape[field] for field in KERNEL_FIELDS[step.kernel]))
        case _:
            assert_never(step)


def _step_lines(device: Device, gate: PulseGate, operands: tuple[int, ...]) -> Iterator[str]:
    view = view_of(gate, operands)
    for step in gate.steps:
        if isinstance(step, PlayStep):
            yield f"{device.qubits[play_qubit(device, step, view)]}.{step.line}"
        elif isinstance(step, AcquireStep):
            yield f"{device.qubits[view[step.operand]]}.readout"
