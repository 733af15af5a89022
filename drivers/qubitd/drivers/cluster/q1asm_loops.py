"""Q1ASM of a fold: a nest of loops around one program, whose registers count.

A register is set where its first loop is entered and stepped at the end of each turn. What rounding adds is gathered in
a second register, and both are summed where the innermost loop that changes them begins. Nothing here takes time.
"""

from __future__ import annotations

from dataclasses import dataclass

from qubitd.drivers.cluster.line_program import Fold
from qubitd.drivers.cluster.modules import FIRST_REGISTER
from qubitd.drivers.cluster.series import Series

_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """The registers of one series."""

    series: Series
    registers: tuple[str, ...]
    """By the level that steps it; empty where none does."""
    gathered: str
    """Register of what rounding adds; empty if it adds nothing."""
    operand: str
    """Register that holds the value."""


def register_names(fold: Fold) -> tuple[tuple[str, ...], list[_Counted]]:
    """Give the counters of the loops and the registers of the series."""
    free = FIRST_REGISTER + len(fold.turns)
    counted: list[_Counted] = []
    for series in fold.series:
        needs = series.needs
        names = [f"R{free + sum(needs[:i])}" if need else "" for i, need in enumerate(needs)]
        free += sum(needs)
        *registers, gathered, own = names
        operand = own or registers[series.depth]
        counted.append(_Counted(series=series, registers=tuple(registers), gathered=gathered, operand=operand))
    return tuple(f"R{FIRST_REGISTER + level}" for level in range(len(fold.turns))), counted


def loop_text(fold: Fold, body: str, counters: tuple[str, ...], counted: list[_Counted], label: str) -> str:
    """Write the nest of loops around a turn."""
    text = body
    for level in reversed(range(len(fold.turns))):
        entry = "".join(_entry(one, level) for one in counted)
        head = "".join(_sum(one, f"{label}m{i}") for i, one in enumerate(counted) if one.series.depth == level)
        tail = "".join(_step(one, level) for one in counted)
        wraps = "".join(_wrap(one, level, f"{label}v{i}l{level}", fold) for i, one in enumerate(counted))
        tail += f"nop\n{wraps}" if wraps else ""
        name = f"{label}l{level}"
        text = (
            f"{entry}move {fold.turns[level]},{counters[level]}\nnop\n"
            f"{name}: {head}{text}{tail}loop {counters[level]},@{name}\n"
        )
    return text


def _entry(one: _Counted, level: int) -> str:
    """Set a register where its loop is entered: to the start, or to what the loops around have reached."""
    text = ""
    series = one.series
    if series.fraction is not None and series.fraction.level == level:
        text += f"move {series.fraction.offset},{one.gathered}\n"
    if series.depth < 0:
        return f"move {series.start & _WORD},{one.operand}\n" if level == 0 else text
    if one.registers[level]:
        outer = next((name for name in reversed(one.registers[:level]) if name), None)
        text += f"move {outer or series.start & _WORD},{one.registers[level]}\n"
    return text


def _sum(one: _Counted, label: str) -> str:
    """Add what rounding adds, if anything."""
    series = one.series
    if series.fraction is None:
        return ""
    base = next((name for name in reversed(one.registers) if name), None)
    text = f"asr {one.gathered},{series.fraction.bits},{one.operand}\nnop\n"
    text += f"add {one.operand},{base or series.start & _WORD},{one.operand}\nnop\n"
    if series.modulus:
        text += f"jlt {one.operand},{series.modulus},@{label}\nsub {one.operand},{series.modulus},{one.operand}\n"
        text += f"{label}: nop\n"
    return text


def _step(one: _Counted, level: int) -> str:
    text = ""
    series = one.series
    if one.registers[level]:
        text += f"add {one.registers[level]},{series.strides[level] & _WORD},{one.registers[level]}\n"
    if series.fraction is not None and series.fraction.level == level:
        text += f"add {one.gathered},{series.fraction.step},{one.gathered}\n"
    return text


def _wrap(one: _Counted, level: int, label: str, fold: Fold) -> str:
    """Take a register modulo, if it ever comes that far."""
    series, register = one.series, one.registers[level]
    reach = series.start + sum(s * turns for s, turns in zip(series.strides, fold.turns, strict=True))
    if not register or not series.modulus or reach < series.modulus:
        return ""
    return f"jlt {register},{series.modulus},@{label}\nsub {register},{series.modulus},{register}\n{label}: nop\n"
