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
_LONG = 4_096
"""Characters from which on lines are understood together where they can be."""

_LINE = re.compile(r"\s*(?:([A-Za-z_]\w*)\s*:)?\s*(?:([A-Za-z_]\w*)(?:[ \t]+([^#]*?))?)?\s*(?:[#].*)?", re.ASCII)
_COMMENT = re.compile(r"\s*;.*")
_REGISTER = re.compile(r"R(\d+)", re.ASCII)
_REFERENCE = re.compile(r"@([A-Za-z_]\w*)", re.ASCII)
_ANY = "\x01"
"""Stands for a number in the shape of a line."""
_PLAIN_WORDS = (_ANY, f"-{_ANY}", f"R{_ANY}")
_MOST_DIGITS = 12
"""Of a number that is looked at together with others."""
_NUMBER = re.compile(r"-?(?:0x[0-9A-Fa-f]+|\d+)", re.ASCII)


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
    plain = _plain_lines(text) if len(text) > _LONG else _unread(len(lines))
    others = {number: _statement(lines[number]) for number in np.flatnonzero(plain.op < 0).tolist()}
    op = plain.op.copy()
    for number, statement in others.items():
        op[number] = statement.op
    address_of: NDArray[np.int64] = np.cumsum(op >= 0) - (op >= 0)
    faults = [_located(number, fault, lines[number]) for number, each in others.items() for fault in each.faults]
    addresses, duplicates = _addresses(others, address_of, lines)
    faults += duplicates
    faults += [
        _located(
            number,
            _Fault(s.reference_column, len(s.reference) + 1, f"Unresolved address label: {s.reference}. : "),
            lines[number],
        )
        for number, s in others.items()
        if s.reference and s.reference not in addresses
    ]
    count = int(np.count_nonzero(op >= 0))
    if count > memory:
        faults.append(f"Program too long ({count}). Maximum {memory} instructions\n")
    if faults:
        raise AssemblyError(f"assembler failed with {len(faults)} errors:\n" + "".join(faults[:_MOST_ERRORS]))
    for number, statement in others.items():
        plain.operands[number] = statement.operands
        plain.registers[number] = statement.registers
        if statement.reference:
            plain.operands[number, statement.reference_at] = addresses[statement.reference]
    code = op >= 0
    return Program(op=op[code].astype(np.uint8), operands=plain.operands[code], registers=plain.registers[code])


def _addresses(
    statements: Mapping[int, _Statement], address_of: NDArray[np.int64], lines: list[str]
) -> tuple[Mapping[str, int], list[str]]:
    addresses: dict[str, int] = {}
    faults: list[str] = []
    for number, statement in statements.items():
        if statement.label:
            if statement.label in addresses:
                fault = _Fault(0, len(statement.label), f"Duplicate address label: {statement.label}. : ")
                faults.append(_located(number, fault, lines[number]))
            addresses[statement.label] = int(address_of[number])
    return addresses, faults


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Lines:
    """Instructions by line, as columns like those of `Program`."""

    op: NDArray[np.int16]
    """-1 where a line is to be looked at by itself."""
    operands: NDArray[np.int64]
    registers: NDArray[np.uint8]


class _Shape(NamedTuple):
    """What lines have in common that differ in their numbers alone."""

    op: int
    registers: int
    signs: tuple[int, ...]
    """Of each operand."""
    ranges: tuple[tuple[int, int], ...]


def _unread(count: int) -> _Lines:
    return _Lines(
        op=np.full(count, -1, dtype=np.int16),
        operands=np.zeros((count, OPERANDS), dtype=np.int64),
        registers=np.zeros(count, dtype=np.uint8),
    )


def _plain_lines(text: str) -> _Lines:
    """Understand what most lines are, all at once: a name, one space, decimal numbers and registers in range."""
    shapes, numbers = _without_numbers(text)
    kinds = {shape: kind for kind, shape in enumerate(dict.fromkeys(shapes))}
    kind_of = np.array([kinds[shape] for shape in shapes], dtype=np.int64)
    lines = _unread(len(shapes))
    counts = np.array([shape.count(_ANY) for shape in kinds], dtype=np.int64)[kind_of]
    if numbers is None or counts.sum() != len(numbers):
        return lines
    first = np.cumsum(counts) - counts
    for kind, shape in enumerate(map(_shape, kinds)):
        if shape is None:
            continue
        rows = np.flatnonzero(kind_of == kind)
        values = numbers[first[rows, None] + np.arange(len(shape.signs))] * np.array(shape.signs)
        low, high = np.array(shape.ranges).T
        fits = ((values >= low) & (values <= high)).all(axis=1)
        rows = rows[fits]
        lines.op[rows], lines.registers[rows] = shape.op, shape.registers
        lines.operands[rows, : len(shape.signs)] = values[fits]
    return lines


def _without_numbers(text: str) -> tuple[list[str], NDArray[np.int64] | None]:
    """Give the shapes of a text's lines, and its numbers in order; None for the numbers if one has too many digits."""
    characters = np.frombuffer(text.encode("latin-1", errors="replace"), dtype=np.uint8)
    is_digit = (characters >= ord("0")) & (characters <= ord("9"))
    begins = is_digit.copy()
    begins[1:] &= ~is_digit[:-1]
    shape = np.where(is_digit, ord(_ANY), characters)[begins | ~is_digit]
    shapes = shape.astype(np.uint8).tobytes().decode("latin-1").split("\n")
    ends = is_digit.copy()
    ends[:-1] &= ~is_digit[1:]
    if (np.flatnonzero(ends) - np.flatnonzero(begins) >= _MOST_DIGITS).any():
        return shapes, None
    digits = np.where(is_digit, characters, ord(" ")).astype(np.uint8).tobytes().decode("ascii")
    return shapes, np.fromstring(digits, dtype=np.int64, sep=" ") if is_digit.any() else np.zeros(0, dtype=np.int64)


@lru_cache(maxsize=1 << 10)
def _shape(shape: str) -> _Shape | None:
    """Understand a line in which `_ANY` stands for each number; None if it is not plain."""
    name, _, data = shape.strip().partition(" ")
    words = data.split(",")
    known = _PLAIN_FORMS.get((name, tuple([word[:1] == "R" for word in words])))
    if known is None or not all(word in _PLAIN_WORDS for word in words):
        return None
    op, registers, ranges = known
    signs = tuple([-1 if word[0] == "-" else 1 for word in words])
    return _Shape(op=op, registers=registers, signs=signs, ranges=ranges)


# Programs repeat their lines from one upload to the next.
@lru_cache(maxsize=1 << 12)
def _statement(line: str) -> _Statement:
    """Understand any line."""
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
