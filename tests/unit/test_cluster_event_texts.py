"""Texts of many events at once, against each spelled by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubitd.drivers.cluster.event_texts import EventTexts, chosen, numbers, same, spelled

_NUMBERS = st.lists(st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 10_001)), min_size=1, max_size=40)


def ints(values: list[int]) -> np.typing.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


@given(values=_NUMBERS)
def test_numbers_are_spelled_like_one_by_one(values: list[int]) -> None:
    texts = EventTexts.of([], chosen(["play 0,1,"], ints([0] * len(values))), numbers(ints(values)), count=len(values))
    assert texts.joined() == "".join(f"play 0,1,{value}\n" for value in values)


@given(values=_NUMBERS, data=st.data())
def test_settings_stand_with_their_events(values: list[int], data: st.DataObject) -> None:
    sets = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    phases = numbers(ints([v for v, s in zip(values, sets, strict=True) if s]), front="set_ph ")
    words = chosen(["upd_param "], ints([0] * len(values)))
    texts = EventTexts.of([[(phases, np.flatnonzero(sets))]], words, numbers(ints(values)), count=len(values))
    expected = (f"set_ph {v}\n" * s + f"upd_param {v}\n" for v, s in zip(values, sets, strict=True))
    assert texts.joined() == "".join(expected)


def test_settings_of_which_an_event_has_one_at_most_may_be_of_any_length() -> None:
    phases = numbers(ints([5, 1_000_000_007]), front="set_ph ")
    setting = [(phases, ints([1, 3])), (same("x\n"), ints([0])), (same("a much longer text than these\n"), ints([4]))]
    texts = EventTexts.of([setting, [(same("and\n"), ints([0, 1]))]], same("wait "), numbers(ints([4] * 5)), count=5)
    assert texts.joined() == (
        "x\nand\nwait 4\nset_ph 5\nand\nwait 4\nwait 4\nset_ph 1000000007\nwait 4\n"
        "a much longer text than these\nwait 4\n"
    )


def test_what_few_events_have_stands_in_its_place() -> None:
    which = ints([0, 1, 1, 0])
    phases = spelled(ints([-3, 12, -3, 7]), lambda phase: f"set_ph {phase}\n")
    texts = EventTexts.of(
        [[(phases, np.arange(4))]], chosen(["a ", "bcdef "], which), numbers(ints([4, 5, 6, 7])), count=4
    )
    texts.add_settings(1, "first\n")
    texts.add_settings(1, "second\n")
    texts.own_instruction[2] = "other "
    texts.own_wait[0] = texts.wait_of(0) + "more\n"
    texts.own_wait[3] = f"{texts.instruction_of(3)}again\n"
    assert texts.joined() == (
        "set_ph -3\na 4\nmore\nfirst\nsecond\nset_ph 12\nbcdef 5\nset_ph -3\nother 6\nset_ph 7\na a again\n"
    )


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 3000])
def test_any_number_of_events_is_written(count: int) -> None:
    texts = EventTexts.of([], [], numbers(np.arange(count)), count=count)
    texts.add_settings(count - 1, "last ")
    assert texts.joined() == "".join(f"{'last ' * (i == count - 1)}{i}\n" for i in range(count))
