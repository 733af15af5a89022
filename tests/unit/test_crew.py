"""What becomes of a piece that is with workers: it comes home whatever they do; what none managed, for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from qubitd.server.compile_process import LONGEST
from qubitd.server.store.work import NewWork, Standing, WorkKind
from qubitd.server.workers.crew import MOST_PATIENCE, PATIENCE, Asked, Fate, fate_of
from qubitd.server.workers.papers import DECLINED

NEW = NewWork(kind=WorkKind.VALIDATE, version="1", content=b"device and rack", spec_digest="aa")
FREE = Standing(fence=0, lease_ns=0, is_given_up=False, answer=None)


@pytest.fixture
def asked() -> Iterator[Asked]:
    loop = asyncio.new_event_loop()
    yield Asked(new=NEW, answer=loop.create_future(), since=0.0)
    loop.close()


def taken(fence: int, lease: int) -> Standing:
    return Standing(fence=fence, lease_ns=lease, is_given_up=False, answer=None)


def test_what_no_worker_takes_comes_home_and_may_be_given_away_again(asked: Asked) -> None:
    assert fate_of(asked, FREE, PATIENCE - 1, is_there=True) is Fate.WAITED_FOR
    assert fate_of(asked, FREE, PATIENCE, is_there=True) is Fate.HOME


def test_what_is_in_hand_is_waited_for_as_long_as_the_worker_gives_signs_of_life(asked: Asked) -> None:
    for second in range(0, 100, 5):
        assert fate_of(asked, taken(1, second), second, is_there=True) is Fate.WAITED_FOR
    assert fate_of(asked, taken(1, 95), 95 + PATIENCE, is_there=True) is Fate.HOME


def test_a_worker_that_is_alive_and_comes_to_no_end_is_left_for_good(asked: Asked) -> None:
    for second in range(int(MOST_PATIENCE)):
        assert fate_of(asked, taken(1, second), second, is_there=True) is Fate.WAITED_FOR
    assert fate_of(asked, taken(1, 10**6), MOST_PATIENCE, is_there=True) is Fate.FORSAKEN
    assert MOST_PATIENCE > LONGEST


def test_workers_that_take_a_piece_in_turn_make_it_no_longer(asked: Asked) -> None:
    fates = [fate_of(asked, taken(1 + second // 300, second), second, is_there=True) for second in range(700)]
    assert fates.index(Fate.FORSAKEN) == MOST_PATIENCE


def test_without_workers_it_comes_home_at_once(asked: Asked) -> None:
    assert fate_of(asked, FREE, 0.0, is_there=False) is Fate.HOME
    assert fate_of(asked, None, 0.0, is_there=True) is Fate.HOME


@pytest.mark.parametrize("is_there", [True, False])
def test_what_workers_died_of_or_gave_back_is_given_away_no_more(asked: Asked, is_there: bool) -> None:
    assert fate_of(asked, replace(FREE, is_given_up=True), 0.0, is_there=is_there) is Fate.FORSAKEN
    assert fate_of(asked, replace(FREE, answer=DECLINED), 0.0, is_there=is_there) is Fate.FORSAKEN
    assert fate_of(asked, replace(FREE, answer=b"found"), 0.0, is_there=is_there) is Fate.ANSWERED
