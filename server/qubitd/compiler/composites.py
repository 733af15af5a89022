"""What composite gates are made of: checked once per device, and flattened to pulse gates once per gate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from qubitd.core.device import AcquireStep, Affine, BodyStep, CompositeGate, Gate, PulseGate
from qubitd.core.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatStep:
    """One pulse gate inside a gate."""

    gate: str
    operands: tuple[int, ...]
    """Positions among the outer gate's operands."""
    angles: tuple[Affine, ...]
    """In the outer gate's angles."""


def flatten(gates: Mapping[str, Gate], name: str) -> tuple[FlatStep, ...]:
    """Write a gate as pulse gates, in order. The gates must be free of composite problems."""
    gate = gates[name]
    if isinstance(gate, PulseGate):
        angles = tuple(Affine(constant=0.0, terms=((angle, 1.0),)) for angle in gate.angles)
        return (FlatStep(gate=name, operands=tuple(range(len(gate.operands[0]))), angles=angles),)
    return tuple(_inside(step, inner, gates) for step in gate.body for inner in flatten(gates, step.gate))


def composite_problems(
    gates: Mapping[str, Gate], qubits: tuple[str, ...], declared: Collection[str]
) -> Iterator[Problem]:
    """Find bodies that name unknown gates, give wrong operands or angles, or contain themselves.

    Gates that are `declared` but not among `gates` have problems of their own and are passed over.
    """
    unreadable = set(declared) - set(gates)
    for name, gate in gates.items():
        if not isinstance(gate, CompositeGate):
            continue
        if _contains(gates, name, name, frozenset()):
            yield Problem(where=f"gates.{name}.body", what="contains itself; a composite gate must end in pulse gates")
        for i, step in enumerate(gate.body):
            what = None if step.gate in unreadable else _step_problem(gates, gate, step, qubits)
            if what is not None:
                yield Problem(where=f"gates.{name}.body[{i}]", what=what)


def _inside(step: BodyStep, inner: FlatStep, gates: Mapping[str, Gate]) -> FlatStep:
    """An inner step in terms of the outer gate's operands and angles."""
    given = dict(zip(gates[step.gate].angles, step.angles, strict=True))
    return FlatStep(
        gate=inner.gate,
        operands=tuple(step.operands[i] for i in inner.operands),
        angles=tuple(_substitute(angle, given) for angle in inner.angles),
    )


def _substitute(angle: Affine, given: Mapping[str, Affine]) -> Affine:
    total = Affine(constant=angle.constant)
    for name, factor in angle.terms:
        total += given[name].scaled(factor)
    return total


def _contains(gates: Mapping[str, Gate], outer: str, name: str, seen: frozenset[str]) -> bool:
    gate = gates.get(name)
    if not isinstance(gate, CompositeGate) or name in seen:
        return False
    inner = {step.gate for step in gate.body}
    return outer in inner or any(_contains(gates, outer, step, seen | {name}) for step in inner)


def _step_problem(
    gates: Mapping[str, Gate], gate: CompositeGate, step: BodyStep, qubits: tuple[str, ...]
) -> str | None:
    inner = gates.get(step.gate)
    if inner is None:
        return f"unknown gate {step.gate!r}; known are {', '.join(sorted(gates))}"
    if isinstance(inner, PulseGate) and any(isinstance(part, AcquireStep) for part in inner.steps):
        return f"{step.gate} is a measurement; a composite gate cannot hold one"
    if len(step.angles) != len(inner.angles):
        return f"{step.gate} takes {len(inner.angles)} angles, not {len(step.angles)}"
    if len(set(step.operands)) != len(step.operands):
        return f"{step.gate} is given one qubit twice"
    for operands in gate.operands:
        on = tuple(operands[i] for i in step.operands)
        if on not in inner.operands:
            return f"{step.gate} does not exist on {', '.join(qubits[i] for i in on)}"
    return None
