"""Brackets of control flow are balanced, bounded, and name conditions that exist; whatever else is told where."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from qubitd.compiler.text import circuit_text
from qubitd.core.circuit import CircuitBuilder, brackets_of, instructions, pack
from qubitd.core.control import MAX_DEPTH, Condition, bracket_problems, condition_problem, written_out

ONE = Condition(clbits=(0,), truth=0b10, text="c0")


def problems_of(builder: CircuitBuilder, *, num_conditions: int | None = None) -> list[tuple[int, str]]:
    batch = pack([builder])
    circuit = batch.circuits[0]
    return list(
        bracket_problems(
            brackets_of(circuit, batch.operations),
            circuit.controls,
            num_conditions=len(circuit.conditions) if num_conditions is None else num_conditions,
            num_operations=len(circuit),
        )
    )


def circuit(*steps: str) -> CircuitBuilder:
    """Write a circuit from words; `x` is a gate, `for 3` repeats, `while 3` repeats on a condition."""
    builder = CircuitBuilder(name="words", num_qubits=1, num_clbits=1)
    plain: dict[str, Callable[[], object]] = {
        "x": lambda: builder.add("x", 0),
        "if": lambda: builder.if_(ONE),
        "else": builder.else_,
        "break": builder.break_,
        "continue": builder.continue_,
        "end": builder.end,
    }
    for step in steps:
        word, _, number = step.partition(" ")
        if word == "for":
            builder.for_(int(number))
        elif word == "while":
            builder.while_(ONE, most=int(number))
        else:
            plain[word]()
    return builder


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ("x",),
        ("if", "x", "end"),
        ("if", "else", "end"),
        ("if", "for 2", "if", "x", "else", "break", "end", "end", "else", "while 4", "continue", "end", "end", "x"),
        ("for 0", "x", "end"),
        ("for 1000", "for 990", "end", "end"),
        ("if",) * MAX_DEPTH + ("end",) * MAX_DEPTH,
        ("for 3", "if", "break", "else", "x", "end", "end"),
    ],
)
def test_well_formed_blocks_pass(steps: Sequence[str]) -> None:
    assert problems_of(circuit(*steps)) == []


@pytest.mark.parametrize(
    ("steps", "operation", "what"),
    [
        (("x", "end"), 1, "closes a block that is not open"),
        (("x", "if", "x"), 1, "1 blocks are still open"),
        (("else",), 0, "does not follow the block of an `if`"),
        (("for 2", "else", "end"), 1, "does not follow"),
        (("if", "else", "else", "end"), 2, "does not follow"),
        (("if", "end", "else"), 2, "does not follow"),
        (("if", "end", "for 1", "else", "end"), 3, "does not follow"),
        (("break",), 0, "is not inside a loop"),
        (("for 2", "end", "if", "continue", "end"), 3, "is not inside a loop"),
        (("if",) * (MAX_DEPTH + 1) + ("end",) * (MAX_DEPTH + 1), MAX_DEPTH, "inside 64 others"),
        (("for 1000", "for 1000", "x", "end", "end"), 0, "more than 1000000 operations"),
        (("for 1000001", "end"), 0, "repeats 1000001 times"),
        (("for 4000000000",) * 40 + ("end",) * 40, 0, "repeats 4000000000 times"),
        (("for 1000000",) * 60 + ("end",) * 60, 0, "more than 1000000 operations"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(steps: Sequence[str], operation: int, what: str) -> None:
    at, text = problems_of(circuit(*steps))[0]
    assert at == operation
    assert what in text


@pytest.mark.parametrize(
    ("steps", "most"),
    [
        (("for {}", "x", "end", "x"), 999_997),
        (("x", "for 10", "for {}", "x", "end", "x", "end"), 99_996),
        (("for {}", "x", "if", "x", "end", "end"), 249_999),
        (("for 3", "while {}", "x", "end", "end"), 166_665),
    ],
)
def test_loops_are_written_out_to_the_last_operation_that_is_admitted(steps: Sequence[str], most: int) -> None:
    """A loop's `for` is come to once, its `while` before each round."""
    for number, refused in ((most - 1, 0), (most, 0), (most + 1, 1)):
        found = problems_of(circuit(*(step.format(number) for step in steps)))
        assert len(found) == refused


def test_a_condition_that_does_not_exist_is_told() -> None:
    found = problems_of(circuit("if", "end", "while 3", "end"), num_conditions=0)
    assert [at for at, _ in found] == [0, 2]
    assert "names condition 0; the circuit has 0" in found[0][1]


def test_a_condition_looks_its_value_up() -> None:
    majority = Condition(clbits=(1, 4, 5), truth=0b11101000, text="majority")
    assert [majority.holds(v) for v in range(8)] == [v.bit_count() >= 2 for v in range(8)]
    assert condition_problem(majority, num_clbits=6) is None


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        (Condition(clbits=(), truth=0, text=""), "reads 0 classical bits"),
        (Condition(clbits=tuple(range(11)), truth=0, text=""), "reads 11 classical bits"),
        (Condition(clbits=(1, 0), truth=0, text=""), "sorted and distinct"),
        (Condition(clbits=(1, 1), truth=0, text=""), "sorted and distinct"),
        (Condition(clbits=(20,), truth=0, text=""), "reads classical bit 20 of 12"),
        (Condition(clbits=(0,), truth=16, text=""), "does not fit 1 bits"),
    ],
)
def test_a_wrong_condition_is_told(condition: Condition, what: str) -> None:
    assert what in (condition_problem(condition, num_clbits=12) or "")


def test_brackets_are_written_out_with_their_numbers() -> None:
    batch = pack([circuit("if", "x", "end", "while 7", "end", "for 3", "end")])
    written = [(i.name, i.controls) for i in instructions(batch.circuits[0], batch.operations)]
    numbers = [("if", (0,)), ("x", ()), ("end", ()), ("while", (0, 7)), ("end", ()), ("for", (3,)), ("end", ())]
    assert written == numbers
    assert batch.circuits[0].conditions == (ONE,)


def test_blocks_are_written_indented() -> None:
    batch = pack([circuit("for 3", "if", "x", "else", "break", "end", "end", "while 2", "x", "end")])
    assert circuit_text(batch.circuits[0], batch.operations).splitlines()[1:] == [
        "  for 3 times",
        "    if c0",
        "      x q0",
        "    else",
        "      break",
        "    end",
        "  end",
        "  while c0, at most 2 times",
        "    x q0",
        "  end",
    ]


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        (("x", "x"), 2),
        (("x", "for 10", "x", "x", "end", "x"), 1 + 1 + 10 * 2 + 2),
        (("for 1000", "for 900", "x", "end", "end"), 1 + 1000 * (1 + 900 + 1) + 1),
        (("while 7", "x", "end"), 7 * 2 + 1),
    ],
    ids=("plain", "for", "for in for", "while"),
)
def test_operations_of_loops_count_as_often_as_they_happen(steps: Sequence[str], count: int) -> None:
    batch = pack([circuit(*steps)])
    columns = batch.circuits[0]
    brackets = brackets_of(columns, batch.operations)
    assert written_out(brackets, columns.controls, num_operations=len(columns)) == count
