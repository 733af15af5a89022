"""Circuits, schedules and programs as text: a line per operation, per play and acquisition, to read and compare."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from qubitd.compiler.columns import Columns, Ints
from qubitd.compiler.schedule import Schedule
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import Circuit, Instruction, Operation, instructions
from qubitd.core.control import CONTROL_ARITY, Condition
from qubitd.core.feedforward import ALWAYS, Dynamics, Latch
from qubitd.core.program import BOXCAR, HERALD, HIDDEN, Program, SampledEnvelope

_DIGITS = 6
_NO_FRAME = -1
_NO_BIT = {HERALD: "herald", HIDDEN: "no bit"}


def circuit_text(circuit: Circuit, operations: Sequence[Operation]) -> str:
    """Write a circuit: `rz(1.570796) q0`, `rz($0) q1` for column 0 of its bindings, `measure q0 -> 2`, `if c[0] == 1`;
    blocks are indented.
    """
    depth = 1
    lines = [f"circuit {circuit.name!r}: {circuit.num_qubits} qubits, {circuit.num_clbits} classical bits"]
    for instruction in instructions(circuit, operations):
        if instruction.name in CONTROL_ARITY:
            depth -= instruction.name in ("else", "end")
            lines.append("  " * depth + _bracket(instruction, circuit.conditions))
            depth += instruction.name in ("if", "else", "for", "while")
            continue
        params = f"({', '.join(map(_param, instruction.params))})" if instruction.params else ""
        qubits = ", ".join(f"q{q}" for q in instruction.qubits)
        clbits = f" -> {', '.join(map(str, instruction.clbits))}" if instruction.clbits else ""
        lines.append("  " * depth + f"{instruction.name}{params} {qubits}{clbits}")
    return "\n".join(lines) + "\n"


def _bracket(instruction: Instruction, conditions: Sequence[Condition]) -> str:
    numbers = instruction.controls
    match instruction.name:
        case "if":
            return f"if {conditions[numbers[0]].text}"
        case "while":
            return f"while {conditions[numbers[0]].text}, at most {numbers[1]} times"
        case "for":
            return f"for {numbers[0]} times"
        case _:
            return instruction.name


def _param(param: float | FromColumn) -> str:
    return f"${param.column}" if isinstance(param, FromColumn) else f"{param:.10g}"


def schedule_text(columns: Columns, schedule: Schedule, length: Ints) -> str:
    """Write when the operations of one circuit happen, composite gates taken apart, in the order of time.

    Args:
        columns: the operations.
        schedule: of them.
        length: ticks of each operation.
    """
    lines = [f"schedule: {int(schedule.duration[0])} ns"]
    for i in np.argsort(schedule.start, kind="stable").tolist():
        operation = columns.operations[int(columns.opcode[i])]
        params = columns.params[columns.param_start[i] : columns.param_start[i + 1]].tolist()
        qubits = columns.qubits[columns.qubit_start[i] : columns.qubit_start[i + 1]].tolist()
        clbits = columns.clbits[columns.clbit_start[i] : columns.clbit_start[i + 1]].tolist()
        given = f"({', '.join(map(_param, params))})" if params else ""
        where = ", ".join(f"q{q % columns.num_qubits}" for q in qubits)
        bits = f" -> {', '.join(map(str, clbits))}" if clbits else ""
        lines.append(f"  {schedule.start[i]:>6} +{length[i]:<4} {operation.name}{given} {where}{bits}")
    return "\n".join(lines) + "\n"


def program_text(program: Program) -> str:
    """Write a program: times in ns, phases in radians, lines in their order."""
    heading = f"program {program.name!r}: {program.duration} ns, {program.num_clbits} classical bits"
    kernels = program.acquisitions.kernel
    used = np.unique(np.concatenate([program.plays.envelope, kernels[kernels != BOXCAR]]))
    envelopes = [f"  e{i}: {_envelope(program.tables.envelopes[int(i)])}" for i in used]
    rows = [
        row
        for line in range(len(program.lines))
        for row in (*_plays(program, line), *_acquisitions(program, line), *_decisions(program, line))
    ]
    return "\n".join([heading, *envelopes, *rows]) + "\n"


def _envelope(envelope: SampledEnvelope) -> str:
    area = float(envelope.samples.real.sum())
    peak = float(np.abs(envelope.samples).max())
    return f"{len(envelope.samples)} ns, peak {_number(peak)}, area {_number(area)} ns"


def _plays(program: Program, line: int) -> Iterator[str]:
    plays = program.plays
    for i in np.flatnonzero(plays.line == line):
        parts = [
            f"  {program.lines[line]:<10} play    {plays.start[i]:>6} +{plays.length[i]:<4} e{plays.envelope[i]}",
            f"amplitude {_number(float(plays.amplitude[i]))}",
            f"phase {_phase(float(plays.phase[i]))}",
        ]
        if plays.frequency[i]:
            parts.append(f"{_number(float(plays.frequency[i]) * 1e-9)} GHz")
        if plays.frame[i] != _NO_FRAME:
            parts.append(f"frame {plays.frame[i]}")
        if program.dynamics is not None:
            parts += _condition(program.dynamics, int(program.dynamics.play_condition[i]))
        yield "  ".join(parts)


def _acquisitions(program: Program, line: int) -> Iterator[str]:
    rows = program.acquisitions
    for i in np.flatnonzero(rows.line == line):
        at = f"  {program.lines[line]:<10} acquire {rows.start[i]:>6} +{rows.length[i]:<4}"
        where = f"number {rows.order[i]} -> {_NO_BIT.get(int(rows.clbit[i]), f'bit {rows.clbit[i]}')}"
        phase = f"phase {_phase(float(rows.phase[i]))}  {_number(float(rows.frequency[i]) * 1e-9)} GHz"
        kernel = "" if rows.kernel[i] == BOXCAR else f"  kernel e{rows.kernel[i]}"
        dynamics = program.dynamics
        happens = [] if dynamics is None else _condition(dynamics, int(dynamics.acquisition_condition[i]))
        yield "  ".join([f"{at} {where}", f"{phase}{kernel}", *happens])


def _decisions(program: Program, line: int) -> Iterator[str]:
    """What a line does with outcomes besides: phases that depend on them, and its counters."""
    if program.dynamics is None:
        return
    shifts, latches = program.dynamics.shifts, program.dynamics.latches
    name = program.lines[line]
    for i in np.flatnonzero(shifts.line == line):
        happens = _condition(program.dynamics, int(shifts.condition[i]))
        parts = [f"  {name:<10} shift   {shifts.start[i]:>6}", f"phase {_phase(float(shifts.phase[i]))}"]
        yield "  ".join([*parts, f"frame {shifts.frame[i]}", *happens])
    for i in np.flatnonzero(latches.line == line):
        yield f"  {name:<10} latch   {latches.start[i]:>6}  {Latch(latches.action[i]).name.lower()}"


def _condition(dynamics: Dynamics, index: int) -> list[str]:
    if index == ALWAYS:
        return []
    condition = dynamics.conditions[index]
    return [f"if {condition.operator.name} of {', '.join(map(str, condition.qubits))}"]


def _number(value: float) -> str:
    return f"{round(value, _DIGITS) + 0.0:.10g}"


def _phase(value: float) -> str:
    """Between 0 and a turn; a full turn less rounding is 0."""
    rounded = round(value, _DIGITS)
    return _number(0.0 if rounded >= round(2 * math.pi, _DIGITS) else rounded)
