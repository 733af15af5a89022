"""Loops that only wait are taken in one step: what else a program does happens when it would happen turn by turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import Code, Halt, prepare
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.issue import QUEUE, keeps_ahead, lateness
from qubitd.emulator.q1.shotloop import Run, run, run_fully
from qubitd.emulator.q1.timeline import free_timeline

_LONG = 2048
"""ns: shorter turns are followed one by one."""

piece = st.one_of(
    st.tuples(st.just("{label}: wait {0}\nloop R{1},@{label}\n"), st.integers(_LONG - 2, 65_535), st.integers(2, 3)),
    st.tuples(st.just("move {0},R2\n"), st.integers(1, 70), st.just(0)),
    st.tuples(st.just("move {0},R3\n"), st.integers(1, 70), st.just(0)),
    st.tuples(st.just("set_ph {0}\nupd_param {1}\n"), st.integers(0, 900), st.integers(4, 40)),
    st.tuples(st.just("add R2,{0},R2\n"), st.integers(0, 3), st.just(0)),
    st.integers(1, 60).map(lambda count: ("set_ph 7\nupd_param 4\n" * count, 0, 0)),
    st.tuples(st.just("move {0},R5\nc{label}: add R6,1,R6\nloop R5,@c{label}\n"), st.integers(1, 300), st.just(0)),
    st.tuples(st.just("nop\n"), st.just(0), st.just(0)),
)
pieces = st.lists(piece, min_size=1, max_size=8).map(
    lambda found: "".join(text.format(*numbers, label=f"w{n}") for n, (text, *numbers) in enumerate(found))
)


def written(body: str, shots: int) -> Code:
    # A loop that was not given its turns would take 2^32 of them.
    fresh = "move 5,R2\nmove 5,R3\nnop\n"
    safe = "".join(f"{line}\n{fresh}" if line.startswith("loop") else f"{line}\n" for line in body.splitlines())
    text = f"move {shots},R0\nshot: {fresh}{safe}set_ph 1\nupd_param 8\nloop R0,@shot\nstop"
    return prepare(assemble(text, memory=16_384))


def told_apart(code: Code) -> Code:
    return replace(code, waits=frozenset())


def happenings(executed: Run) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """When phases are set and to what, and the end."""
    timeline = free_timeline(executed.trace)
    rows = np.flatnonzero(executed.trace.op == Op.SET_PH)
    return timeline.start[rows], executed.trace.operands[rows, 0], timeline.end


@given(pieces, st.integers(1, 6))
def test_everything_happens_as_if_each_turn_were_followed(body: str, shots: int) -> None:
    code = written(body, shots)
    for execute in (run, run_fully):
        quick, slow = execute(code), execute(told_apart(code))
        for found, expected in zip(happenings(quick), happenings(slow), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert quick.shots == slow.shots
        assert (
            free_timeline(quick.trace).start[list(quick.bounds)].tolist()
            == free_timeline(slow.trace).start[list(slow.bounds)].tolist()
        )


def lead(executed: Run) -> list[int]:
    """How much later than its start each instruction is issued, ns, waits aside."""
    late = lateness(executed.trace, free_timeline(executed.trace))
    return list(map(int, late[executed.trace.op != Op.WAIT]))


@given(pieces, st.integers(1, 6))
def test_the_processor_is_as_late_as_it_would_be_turn_by_turn(body: str, shots: int) -> None:
    code = written(body, shots)
    assert lead(run_fully(code)) == lead(run_fully(told_apart(code)))
    quick, slow = run(code), run(told_apart(code))
    assert keeps_ahead(quick, free_timeline(quick.trace)) == keeps_ahead(slow, free_timeline(slow.trace))


@pytest.mark.parametrize("turns", [QUEUE + 1, QUEUE + 2, 200])
@pytest.mark.parametrize(("sums", "is_late"), [(1_700, False), (2_000, True)])
def test_the_processor_computes_behind_a_loop_while_the_queue_lasts(turns: int, sums: int, is_late: bool) -> None:
    text = (
        f"move {turns},R2\nmove {sums},R3\nupd_param 4000\na: wait 2048\nloop R2,@a\n"
        "b: add R4,1,R4\nloop R3,@b\nset_ph 1\nupd_param 8\nstop"
    )
    code = prepare(assemble(text, memory=16_384))
    assert lead(run_fully(code)) == lead(run_fully(told_apart(code)))
    assert (max(lead(run_fully(code))) > 0) == is_late


def test_a_program_that_waits_for_more_than_a_year_has_no_end() -> None:
    inner = "move 0,R2\nnop\na: wait 65535\nloop R2,@a\n"
    text = f"move {{}},R0\nnop\nb: add R5,R0,R5\n{inner}set_ph R5\nupd_param 4\nloop R0,@b\nstop"
    halts = [run_fully(prepare(assemble(text.format(times), memory=16_384))).trace.halt for times in (100, 200)]
    assert halts == [Halt.STOPPED, Halt.ENDLESS]


def test_a_long_wait_is_one_row_between_its_first_turn_and_its_last() -> None:
    code = prepare(assemble("move 600,R2\nnop\na: wait 60000\nloop R2,@a\nstop", memory=16_384))
    assert run_fully(code).trace.operands[:, 0].tolist() == [60_000, 598 * 60_000, 60_000]


def test_turns_are_followed_where_a_condition_may_skip_them() -> None:
    text = "move 9,R2\nset_cond 1,1,0,4\na: wait 60000\nloop R2,@a\nset_cond 0,0,0,4\nstop"
    assert len(run_fully(prepare(assemble(text, memory=16_384))).trace) == 11
