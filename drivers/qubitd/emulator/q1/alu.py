"""Arithmetic of the classical core: unsigned words of 32 bits, and the flags that jumps of the second instruction set
look at."""

from __future__ import annotations

from typing import NamedTuple

from qubitd.emulator.q1.isa import WORD, Op

ARITHMETIC = frozenset(
    (Op.MOVE, Op.NOT, Op.ADD, Op.SUB, Op.AND, Op.OR, Op.XOR, Op.ASL, Op.ASR, Op.LSR, Op.MULU32L, Op.CMP, Op.TEST)
)
"""Instructions that compute; all but `move` take two cycles more."""


class Computed(NamedTuple):
    """A computation that was done."""

    op: int
    left: int
    right: int
    result: int


NOTHING = Computed(Op.OR, 0, 0, 0)
"""Before any computation."""


def compute(op: int, left: int, right: int) -> int:
    """Give the result of an operation."""
    match op:
        case Op.ADD:
            return (left + right) & WORD
        case Op.SUB | Op.CMP:
            return (left - right) & WORD
        case Op.AND | Op.TEST:
            return left & right
        case Op.OR:
            return left | right
        case Op.XOR:
            return left ^ right
        case Op.ASL:
            return (left << right) & WORD if right < 32 else 0
        case Op.ASR | Op.LSR:  # registers are unsigned, so nothing is there to extend
            return left >> right if right < 32 else 0
        case _:
            return (left * right) & WORD


def holds(op: int, computed: Computed) -> bool:
    """Whether a jump on flags is taken: zero, negative, unsigned carry, signed overflow of a computation."""
    last, left, right, result = computed
    zero, negative = result == 0, bool(result >> 31)
    carry = overflow = False
    if last == Op.ADD:
        carry = left + right > WORD
        overflow = bool((~(left ^ right) & (left ^ result)) >> 31 & 1)
    elif last in (Op.SUB, Op.CMP):
        carry = left < right
        overflow = bool(((left ^ right) & (left ^ result)) >> 31 & 1)
    less = negative != overflow
    outcomes = {
        Op.JZ: zero,
        Op.JNZ: not zero,
        Op.JG: not zero and not less,
        Op.JGE: not less,
        Op.JL: less,
        Op.JLE: zero or less,
        Op.JA: not zero and not carry,
        Op.JAE: not carry,
        Op.JB: carry,
        Op.JBE: zero or carry,
        Op.JS: negative,
        Op.JNS: not negative,
        Op.JO: overflow,
        Op.JNO: not overflow,
    }
    return outcomes[Op(op)]
