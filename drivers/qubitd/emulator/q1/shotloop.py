"""Finds a program's shot loop: the outermost loop whose iterations differ in nothing but the bins of their
acquisitions.

Proof: in one executed iteration, every register that ends with the value it began with may be used freely; any other
register is used only to count itself up or down by an immediate, as a bin, or as the loop's counter. Then what the
iteration does depends only on registers that it leaves unchanged, so all following iterations do the same. Such a loop
is executed at most three times: first, second, last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qubitd.emulator.q1.alu import ARITHMETIC
from qubitd.emulator.q1.core import Code, Core, Halt, Interpreted, Mark, Range
from qubitd.emulator.q1.isa import FIRST_REAL_TIME, WORD, Op
from qubitd.emulator.q1.trace import Trace, collect

MOST_SHOTS = 10**9
"""Nobody waits for the end of a loop that runs more often: it counts as one that has none."""
_FOR_EVER = -1
"""Iterations of a loop that has no end."""
_CANDIDATES = 8
_BIN_OPERAND = 1
CONCRETE = 3
"""Iterations that are executed when a loop repeats."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What one sequencer executes: everything, or a shot loop with its first, second and last iteration."""

    trace: Trace
    shots: int
    """Iterations of the shot loop; 1 when there is none."""
    bounds: tuple[int, ...]
    """Indices into the trace where each executed iteration begins, then where the loop ends; empty when there is no
    loop."""


class _Edge(NamedTuple):
    """A backward jump."""

    head: int
    at: int


def run_fully(code: Code) -> Run:
    """Execute every iteration of every loop."""
    core = Core(code)
    halt = core.advance()
    trace, _ = collect(core, halt, [])
    return Run(trace=trace, shots=1, bounds=())


def run(code: Code) -> Run:
    """Execute a program, its shot loop in short if it has one."""
    for edge in _backward_jumps(code):
        found = _run_loop(code, edge)
        if found is not None:
            return found
    return run_fully(code)


def _backward_jumps(code: Code) -> list[_Edge]:
    """The widest come first: an outer loop encloses the inner ones."""
    edges = [
        _Edge(instruction.operands[_TARGET_OPERAND[instruction.op]], at)
        for at, instruction in enumerate(code.interpreted)
        if instruction is not None and _jumps_to_immediate(instruction)
    ]
    backward = [edge for edge in edges if edge.head <= edge.at]
    return sorted(backward, key=lambda edge: edge.head - edge.at)[:_CANDIDATES]


def _jumps_to_immediate(instruction: Interpreted) -> bool:
    target = _TARGET_OPERAND.get(instruction.op)
    return target is not None and not instruction.registers >> target & 1


def _run_loop(code: Code, edge: _Edge) -> Run | None:
    core = Core(code, told_apart=edge.at)
    if edge.head > 0 and core.advance(edge.head) is not Halt.REACHED:
        return None
    marks = [core.mark()]
    shots = 1
    first = 0
    while _iterate(core, edge):
        marks.append(core.mark())
        if core.pc != edge.head:  # fell through: the loop is over
            halt = core.advance()
            trace, bounds = collect(core, halt, marks)
            shots = max(shots, len(bounds) - 1)
            return Run(trace=trace, shots=shots, bounds=tuple(bounds) if shots > 1 else ())
        if len(marks) == 2:
            first = core.compared
        if len(marks) == CONCRETE:
            shots = _leap(core, edge, marks, first)
            if shots == 0:
                return None
            if shots == _FOR_EVER or shots > MOST_SHOTS:
                return Run(trace=collect(core, Halt.ENDLESS, [])[0], shots=1, bounds=())
        elif len(marks) > CONCRETE + 1:
            return None
    return None


def _iterate(core: Core, edge: _Edge) -> bool:
    """Run up to and through the backward jump; False if it is never reached."""
    if core.pc != edge.at and core.advance(edge.at) is not Halt.REACHED:
        return False
    return core.step() is None


def _leap(core: Core, edge: _Edge, marks: list[Mark], first: int) -> int:
    """Prove that the second iteration repeats and put the registers where the last one begins; gives the number of
    iterations, 0 if in vain and -1 if there is no last one."""
    _, begin, end = marks
    steps = tuple((after - before) & WORD for before, after in zip(begin.registers, end.registers, strict=True))
    shots = _iterations(core, edge, first, steps)
    ranges = core.ranges[begin.ranges : end.ranges]
    if shots == _FOR_EVER:
        return shots if _decides_nothing(core.code, ranges) else 0
    if shots < CONCRETE or not _repeats(core.code, edge, ranges, steps):
        return 0
    core.add_to_registers(tuple(step * (shots - CONCRETE) & WORD for step in steps))
    return shots


def _iterations(core: Core, edge: _Edge, first: int, steps: tuple[int, ...]) -> int:
    """How often the loop runs, from what its jump looked at in the first two iterations; 0 if that does not tell, -1 if
    it has no end."""
    instruction = core.code.interpreted[edge.at]
    step = core.compared - first
    if instruction is None or (instruction.op != Op.JMP and step & WORD != steps[instruction.operands[0]]):
        return 0
    limit = instruction.operands[1]
    match instruction.op:
        case Op.JMP:
            return _FOR_EVER
        case Op.LOOP if step == -1:
            return first + 1
        case Op.JLT_IMMEDIATE if step > 0:
            shots = -((first - limit) // step) + 1
            return shots if first + (shots - 1) * step <= WORD else 0
        case Op.JGE_IMMEDIATE if step < 0:
            shots = (first - limit) // -step + 2
            return shots if first + (shots - 1) * step >= 0 else 0
        case _:
            return 0


def _decides_nothing(code: Code, ranges: Sequence[Range]) -> bool:
    """Whether an iteration holds no jump that a register could change, so that every one goes the same way."""
    executed = [code.interpreted[address] for address in _addresses(ranges)]
    return all(
        one is None or one.op >= FIRST_REAL_TIME or one.op in ARITHMETIC or (one.op == Op.JMP and not one.registers)
        for one in executed
    )


def _repeats(code: Code, edge: _Edge, ranges: Sequence[Range], steps: tuple[int, ...]) -> bool:
    moving = {register for register, step in enumerate(steps) if step}
    return all(
        _uses_as_counter(code, address, moving, edge)
        for address in _addresses(ranges)
        if code.interpreted[address] is not None
    )


def _addresses(ranges: Sequence[Range]) -> list[int]:
    spans = [np.arange(start, stop) for start, stop in {(r.start, r.stop) for r in ranges}]
    return np.unique(np.concatenate(spans)).tolist() if spans else []


def _uses_as_counter(code: Code, address: int, moving: set[int], edge: _Edge) -> bool:
    """Whether an instruction uses registers that change from one iteration to the next only in ways that do no harm."""
    instruction = code.interpreted[address]
    if instruction is None or address == edge.at:
        return True
    op, operands, mask = instruction
    used = {i for i, operand in enumerate(operands) if mask >> i & 1 and operand in moving}
    if op in (Op.ADD, Op.SUB):
        counts_itself = operands[0] == operands[2] and not mask >> 1 & 1
        return not used or counts_itself
    if op in (Op.ACQUIRE, Op.ACQUIRE_WEIGHED):
        return used <= {_BIN_OPERAND}
    return not used


_TARGET_OPERAND = {
    int(Op.JMP): 0,
    int(Op.LOOP): 1,
    int(Op.JGE_IMMEDIATE): 2,
    int(Op.JLT_IMMEDIATE): 2,
}
