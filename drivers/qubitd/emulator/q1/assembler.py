"""Q1ASM text becomes a program, or the messages that the instrument's assembler would give.

Syntax: `label: instruction a,b,c # comment`, one per line; registers `R0`..`R63`, references `@label`, whole numbers,
`0x` allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.errors import AssemblyError
from qubitd.emulator.q1.isa import INSTRUCTIONS, OPERANDS, Form, Op

SOURCE_NAME = "sequence.q1asm"
SUCCESS = "assembler finished successfully\n"
_MOST_ERRORS = 20

_LINE = re.compile(r"\s*(?:([A-Za-z_]\w*)\s*:)?\s*(?:([A-Za-z_]\w*)(?:[ \t]+([^#]*?))?)?\s*(?:[#].*)?", re.ASCII)
_COMMENT = re.compile(r"\s*;.*")
_REGISTER = re.compile(r"R(\d+)")
_REFERENCE = re.compile(r"@([A-Za-z_]\w*)", re.ASCII)
_SPECIAL = re.compile(r"[^-R0-9,]")
_NUMBER = re.compile(r"-?(?:0x[0-9A-Fa-f]+|\d+)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """Instructions in memory order, as columns."""

    op: NDArray[np.uint8]
    """`Op` values, shape (instructions,)."""
    operands: NDArray[np.int64]
    """Immediates, addresses or register numbers, shape (instructions, 5); 0 where there is none."""
    registers: NDArray[np.uint8]
    """Bit i set: operand i is a register number. Shape (instructions,)."""


class _Fault(NamedTuple):
    """One message; the line number is put in when the program's lines are known."""

    column: int
    width: int
    text: str


class _Statement(NamedTuple):
    """One line understood, or what is wrong with it."""

    label: str = ""
    op: int = -1
    """-1 when the line holds no instruction."""
    operands: tuple[int, ...] = (0,) * OPERANDS
    registers: int = 0
    reference: str = ""
    """Label whose address goes into the operand `reference_at`."""
    reference_at: int = 0
    reference_column: int = 0
    faults: tuple[_Fault, ...] = ()


def assemble(text: str, *, memory: int) -> Program:
    """Assemble a program for a sequencer with room for `memory` instructions.

    Raises:
        AssemblyError: with one message for each fault.
    """
    lines = text.split("\n")
    statements = [_statement(line) for line in lines]
    faults = [
        _located(number, fault, lines[number])
        for number, statement in enumerate(statements)
        for fault in statement.faults
    ]
    addresses, duplicates = _addresses(statements, lines)
    faults += duplicates
    code = [(number, statement) for number, statement in enumerate(statements) if statement.op >= 0]
    faults += [
        _located(
            number,
            _Fault(s.reference_column, len(s.reference) + 1, f"Unresolved address label: {s.reference}. : "),
            lines[number],
        )
        for number, s in code
        if s.reference and s.reference not in addresses
    ]
    if len(code) > memory:
        faults.append(f"Program too long ({len(code)}). Maximum {memory} instructions\n")
    if faults:
        count = f"assembler failed with {len(faults)} errors:\n"
        raise AssemblyError(count + "".join(faults[:_MOST_ERRORS]))
    return _columns([statement for _, statement in code], addresses)


def _addresses(statements: list[_Statement], lines: list[str]) -> tuple[Mapping[str, int], list[str]]:
    addresses: dict[str, int] = {}
    faults: list[str] = []
    address = 0
    for number, statement in enumerate(statements):
        if statement.label:
            if statement.label in addresses:
                fault = _Fault(0, len(statement.label), f"Duplicate address label: {statement.label}. : ")
                faults.append(_located(number, fault, lines[number]))
            addresses[statement.label] = address
        if statement.op >= 0:
            address += 1
    return addresses, faults


def _columns(code: list[_Statement], addresses: Mapping[str, int]) -> Program:
    operands = np.array([statement.operands for statement in code], dtype=np.int64).reshape(-1, OPERANDS)
    for address, statement in enumerate(code):
        if statement.reference:
            operands[address, statement.reference_at] = addresses[statement.reference]
    return Program(
        op=np.array([statement.op for statement in code], dtype=np.uint8),
        operands=operands,
        registers=np.array([statement.registers for statement in code], dtype=np.uint8),
    )


# Programs repeat their lines many times over, within themselves and from one upload to the next.
@lru_cache(maxsize=1 << 16)
def _statement(line: str) -> _Statement:
    return _plain_statement(line) or _any_statement(line)


def _plain_statement(line: str) -> _Statement | None:
    """Understand what most lines are: a name, one space, decimal numbers and registers in range; None for anything
    else."""
    name, _, data = line.strip().partition(" ")
    words = data.split(",")
    known = _PLAIN_FORMS.get((name, tuple([word[:1] == "R" for word in words])))
    if known is None or _SPECIAL.search(data):
        return None
    try:
        values = [int(word[1:] if word[:1] == "R" else word) for word in words]
    except ValueError:
        return None
    op, registers, ranges = known
    for value, (low, high) in zip(values, ranges, strict=True):
        if not low <= value <= high:
            return None
    return _Statement("", op, (*values, *_PADDING[len(values)]), registers)


def _any_statement(line: str) -> _Statement:
    if _COMMENT.fullmatch(line):
        return _Statement()
    match = _LINE.fullmatch(line)
    if match is None:
        return _Statement(op=Op.NOP, faults=(_Fault(0, len(line), "Syntax error: Invalid argument: "),))
    label, name, data = match.group(1) or "", match.group(2), (match.group(3) or "").strip()
    if name is None:
        return _Statement(label=label)
    forms = INSTRUCTIONS.get(name)
    if forms is None:
        return _failed(label, match.start(2), len(name), f"Syntax error: instruction '{name}' not found: ")
    words = [word.strip() for word in data.split(",")] if data else []
    column = match.start(3) if data else match.end(2)
    bad = next((word for word in words if not _is_word(word)), None)
    if bad is not None:
        what = f"Syntax error: AsmParser: Invalid Immediate argument: Value '{bad}' is not a valid integer: "
        return _failed(label, column, len(data), what)
    signature = ",".join("R#" if _REGISTER.fullmatch(word) else "#" for word in words)
    form = next((form for form in forms if form.signature == signature), None)
    if form is None:
        supported = " ".join(f'"{form.signature}"' for form in forms)
        what = f'Syntax error: Instruction "{name}" does not support argument signature "{signature}"'
        return _failed(label, column, max(len(data), 1), f"{what}\nSupported signatures: {supported}: ")
    return _checked(label, name, form, words, line, column)


def _checked(label: str, name: str, form: Form, words: list[str], line: str, column: int) -> _Statement:
    """Read the operands of a form that fits, and check their ranges."""
    values = [0] * OPERANDS
    faults: list[_Fault] = []
    reference, reference_at, reference_column = "", 0, 0
    for i, (word, operand) in enumerate(zip(words, form.operands, strict=True)):
        at = line.index(word, column)
        column = at + len(word)
        match = _REFERENCE.fullmatch(word)
        if match is not None:
            reference, reference_at, reference_column = match[1], i, at
            continue
        values[i] = int(word[1:]) if operand.is_register else int(word, 16 if "x" in word else 10)
        if not operand.low <= values[i] <= operand.high:
            what = f"argument {i + 1} ({operand.name}) value: {values[i]} out of range ({operand.low},{operand.high})"
            faults.append(_Fault(at, len(word), f"Syntax error: Instruction {name} {what}: "))
    return _Statement(
        label=label,
        op=int(form.op),
        operands=tuple(values),
        registers=form.register_mask,
        reference=reference,
        reference_at=reference_at,
        reference_column=reference_column,
        faults=tuple(faults),
    )


def _is_word(word: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in (_REGISTER, _NUMBER, _REFERENCE))


def _failed(label: str, column: int, width: int, text: str) -> _Statement:
    return _Statement(label=label, op=Op.NOP, faults=(_Fault(column, width, text),))


def _located(number: int, fault: _Fault, line: str) -> str:
    marker = "-" * fault.column + "^" * fault.width
    return f"{SOURCE_NAME}:{number + 1}:{fault.column}: {fault.text}\n{line}\n{marker}\n"


_PADDING = tuple((0,) * (OPERANDS - count) for count in range(OPERANDS + 1))
_PLAIN_FORMS = {
    (name, tuple(operand.is_register for operand in form.operands)): (
        int(form.op),
        form.register_mask,
        tuple((operand.low, operand.high) for operand in form.operands),
    )
    for name, forms in INSTRUCTIONS.items()
    for form in forms
    if form.operands
}
