"""Q1ASM of a fold: a nest of loops around one program, whose registers count.

A register is set where its first loop is entered and stepped at the end of each turn. What rounding adds is gathered in
a second register, which adds one to the first where it is whole. Nothing here takes time.
"""

from __future__ import annotations

from dataclasses import dataclass

from qubitd.drivers.cluster.line_program import Fold
from qubitd.drivers.cluster.modules import FIRST_REGISTER
from qubitd.drivers.cluster.q1asm_events import event_texts
from qubitd.drivers.cluster.series import WHOLE, Series
from qubitd.drivers.cluster.waits import first_wait

_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """The registers of one series."""

    series: Series
    registers: tuple[str, ...]
    """By the level that steps it; empty where none does."""
    gathered: str
    """Register of what rounding gathers; empty if it adds nothing."""
    operand: str
    """Register that holds the value."""


def fold_text(fold: Fold, label: str) -> str:
    """Write programs as loops, with labels that begin like this one."""
    counters, counted = _register_names(fold)
    registers = {
        name: {row: counted[number].operand for row, number in rows.items()} for name, rows in fold.counted.items()
    }
    texts = event_texts(fold.part, registers, f"{label}w")
    swept = {gap: "".join(f"wait {counted[one].operand}\n" for one in series) for gap, series in fold.waits.items()}
    for gap, text in swept.items():
        if gap > 0:
            texts.own_wait[gap - 1] = texts.wait_of(gap - 1) + text
    body = first_wait(fold.lead_in, f"{label}w") + swept.get(0, "") + texts.joined()
    return _loop_text(fold, body, counters, counted, label)


def _register_names(fold: Fold) -> tuple[tuple[str, ...], list[_Counted]]:
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


def _loop_text(fold: Fold, body: str, counters: tuple[str, ...], counted: list[_Counted], label: str) -> str:
    """Write the nest of loops around a turn."""
    text = body
    for level in reversed(range(len(fold.turns))):
        entry = "".join(_entry(one, level) for one in counted)
        tail = "".join(_step(one, level) for one in counted)
        checks = "".join(_carry(one, level, f"{label}m{i}") for i, one in enumerate(counted))
        checks += "".join(_wrap(one, level, f"{label}v{i}l{level}", fold) for i, one in enumerate(counted))
        tail += f"nop\n{checks}" if checks else ""
        name = f"{label}l{level}"
        text = (
            f"{entry}move {fold.turns[level]},{counters[level]}\nnop\n"
            f"{name}: {text}{tail}loop {counters[level]},@{name}\n"
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


def _step(one: _Counted, level: int) -> str:
    text = ""
    series = one.series
    if series.strides[level]:
        text += f"add {one.registers[level]},{series.strides[level] & _WORD},{one.registers[level]}\n"
    if series.fraction is not None and series.fraction.level == level:
        text += f"add {one.gathered},{series.fraction.step},{one.gathered}\n"
    return text


def _carry(one: _Counted, level: int, label: str) -> str:
    """Add one where what rounding gathers is whole."""
    fraction, register = one.series.fraction, one.registers[level]
    if fraction is None or fraction.level != level:
        return ""
    return (
        f"jlt {one.gathered},{WHOLE},@{label}\nsub {one.gathered},{WHOLE},{one.gathered}\n"
        f"add {register},1,{register}\n{label}: nop\n"
    )


def _wrap(one: _Counted, level: int, label: str, fold: Fold) -> str:
    """Take a register modulo, if it ever comes that far."""
    series, register = one.series, one.registers[level]
    reach = series.start + sum(s * turns for s, turns in zip(series.strides, fold.turns, strict=True))
    if series.fraction is not None:
        reach += int(series.fraction.gathered(fold.turns[series.fraction.level])) // WHOLE
    if not register or not series.modulus or reach < series.modulus:
        return ""
    return f"jlt {register},{series.modulus},@{label}\nsub {register},{series.modulus},{register}\n{label}: nop\n"
