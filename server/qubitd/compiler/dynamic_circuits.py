"""The circuits of a job that look at outcomes while they run, and what must be true of them before they can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from qubitd.compiler.active_reset import late_resets
from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.flatten import Flattened, Guards
from qubitd.compiler.gate_table import GateKey
from qubitd.compiler.places import problem_at
from qubitd.core.circuit import CircuitBatch, offsets
from qubitd.core.discriminator import discriminator_of
from qubitd.core.errors import InvalidCalibrationError, Problem
from qubitd.core.feedforward import ALWAYS, FeedForward
from qubitd.core.job import InitialReset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DynamicCircuit:
    """What decides over a circuit's operations, and how fast."""

    guards: Guards
    facts: FeedForward


DynamicCircuits: TypeAlias = Mapping[int, DynamicCircuit]
"""By the index of the circuit in its batch."""


def dynamic_circuits(flat: Flattened, facts: FeedForward | None) -> DynamicCircuits:
    """Give the circuits of a batch that look at outcomes; there is none without feed-forward."""
    if facts is None:
        return {}
    return {i: DynamicCircuit(guards=guards, facts=facts) for i, guards in flat.guards.items()}


def feed_problems(
    gates: CalibratedGates, batch: CircuitBatch, flat: Flattened, facts: FeedForward | None
) -> tuple[Problem, ...]:
    """Say what keeps outcomes from being used.

    Args:
        gates: of the device.
        batch: as it was written.
        flat: the same without control flow.
        facts: of the controller; None if it has no feed-forward.
    """
    found: list[Problem] = []
    for i, guards in flat.guards.items():
        if facts is None:
            found.append(_no_feedforward(gates, batch, i, guards))
            continue
        where = f"circuit {i} ({batch.circuits[i].name!r})"
        whats = [*_controller_problems(flat, i, guards, facts), *_readout_problems(gates, flat, i, guards)]
        found += (Problem(where=where, what=what, circuit=i) for what in whats)
        found += _reset_problems(gates, batch, i, flat.initial, guards.front)
        found += _piece_problems(gates, batch, i, flat.batch, guards)
    return tuple(found)


def _no_feedforward(gates: CalibratedGates, batch: CircuitBatch, index: int, guards: Guards) -> Problem:
    op = int(guards.source[np.flatnonzero(guards.test != ALWAYS)[0]])
    name = batch.operations[int(batch.circuits[index].opcodes[op])].name
    what = "depends on an outcome while the circuit runs, and this rack's controller has no feed-forward"
    if op < guards.front:
        what += "; ask for a passive initial reset"
    elif name == "reset":
        what += "; leave it out, or put it before the first gate: every shot starts from reset qubits"
    else:
        what += "; leave it out"
    return _problem(gates, batch, index, op, what, guards.front)


def _controller_problems(flat: Flattened, index: int, guards: Guards, facts: FeedForward) -> Iterator[str]:
    feeding = _feeding(flat, index, guards)
    if len(feeding) > facts.addresses:
        yield f"looks at outcomes of {len(feeding)} qubits; the controller can tell {facts.addresses} apart"
    missing = sorted({test.operator.name for test in guards.tests if test.operator not in facts.operators})
    if missing:
        yield f"needs conditions with {' and '.join(missing)}, which the controller does not have"


def _readout_problems(gates: CalibratedGates, flat: Flattened, index: int, guards: Guards) -> Iterator[str]:
    feeding = _feeding(flat, index, guards)
    for qubit in feeding:
        try:
            discriminator_of(gates.snapshot, gates.device.qubits[qubit])
        except InvalidCalibrationError as error:
            yield from (f"looks at outcomes of {gates.device.qubits[qubit]}: {problem}" for problem in error.problems)
    circuit = flat.batch.circuits[index]
    start = offsets(circuit, flat.batch.operations)
    several = np.flatnonzero(np.diff(start.clbits) > 1)
    for op in several.tolist():
        if not set(feeding).isdisjoint(circuit.qubits[start.qubits[op] : start.qubits[op + 1]].tolist()):
            name = flat.batch.operations[int(circuit.opcodes[op])].name
            sent = guards.source[op] - guards.front
            yield (
                f"has operation {sent} ({name}) measure several qubits at once, one of which feeds "
                "conditions: their outcomes would be sent together"
            )


def _reset_problems(
    gates: CalibratedGates, batch: CircuitBatch, index: int, initial: InitialReset, front: int
) -> Iterator[Problem]:
    """A reset of a used qubit needs a measurement and a flip of it."""
    circuit = batch.circuits[index]
    start = offsets(circuit, batch.operations)
    for op in np.flatnonzero(late_resets(circuit, batch.operations, initial)).tolist():
        qubit = int(circuit.qubits[start.qubits[op]])
        why = "; ".join(_why_not(gates, GateKey(name=name, operands=(qubit,))) for name in ("measure", "x")).strip("; ")
        if why:
            yield _problem(gates, batch, index, op, f"cannot be made: {why}", front)


def _piece_problems(
    gates: CalibratedGates, batch: CircuitBatch, index: int, flat: CircuitBatch, guards: Guards
) -> Iterator[Problem]:
    """What is written piece by piece needs other gates on its qubit; told once for each gate that does."""
    circuit, played = batch.circuits[index], flat.circuits[index]
    qubit_at, played_at = offsets(circuit, batch.operations).qubits, offsets(played, flat.operations).qubits
    is_reset = np.array([row.name == "reset" for row in batch.operations])
    asked = circuit.opcodes[guards.source]
    pieces = np.flatnonzero((played.opcodes != asked) & ~is_reset[asked])
    kinds = np.stack([asked[pieces], played.opcodes[pieces], played.qubits[played_at[pieces]]]).astype(np.int64)
    _, first = np.unique(kinds, axis=1, return_index=True)
    whys: dict[tuple[int, int], tuple[int, list[str]]] = {}
    for piece in pieces[np.sort(first)].tolist():
        op = int(guards.source[piece])
        key = GateKey(
            name=flat.operations[int(played.opcodes[piece])].name, operands=(int(circuit.qubits[qubit_at[op]]),)
        )
        why = _why_not(gates, key)
        if why:
            _, told = whys.setdefault((int(asked[piece]), key.operands[0]), (op, []))
            told.append(why)
    for op, told in whys.values():
        what = f"cannot be made under its condition, for which it is written as rz and sx: {'; '.join(told)}"
        yield _problem(gates, batch, index, op, what, guards.front)


def _why_not(gates: CalibratedGates, key: GateKey) -> str:
    gate = gates.device.gates.get(key.name)
    if gate is None or key.operands not in gate.operands:
        return f"the device has no {key.name} on it"
    return "; ".join(map(str, gates.problems(key)))


def _problem(gates: CalibratedGates, batch: CircuitBatch, index: int, op: int, what: str, front: int) -> Problem:
    circuit = batch.circuits[index]
    start = offsets(circuit, batch.operations).qubits
    operands: list[int] = circuit.qubits[start[op] : start[op + 1]].tolist()
    on = ", ".join(gates.device.qubits[q] for q in operands)
    name = batch.operations[int(circuit.opcodes[op])].name
    return problem_at(index, circuit.name, op, f"{name} on {on}", what, front=front)


def _feeding(flat: Flattened, index: int, guards: Guards) -> tuple[int, ...]:
    circuit = flat.batch.circuits[index]
    start = offsets(circuit, flat.batch.operations).qubits
    return tuple(sorted({int(circuit.qubits[start[guards.measurements[number]]]) for number in guards.feeding}))
