"""Gaps of any length are written as waits that a sequencer accepts, exactly as long, and counted as written."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from qubitd.drivers.cluster.waits import LONGEST, LONGEST_GAP, SHORTEST, extra_instructions, wait_text

GAPS = st.one_of(
    st.integers(SHORTEST, LONGEST_GAP),
    st.integers(SHORTEST, 6 * LONGEST),
    st.builds(lambda pieces, off: pieces * LONGEST + off, st.integers(1, 30), st.integers(-4, 4)),
)


def waits_of(gap: int) -> dict[int, int]:
    """Carry out what is written for a gap: how often each wait is waited."""
    own, text = wait_text(gap, "here")
    waits, repeat = {own: 1}, 1
    for line in text.splitlines():
        name, _, argument = line.removeprefix("here: ").partition(" ")
        if name == "move":
            repeat = int(argument.partition(",")[0])
        elif name == "wait":
            waits[int(argument)] = waits.get(int(argument), 0) + repeat
        else:
            assert line == "loop R2,@here"
    return waits


@given(GAPS)
@example(SHORTEST)
@example(LONGEST)
@example(LONGEST + 1)
@example(4 * LONGEST)
@example(4 * LONGEST + 1)
@example(LONGEST_GAP)
def test_a_gap_is_waited_exactly_in_pieces_that_a_sequencer_accepts(gap: int) -> None:
    waits = waits_of(gap)
    assert sum(wait * times for wait, times in waits.items()) == gap
    assert max(waits.values()) < 2**32
    assert min(waits) >= SHORTEST
    assert max(waits) <= LONGEST


@given(GAPS)
@example(4 * LONGEST)
@example(4 * LONGEST + 1)
def test_instructions_of_a_gap_are_counted_as_written(gap: int) -> None:
    assert extra_instructions(np.array([gap])).tolist() == [len(wait_text(gap, "w")[1].splitlines())]


@given(GAPS)
def test_a_gap_never_takes_more_than_three_instructions_beside_its_own(gap: int) -> None:
    assert len(wait_text(gap, "w")[1].splitlines()) <= 3
