"""What is wrong with an input, for people: a reason that several operations share is told once."""

from __future__ import annotations

import pytest

from qubitd.client import RefusedError
from qubitd.core.errors import InvalidCircuitError, Problem, problem_lines
from qubitd.provider import CircuitFileError, JobRefusedError

WHY = "is none of OR, NOR, AND, NAND, XOR and XNOR of outcomes, which is all that the trigger network can tell"


def at(operation: int, what: str, *, name: str = "if", circuit: int = 0) -> Problem:
    where = f"circuit {circuit} ('bell'), operation {operation} ({name})"
    return Problem(where=where, what=what, circuit=circuit, operation=operation)


def test_equal_reasons_of_one_circuit_share_a_line_that_stands_where_the_first_stood() -> None:
    problems = [
        at(3, "is wrong"),
        Problem(where="option shots", what="is 0"),
        at(7, "is wrong"),
        at(9, "is wrong"),
        at(9, "is wrong", circuit=1),
        at(9, "is too long"),
    ]
    assert problem_lines(problems) == [
        "circuit 0 ('bell'), operations 3, 7 and 9 (if): is wrong",
        "option shots: is 0",
        "circuit 1 ('bell'), operation 9 (if): is wrong",
        "circuit 0 ('bell'), operation 9 (if): is too long",
    ]


def test_operations_that_differ_are_each_told_what_they_are() -> None:
    problems = [at(3, "is wrong", name="cz on q0, q2"), at(7, "is wrong", name="x on q1")]
    assert problem_lines(problems) == [
        "circuit 0 ('bell'), operations 3 (cz on q0, q2) and 7 (x on q1): is wrong",
    ]


def test_all_that_is_wrong_in_one_block_is_named() -> None:
    problems = [at(2, "is wrong", name="h on q1"), at(2, "is wrong", name="y on q0"), at(7, "is wrong", name="h on q1")]
    assert problem_lines(problems) == [
        "circuit 0 ('bell'), operations 2 (h on q1), 2 (y on q0) and 7 (h on q1): is wrong",
    ]


def test_an_operation_that_a_loop_repeats_is_named_once() -> None:
    assert problem_lines([at(3, "is wrong")] * 4) == ["circuit 0 ('bell'), operation 3 (if): is wrong"]


def test_a_long_reason_is_told_once_though_it_is_about_different_things() -> None:
    problems = [at(3, f"the condition A {WHY}"), at(5, f"the condition B and C {WHY}"), at(8, f"the condition A {WHY}")]
    assert problem_lines(problems) == [
        "circuit 0 ('bell'), operations 3 and 8 (if): the condition A ...; operation 5 (if): the condition B and C ...;"
        f" each: ... {WHY}"
    ]


def test_a_flood_of_operations_is_counted() -> None:
    (line,) = problem_lines([at(operation, "is wrong") for operation in range(100)])
    assert line == "circuit 0 ('bell'), operations 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more (if): is wrong"
    (line,) = problem_lines([at(operation, f"the condition {operation} {WHY}") for operation in range(100)])
    assert line.count("the condition") == 10
    assert "; 90 more; each: ..." in line


@pytest.mark.parametrize(
    "error",
    [
        InvalidCircuitError([at(3, "is wrong"), at(7, "is wrong")]),
        RefusedError(message="2 problems", problems=[at(3, "is wrong"), at(7, "is wrong")]),
        JobRefusedError([at(3, "is wrong"), at(7, "is wrong")]),
        CircuitFileError([at(3, "is wrong"), at(7, "is wrong")]),
    ],
)
def test_an_error_says_a_reason_once_and_keeps_each_problem(error: InvalidCircuitError) -> None:
    assert str(error) == "circuit 0 ('bell'), operations 3 and 7 (if): is wrong"
    assert error.args == (str(error),)
    assert [problem.operation for problem in error.problems] == [3, 7]
