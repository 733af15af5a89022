"""Pass: dynamical decoupling. Pi pulses in the idle stretches of each qubit, so that slow dephasing is refocused.

Before: checked circuits without control flow, as pulse gates, and their schedule. After: the same circuits with pulses
and delays that fill idle stretches to the tick, so that everything else happens when it did before. A stretch runs from
one operation on a qubit to the next; delays of the circuit belong to it, barriers and virtual Z end it. It is filled if
the qubit was driven since its last measurement or reset, and if one sequence fits; the pulses lie in the middles of n
equal parts (Carr-Purcell), and each sequence is the identity. Y is X between two virtual Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.columns import Columns, Floats, Ints, Wires
from qubitd.compiler.gate_table import mask_of
from qubitd.compiler.schedule import Schedule
from qubitd.core.circuit import Circuit, Operation
from qubitd.core.device import Device
from qubitd.core.errors import Problem
from qubitd.core.job import Decoupling
from qubitd.core.ticks import TICK

SEQUENCES = {Decoupling.X2: "xx", Decoupling.XY4: "xyxy", Decoupling.XY8: "xyxyyxyx"}
_DELAY = Operation(name="delay", num_qubits=1, num_params=1, num_clbits=0)
_RZ = Operation(name="rz", num_qubits=1, num_params=1, num_clbits=0)
_Flat = TypeVar("_Flat", Ints, Floats)
_X = Operation(name="x", num_qubits=1, num_params=0, num_clbits=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One operation of a sequence."""

    operation: Operation
    part: int
    """Of a delay: which part of the stretch's waiting it is."""
    angle: float
    """Of a virtual Z."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretches:
    """Idle stretches that are filled; every column has shape (stretches,)."""

    wire: Ints
    length: Ints
    """Ticks."""
    before: Ints
    """The operation that ends it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decouple:
    """Fills idle stretches with one sequence each."""

    kind: Decoupling
    pulse: Ints
    """Ticks of an x, by qubit of the device."""

    def __call__(self, columns: Columns, wires: Wires, schedule: Schedule, length: Ints) -> Columns:
        """Give the columns with pulses.

        Args:
            columns: the operations.
            wires: of the same columns.
            schedule: when they start.
            length: ticks that each takes.
        """
        stretches, covered = self._stretches(columns, wires, schedule, length)
        if not len(stretches.wire):
            return columns
        kept = np.ones(len(columns), dtype=bool)
        kept[covered] = False
        return _woven(columns, np.flatnonzero(kept), stretches, self._steps(), self._waits(columns, stretches))

    def _stretches(self, columns: Columns, wires: Wires, schedule: Schedule, length: Ints) -> tuple[_Stretches, Ints]:
        """Find the stretches to fill, and the delays that lie in them."""
        op = wires.op[wires.order]
        wire = wires.wire[wires.order]
        acts = np.flatnonzero(~mask_of(columns, "delay")[op])
        op_end = schedule.start + length
        first, second = acts[:-1], acts[1:]
        idle = schedule.start[op[second]] - op_end[op[first]]
        num_pulses = len(SEQUENCES[self.kind])
        fills = (
            (wire[first] == wire[second])
            & self._is_driven(columns, wires)[first]
            & (idle > 0)
            & (idle >= num_pulses * self.pulse[wire[first] % columns.num_qubits])
        )
        inside = np.repeat(fills, second - first - 1) if len(first) else fills
        between = np.flatnonzero(_is_between(acts, len(op)))
        stretches = _Stretches(wire=wire[first[fills]], length=idle[fills], before=op[second[fills]])
        return stretches, op[between[inside]]

    def _is_driven(self, columns: Columns, wires: Wires) -> NDArray[np.bool_]:
        """Whether a qubit may be in superposition after each operand, in the order of the wires.

        A measurement or reset ends that; virtual Z, barriers and delays do not begin it.
        """
        op = wires.op[wires.order]
        quiet = mask_of(columns, "delay", "barrier", "rz")[op]
        settles = (mask_of(columns, "reset") | (np.diff(columns.clbit_start) > 0))[op]
        index = np.arange(len(op))
        begin = np.repeat(wires.begin, wires.count)
        last = np.maximum.accumulate(np.where(quiet, -1, index)) if len(op) else index
        return np.asarray((last >= begin) & ~settles[last])

    def _steps(self) -> list[_Step]:
        steps = [_Step(operation=_DELAY, part=0, angle=0.0)]
        for part, axis in enumerate(SEQUENCES[self.kind], start=1):
            turned = [_Step(operation=_RZ, part=0, angle=sign * pi / 2) for sign in (-1, 1)] if axis == "y" else []
            steps += [*turned[:1], _Step(operation=_X, part=0, angle=0.0), *turned[1:]]
            steps.append(_Step(operation=_DELAY, part=part, angle=0.0))
        return steps

    def _waits(self, columns: Columns, stretches: _Stretches) -> Ints:
        """Ticks between the pulses, shape (stretches, pulses + 1): each pulse in the middle of its part."""
        count = len(SEQUENCES[self.kind])
        pulse = self.pulse[stretches.wire % columns.num_qubits][:, None]
        total = stretches.length[:, None]
        start = ((2 * np.arange(count) + 1) * total - count * pulse) // (2 * count)
        edges = np.concatenate([-pulse, start, total], axis=1)
        return np.asarray(np.diff(edges, axis=1) - pulse)


def _is_between(acts: Ints, size: int) -> NDArray[np.bool_]:
    """Whether each of `size` positions lies between the first and the last of some, and is none of them."""
    found = np.zeros(size, dtype=bool)
    if len(acts):
        found[acts[0] : acts[-1]] = True
    found[acts] = False
    return found


def decoupling_problems(device: Device, swept: frozenset[str]) -> tuple[Problem, ...]:
    """Find what keeps circuits from being decoupled.

    Args:
        device: whose gates the pulses are.
        swept: parameters that a sweep changes.
    """
    found: list[Problem] = []
    for name in ("x", "rz"):
        have = device.gates[name].operands if name in device.gates else ()
        missing = [device.qubits[i] for i in range(device.num_qubits) if (i,) not in have]
        if missing:
            found.append(Problem(where="dd", what=f"needs {name}, which {device.name} lacks on {', '.join(missing)}"))
    durations = sorted(name for name in swept if name.endswith(".duration"))
    if durations:
        what = f"fixes pulses at the times of one calibration; it goes with no sweep of {', '.join(durations)}"
        found.append(Problem(where="dd", what=what))
    return tuple(found)


def _woven(old: Columns, kept: Ints, stretches: _Stretches, steps: Sequence[_Step], waits: Ints) -> Columns:
    """Put a sequence in front of the operation that ends each stretch, and leave out what is not kept."""
    table = {operation: row for row, operation in enumerate(old.operations)}
    rows = np.array([table.setdefault(step.operation, len(table)) for step in steps], dtype=np.int64)
    count, width = len(stretches.wire), len(steps)
    key = np.concatenate([2 * kept + 1, np.repeat(2 * stretches.before, width)])
    order = np.argsort(key, kind="stable")
    params = np.array([step.angle for step in steps])[None, :] + np.zeros((count, 1))
    for i, step in enumerate(steps):
        if step.operation is _DELAY:
            params[:, i] = waits[:, step.part] * TICK
    own = np.array([step.operation.num_params > 0 for step in steps])
    opcode = np.concatenate([old.opcode[kept], np.tile(rows, count)])[order]
    new = replace(
        old,
        operations=tuple(table),
        circuit=np.concatenate([old.circuit[kept], np.repeat(stretches.wire // old.num_qubits, width)])[order],
        opcode=opcode,
        qubit_start=_starts([row.num_qubits for row in table], opcode),
        param_start=_starts([row.num_params for row in table], opcode),
        clbit_start=_starts([row.num_clbits for row in table], opcode),
    )
    qubits = np.repeat(stretches.wire % old.num_qubits, width)
    angles: Floats = params[:, own].reshape(-1)
    return replace(
        new,
        qubits=_merged(old.qubits, old.qubit_start, kept, qubits, np.ones(count * width, dtype=np.int64), order),
        params=_merged(old.params, old.param_start, kept, angles, np.tile(own, count).astype(np.int64), order),
        clbits=_merged(old.clbits, old.clbit_start, kept, old.clbits[:0], np.zeros(count * width, np.int64), order),
    )


def circuits_of(columns: Columns, circuits: Sequence[Circuit], table: dict[Operation, int]) -> list[Circuit]:
    """Take columns apart into the circuits that they are made of, with opcodes of a table that grows as needed."""
    rows = np.array([table.setdefault(operation, len(table)) for operation in columns.operations], dtype=np.uint16)
    bounds = np.searchsorted(columns.circuit, np.arange(len(circuits) + 1))
    return [
        replace(
            circuit,
            opcodes=rows[columns.opcode[first:last]],
            qubits=columns.qubits[columns.qubit_start[first] : columns.qubit_start[last]].astype(np.uint16),
            params=columns.params[columns.param_start[first] : columns.param_start[last]],
            clbits=columns.clbits[columns.clbit_start[first] : columns.clbit_start[last]].astype(np.uint32),
        )
        for circuit, first, last in zip(circuits, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def _merged(flat: _Flat, start: Ints, kept: Ints, more: _Flat, counts: Ints, order: Ints) -> _Flat:
    """The operands of kept and new operations, in a new order; `counts` are those of the new ones in `more`."""
    begin = np.concatenate([start[:-1][kept], len(flat) + np.cumsum(counts) - counts])[order]
    count: Ints = np.concatenate([np.diff(start)[kept], counts])[order]
    at: Ints = np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))
    return np.concatenate([flat, more]).take(at)  # pyright: ignore[reportReturnType]  # the same type as both


def _starts(arity: Sequence[int], opcodes: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(np.asarray(arity, dtype=np.int64)[opcodes])))
