"""What a client's Target states, derived from a device and a snapshot in one place.

sx, x, cz, id, measure and lab gates without an error are left out: Qiskit takes a missing error for perfection. No
gate's error is stated below what T1 and T2 alone cost it: simulations made from the Target would disagree with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from qubitd.core.decoherence import coherence_limit
from qubitd.core.device import CompositeGate, Device, Gate, Number, PulseGate, Reference, parameter_name
from qubitd.core.errors import InvalidCalibrationError, Problem
from qubitd.core.snapshot import Snapshot, Values
from qubitd.core.ticks import to_seconds, to_ticks

_NO_UNITARIES = frozenset({"measure", "reset"})
"""Operations whose error is no infidelity of a gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationProperties:
    """A gate on some qubits."""

    name: str
    operands: tuple[int, ...]
    duration: float | None
    """Seconds, on the grid; None where it depends on the circuit (delay)."""
    error: float | None
    """Average gate infidelity, or the mean assignment error of a measurement; None for delay and reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QubitProperties:
    """A qubit as the Target states it."""

    name: str
    t1: float | None
    """Seconds."""
    t2: float | None
    """Seconds, by echo."""
    frequency: float | None
    """Hz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetProperties:
    """Everything a client needs to build a Target at one revision."""

    revision: int
    operations: tuple[OperationProperties, ...]
    qubits: tuple[QubitProperties, ...]


def target_properties(device: Device, snapshot: Snapshot) -> TargetProperties:
    """Derive durations, errors and qubit properties.

    Raises:
        InvalidCalibrationError: a duration that a gate needs is missing.
        OffGridError: a duration is off the grid.
    """
    operations = [row for row in gate_properties(device, snapshot) if not device.gates[row.name].internal]
    delays = [
        OperationProperties(name="delay", operands=(i,), duration=None, error=None) for i in range(device.num_qubits)
    ]
    return TargetProperties(
        revision=snapshot.revision,
        operations=(*operations, *delays),
        qubits=tuple(_qubit(snapshot, name) for name in device.qubits),
    )


def gate_properties(device: Device, snapshot: Snapshot) -> Iterator[OperationProperties]:
    """Derive duration and error of every gate that has an error, those included that only composite gates are made of.

    Raises:
        InvalidCalibrationError: a duration that a gate needs is missing.
        OffGridError: a duration is off the grid.
    """
    for gate in device.gates.values():
        for operands in gate.operands:
            row = _operation(device, snapshot, gate, operands)
            if row is not None:
                yield row


def fixed_number(device: Device, values: Values, operands: tuple[int, ...], number: Number) -> float:
    """Give the value of a template's number that must not depend on a circuit's angles.

    Raises:
        InvalidCalibrationError: the parameter has no value, or the number depends on an angle.
    """
    if isinstance(number, Reference):
        return values.value(parameter_name(device, operands, number))
    if isinstance(number, float):
        return number
    where = f"gate on {device.operand_name(operands)}"
    raise InvalidCalibrationError([Problem(where=where, what="a duration or an error cannot depend on an angle")])


def gate_ticks(device: Device, values: Values, gate: Gate, operands: tuple[int, ...]) -> int:
    """Give the slot that a gate takes on its operands, in ticks: what the Target states and the scheduler uses.

    Raises:
        InvalidCalibrationError: a duration is missing.
        OffGridError: a duration is off the grid.
    """
    what = f"duration of {gate.name} on {device.operand_name(operands)}"
    if isinstance(gate, PulseGate):
        return to_ticks(fixed_number(device, values, operands, gate.duration), what=what)
    return _composite_ticks(device, values, gate, operands)


def _composite_ticks(device: Device, values: Values, gate: CompositeGate, operands: tuple[int, ...]) -> int:
    ready = dict.fromkeys(range(len(operands)), 0)
    for step in gate.body:
        on = tuple(operands[i] for i in step.operands)
        end = max(ready[i] for i in step.operands) + gate_ticks(device, values, device.gates[step.gate], on)
        ready.update(dict.fromkeys(step.operands, end))
    return max(ready.values(), default=0)


def _operation(device: Device, snapshot: Snapshot, gate: Gate, operands: tuple[int, ...]) -> OperationProperties | None:
    error = None
    if gate.error is not None:
        error = _known(device, snapshot, operands, gate.error)
        if error is None:
            return None
    duration = to_seconds(gate_ticks(device, snapshot, gate, operands))
    if error is not None and gate.name not in _NO_UNITARIES:
        error = max(error, coherence_limit(duration, [_lifetimes(snapshot, device.qubits[i]) for i in operands]))
    return OperationProperties(name=gate.name, operands=operands, duration=duration, error=error)


def _lifetimes(values: Values, qubit: str) -> tuple[float, float]:
    """T1 and T2 in seconds, each at its largest where it was never measured."""
    t1 = values.value(f"{qubit}.t1") if f"{qubit}.t1" in values else math.inf
    t2 = values.value(f"{qubit}.t2") if f"{qubit}.t2" in values else 2 * t1
    return t1, t2


def _known(device: Device, snapshot: Snapshot, operands: tuple[int, ...], number: Number) -> float | None:
    if isinstance(number, Reference) and parameter_name(device, operands, number) not in snapshot:
        return None
    return fixed_number(device, snapshot, operands, number)


def _qubit(snapshot: Snapshot, name: str) -> QubitProperties:
    def known(suffix: str) -> float | None:
        full = f"{name}.{suffix}"
        return snapshot.value(full) if full in snapshot else None

    return QubitProperties(name=name, t1=known("t1"), t2=known("t2"), frequency=known("frequency"))
