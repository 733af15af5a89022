"""Pass: composite gates become the pulse gates that they are made of.

Before: checked columns. After: no operation is a composite gate; the order along each wire is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from qubitd.compiler.columns import Columns, Floats, Ints, starts
from qubitd.compiler.composites import flatten
from qubitd.core.circuit import Operation
from qubitd.core.device import CompositeGate, Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand:
    """Replaces each composite gate by its body, all levels at once."""

    gates: Mapping[str, Gate]

    def __call__(self, columns: Columns) -> Expanded:
        """Give the columns without composite gates; the same ones if there were none."""
        if not any(isinstance(self.gates.get(row.name), CompositeGate) for row in columns.operations):
            return Expanded(columns=columns, sources=())
        present: list[int] = np.flatnonzero(np.bincount(columns.opcode)).tolist()
        table: dict[Operation, int] = {}
        bodies = {i: _body(columns.operations[i], self.gates, table) for i in present}
        return _rewritten(columns, bodies, tuple(table))

    def counts(self, columns: Columns) -> Ints:
        """Say how many operations each one becomes."""
        per_row = [
            len(flatten(self.gates, row.name)) if isinstance(self.gates.get(row.name), CompositeGate) else 1
            for row in columns.operations
        ]
        return np.array(per_row, dtype=np.int64)[columns.opcode]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """Where some parameters of the new columns come from."""

    new: Ints
    """Their places, shape (operations, parameters)."""
    old: Ints
    """Places of the old parameters that each is made from, shape (operations, old parameters)."""
    step: _Step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expanded:
    """Columns without composite gates."""

    columns: Columns
    sources: tuple[_Source, ...]

    def params(self, old: Floats) -> Floats:
        """Give the parameters that other old ones would have become, shape (..., parameters)."""
        if not self.sources:
            return old
        params = np.empty((*old.shape[:-1], self.columns.param_start[-1]))
        for source in self.sources:
            params[..., source.new] = source.step.constants + old[..., source.old] @ source.step.factors.T
        return params


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """One operation that stands for (part of) an old one."""

    row: int
    """In the new table."""
    positions: Ints
    """Which of the old operation's qubits it acts on."""
    constants: Floats
    """Its parameters are constants + factors @ the old ones; shape (parameters,)."""
    factors: Floats
    """Shape (parameters, old parameters)."""


def _body(old: Operation, gates: Mapping[str, Gate], table: dict[Operation, int]) -> tuple[_Step, ...]:
    """What stands for an operation: its body, or itself."""
    gate = gates.get(old.name)
    if not isinstance(gate, CompositeGate):
        itself = _Step(
            row=table.setdefault(old, len(table)),
            positions=np.arange(old.num_qubits),
            constants=np.zeros(old.num_params),
            factors=np.eye(old.num_params),
        )
        return (itself,)
    steps: list[_Step] = []
    for step in flatten(gates, old.name):
        row = Operation(name=step.gate, num_qubits=len(step.operands), num_params=len(step.angles), num_clbits=0)
        factors = [[dict(angle.terms).get(name, 0.0) for name in gate.angles] for angle in step.angles]
        steps.append(
            _Step(
                row=table.setdefault(row, len(table)),
                positions=np.array(step.operands, dtype=np.int64),
                constants=np.array([angle.constant for angle in step.angles]),
                factors=np.array(factors).reshape(len(step.angles), len(gate.angles)),
            )
        )
    return tuple(steps)


def _rewritten(old: Columns, bodies: Mapping[int, tuple[_Step, ...]], operations: tuple[Operation, ...]) -> Expanded:
    steps = np.zeros(len(old.operations), dtype=np.int64)
    steps[list(bodies)] = [len(body) for body in bodies.values()]
    count = steps[old.opcode]
    first = np.cumsum(count) - count
    places = [
        (np.flatnonzero(old.opcode == opcode), i, step)
        for opcode, body in bodies.items()
        for i, step in enumerate(body)
    ]
    opcode = np.empty(count.sum(), dtype=np.int64)
    for ops, i, step in places:
        opcode[first[ops] + i] = step.row
    new = replace(
        old,
        operations=operations,
        circuit=np.repeat(old.circuit, count),
        opcode=opcode,
        qubit_start=starts([row.num_qubits for row in operations], opcode),
        param_start=starts([row.num_params for row in operations], opcode),
        clbit_start=starts([row.num_clbits for row in operations], opcode),
    )
    qubits = np.empty(new.qubit_start[-1], dtype=np.int64)
    sources: list[_Source] = []
    for ops, i, step in places:
        at = first[ops] + i
        qubits[_spans(new.qubit_start[at], len(step.positions))] = old.qubits[
            old.qubit_start[ops, None] + step.positions
        ]
        sources.append(
            _Source(
                new=_spans(new.param_start[at], len(step.constants)),
                old=_spans(old.param_start[ops], step.factors.shape[1]),
                step=step,
            )
        )
    expanded = Expanded(columns=replace(new, qubits=qubits), sources=tuple(sources))
    return replace(expanded, columns=replace(expanded.columns, params=expanded.params(old.params)))


def _spans(start: Ints, width: int) -> Ints:
    """Positions of `width` entries from each start; shape (starts, width)."""
    return start[:, None] + np.arange(width)
