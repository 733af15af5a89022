"""Conditional execution: which instructions stand under a `set_cond`, and what is left of a trace when some of them are
not carried out.

While its condition is false an instruction that takes time is replaced by a wait of the condition's else time; one that
only sets a parameter is left out and takes none (the maker's scheduler counts so, quantify-scheduler merge request
1094). `set_cond` itself is always carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, unique

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.timeline import takes_time
from qubitd.emulator.q1.trace import Trace

COUNTERS = 15
"""Of a sequencer, for the trigger addresses 1 to 15; bit i of a mask is address i + 1."""
UNCONDITIONAL = -1


@unique
class Operator(IntEnum):
    """How the selected counters are combined, as `set_cond` numbers it."""

    OR = 0
    NOR = 1
    AND = 2
    NAND = 3
    XOR = 4
    XNOR = 5

    def of(self, terms: list[bool]) -> bool:
        """Combine; XOR is true for an odd number."""
        match self:
            case Operator.OR | Operator.NOR:
                found = any(terms)
            case Operator.AND | Operator.NAND:
                found = all(terms)
            case Operator.XOR | Operator.XNOR:
                found = sum(terms) % 2 == 1
        return found != bool(self % 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A condition as a program states it."""

    counters: tuple[int, ...]
    """Numbers 0 to 14 of the counters that it looks at."""
    operator: Operator

    @classmethod
    def read(cls, trace: Trace, index: int) -> Guard:
        """Take the operands of a `set_cond`."""
        _, mask, operator, *_ = trace.operands[index].tolist()
        return cls(counters=tuple(i for i in range(COUNTERS) if mask >> i & 1), operator=Operator(operator))


def guards(trace: Trace) -> NDArray[np.int64]:
    """Give for each instruction the index of the `set_cond` whose condition it stands under, `UNCONDITIONAL` without
    one."""
    setting = np.flatnonzero(trace.op == Op.SET_COND)
    last = np.searchsorted(setting, np.arange(len(trace))) - 1
    held = np.append(np.where(trace.operands[setting, 0] == 1, setting, UNCONDITIONAL), UNCONDITIONAL)[last]
    return np.where(trace.op == Op.SET_COND, UNCONDITIONAL, held)


def unknown_operator(trace: Trace) -> NDArray[np.bool_]:
    """Tell which instructions name an operator that there is none of."""
    return np.asarray((trace.op == Op.SET_COND) & (trace.operands[:, 2] > max(Operator)), dtype=np.bool_)


def without(trace: Trace, skipped: NDArray[np.bool_], guard: NDArray[np.int64]) -> Trace:
    """Give what is carried out when the conditions of some instructions are false; their `guards` are known."""
    if not skipped.any():
        return trace
    rows = np.flatnonzero(skipped)
    op, operands = trace.op.copy(), trace.operands.copy()
    op[rows] = np.where(takes_time(trace.op[rows]), int(Op.WAIT), int(Op.NOP))
    operands[rows] = 0
    operands[rows, 0] = trace.operands[guard[rows], 3]
    return replace(trace, op=op, operands=operands)
