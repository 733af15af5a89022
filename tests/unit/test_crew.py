"""What becomes of a piece that is with workers: it comes home whatever they do; what none managed, for good."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from qubitd.compiler.device_file import device_bytes, load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.drivers.rack_file import rack_text
from qubitd.server.clocks import Clocks
from qubitd.server.compiling.compile_process import LONGEST
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.work import NewWork, Standing, WorkKind
from qubitd.server.telemetry.meters import Meters
from qubitd.server.workers import crew as crew_module
from qubitd.server.workers.crew import MOST_ASKED, MOST_PATIENCE, PATIENCE, Asked, Crew, Fate, fate_of
from qubitd.server.workers.papers import DECLINED, KitFiles

SNAPSHOT = load_device("line5").snapshot()
NEW = NewWork(kind=WorkKind.VALIDATE, version="1", content=b"device and rack", spec_digest="aa")
FREE = Standing(fence=0, lease_ns=0, is_given_up=False, answer=None)


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """With workers that do nothing."""
    store = SqliteStore(tmp_path)
    files = KitFiles(device=device_bytes("line5"), rack=rack_text())
    one = Crew(store=store, files=files, clocks=Clocks(), meters=Meters())
    one.is_there = True
    yield one
    store.close()


@pytest.fixture
def asked() -> Iterator[Asked]:
    loop = asyncio.new_event_loop()
    yield Asked(new=NEW, answer=loop.create_future(), since=0.0)
    loop.close()


def taken(fence: int, lease: int) -> Standing:
    return Standing(fence=fence, lease_ns=lease, is_given_up=False, answer=None)


def job(shots: int) -> JobSpec:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).add("x", 0).measure(0, 0)
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=shots)


async def given_at_once(crew: Crew, pieces: Sequence[Callable[[], Awaitable[object]]]) -> list[bool]:
    """Give away as many of some pieces as can be, all in one turn of the loop; which were."""
    given: list[bool] = []

    async def give(piece: Callable[[], Awaitable[object]]) -> None:
        given.append(crew.can_take)
        if given[-1]:
            await piece()

    async def nothing() -> None:
        """Comes after all that is begun."""

    tasks = [asyncio.create_task(give(piece)) for piece in pieces]
    await asyncio.create_task(nothing())
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return given


async def test_of_many_that_are_explained_at_once_workers_get_no_more_than_they_may_have(crew: Crew) -> None:
    explain = [partial(crew.explain, job(shots), SNAPSHOT, wants_expected=False) for shots in range(1, MOST_ASKED + 4)]
    assert await given_at_once(crew, explain) == [True] * MOST_ASKED + [False] * 3
    assert crew.can_take


async def test_bytes_count_before_they_are_in_the_table(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "MOST_ASKED_BYTES", 1)
    assert await given_at_once(crew, [partial(crew.validate, digest, SNAPSHOT) for digest in "ab"]) == [True, False]
    assert crew.can_take


async def test_what_is_explained_comes_home_if_others_came_to_the_most_bytes_before(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "MOST_ASKED_BYTES", 1)
    tasks = [asyncio.create_task(crew.explain(job(shots), SNAPSHOT, wants_expected=False)) for shots in (1, 2, 3)]
    async with asyncio.timeout(30):
        for home in itertools.islice(asyncio.as_completed(tasks), 2):
            assert await home is None
    (given,) = [task for task in tasks if not task.done()]
    given.cancel()
    await asyncio.wait([given])
    assert given.cancelled()


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
