"""What a core has sent to the real-time executor, as columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.alu import ARITHMETIC
from qubitd.emulator.q1.core import Core, Halt, Mark
from qubitd.emulator.q1.isa import FIRST_REAL_TIME, OPERANDS, Op

ARITHMETIC_CYCLES = 2
JUMP_CYCLES = 3
"""Clock cycles on top of the one that every instruction takes, as published simulations of the core have them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """The real-time instructions that went into the queue, in order, as columns; turns that only wait as one wait."""

    op: NDArray[np.uint8]
    operands: NDArray[np.int64]
    """Registers filled in, shape (instructions, 5)."""
    cycles: NDArray[np.int64]
    """Clock cycles the core had spent when it issued each one, not counting waits for the queue."""
    halt: Halt
    folded: NDArray[np.int64]
    """Indices of the waits that stand for several turns of a loop; `cycles` are those of the first turn."""
    turns: NDArray[np.int64]
    """How many each of them stands for."""

    def __len__(self) -> int:
        return len(self.op)

    def until(self, length: int) -> Trace:
        """Give its first instructions. They are copied: who keeps a few of millions keeps no more than these."""
        if length >= len(self):
            return self
        columns = {name: getattr(self, name)[:length].copy() for name in ("op", "operands", "cycles")}
        left = self.folded < length
        return replace(self, **columns, folded=self.folded[left], turns=self.turns[left])


def collect(core: Core, halt: Halt, marks: list[Mark]) -> tuple[Trace, list[int]]:
    """Turn what a core has done into columns; also gives the index in the trace that belongs to each mark."""
    core.mark()
    program = core.code.program
    starts = np.array([r.start for r in core.ranges], dtype=np.int64)
    lengths = np.array([r.stop - r.start for r in core.ranges], dtype=np.int64)
    turns = np.array([r.turns for r in core.ranges], dtype=np.int64)
    jumped = np.array([r.jumped for r in core.ranges], dtype=bool)
    firsts = np.cumsum(lengths) - lengths
    pcs = np.arange(lengths.sum()) + np.repeat(starts - firsts, lengths)
    op = program.op[pcs]
    cost = _CYCLES[op]
    cost[firsts[jumped]] += JUMP_CYCLES
    operands = program.operands[pcs]
    for_many = turns > 1  # turns of a wait and the jump behind it
    wait = firsts[for_many]
    operands[wait, 0] *= turns[for_many]
    cost[wait + 1] += (turns[for_many] - 1) * (cost[wait] + cost[wait + 1])
    if core.filled:
        positions = np.array([position for position, _ in core.filled])
        values = np.array([values for _, values in core.filled], dtype=np.int64).reshape(-1, OPERANDS)
        operands[positions] = _as_fields(op[positions], values)
    real_time = np.flatnonzero(op >= FIRST_REAL_TIME)
    cycles = np.cumsum(cost)[real_time]
    indices = np.searchsorted(real_time, [mark.position for mark in marks]).tolist()
    trace = Trace(
        op=op[real_time],
        operands=operands[real_time],
        cycles=cycles,
        halt=halt,
        folded=np.searchsorted(real_time, wait),
        turns=turns[for_many],
    )
    return trace, indices


def _as_fields(op: NDArray[np.uint8], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut register values to the width of the instruction's fields."""
    fields = values.copy()
    for kind, bits in _FIELD_BITS.items():
        rows = op == kind
        fields[rows] = fields[rows] & ((1 << bits) - 1)
    signed = (op == Op.SET_AWG_GAIN) | (op == Op.SET_AWG_OFFS)
    fields[signed] = fields[signed].astype(np.int16)
    frequency = op == Op.SET_FREQ
    fields[frequency] = fields[frequency].astype(np.int32)
    return fields


_FIELD_BITS = {
    Op.WAIT: 16,
    Op.WAIT_SYNC: 16,
    Op.SET_MRK: 4,
    Op.PLAY: 16,
    Op.ACQUIRE: 24,
    Op.ACQUIRE_WEIGHED: 24,
    Op.SET_LATCH_EN: 1,
    Op.LATCH_RST: 16,
    Op.SET_COND: 16,
    Op.WAIT_TRIGGER: 16,
}
_CYCLES = np.ones(256, dtype=np.int64)
"""Of each instruction, jumps that are taken aside."""
_CYCLES[[*(ARITHMETIC - {Op.MOVE}), Op.JGE_IMMEDIATE, Op.JLT_IMMEDIATE, Op.LOOP]] += ARITHMETIC_CYCLES
TURN_CYCLES = int(JUMP_CYCLES + _CYCLES[Op.WAIT] + _CYCLES[Op.LOOP])
"""Of a turn that only waits."""
