"""Messages that bring jobs are received so many at once, and who sends slowly makes way for others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field

import pytest

from qubitd.server.auth.identity import LOCAL, Identity, Role, calling
from qubitd.server.errors import TooBusyError
from qubitd.server.front import receiving
from qubitd.server.front.receiving import MOST_AT_ONCE, MOST_OF_ONE, Parcel, Turns

BIG = bytes(100_000)
ANN, BOB = (Identity(name=name, project=name, role=Role.USER) for name in ("ann", "bob"))


@dataclass
class Line:
    """Messages on their way: each is here when the test says so."""

    turns: Turns = field(default_factory=Turns)
    begun: list[asyncio.Future[bytes]] = field(default_factory=list[asyncio.Future[bytes]])
    calls: list[asyncio.Task[Parcel]] = field(default_factory=list[asyncio.Task[Parcel]])

    async def _message(self) -> bytes:
        self.begun.append(asyncio.get_running_loop().create_future())
        return await self.begun[-1]

    def send(self, count: int, who: Identity = LOCAL) -> list[asyncio.Task[Parcel]]:
        with calling(who):
            calls = [asyncio.ensure_future(self.turns.receive(self._message)) for _ in range(count)]
        self.calls += calls
        return calls


async def turned() -> None:
    """Let everything go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def line() -> AsyncGenerator[Line]:
    line = Line()
    yield line
    for call in line.calls:
        call.cancel()
    await asyncio.wait(line.calls)


async def test_so_many_are_in_memory_until_they_were_read(line: Line) -> None:
    calls = line.send(MOST_AT_ONCE + 3)
    await turned()
    assert len(line.begun) == MOST_AT_ONCE
    for message in line.begun:
        message.set_result(BIG)
    await turned()
    assert len(line.begun) == MOST_AT_ONCE
    for call in calls[:2]:
        parcel = await call
        parcel.make_way()
        parcel.make_way()
    await turned()
    assert len(line.begun) == MOST_AT_ONCE + 2


async def test_a_small_one_makes_way_as_soon_as_it_is_here(line: Line) -> None:
    line.send(MOST_AT_ONCE + 1)
    await turned()
    line.begun[0].set_result(b"small")
    await turned()
    assert len(line.begun) == MOST_AT_ONCE + 1


async def test_one_project_leaves_room_for_others(line: Line) -> None:
    line.send(MOST_AT_ONCE, ANN)
    await turned()
    assert len(line.begun) == MOST_OF_ONE
    line.send(1, BOB)
    await turned()
    assert len(line.begun) == MOST_OF_ONE + 1


async def test_who_leaves_takes_no_turn_along(line: Line) -> None:
    calls = line.send(MOST_AT_ONCE + 2)
    await turned()
    for call in (calls[0], calls[MOST_AT_ONCE]):
        call.cancel()
    await turned()
    assert len(line.begun) == MOST_AT_ONCE + 1
    line.begun[1].set_exception(OSError("cut"))
    line.send(1)
    await turned()
    assert len(line.begun) == MOST_AT_ONCE + 2
    with pytest.raises(OSError, match="cut"):
        await calls[1]


@contextlib.contextmanager
def impatience(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Every message is a slow one."""
    with monkeypatch.context() as patch:
        patch.setattr(receiving, "SLOW", 0.0)
        yield


async def test_a_slow_one_keeps_its_turn_while_nobody_waits_for_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    with impatience(monkeypatch):
        (call,) = line.send(1)
        await turned()
        line.begun[0].set_result(BIG)
        assert (await call).data == BIG


async def test_a_slow_one_makes_way_for_others_and_is_asked_to_come_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with impatience(monkeypatch):
        slow = line.send(MOST_OF_ONE, ANN)
        await turned()
        assert not any(call.done() for call in slow)
        line.send(1, ANN)
        with pytest.raises(
            TooBusyError, match=r"still coming after .*, and others wait for it; the limit is 4 at once"
        ):
            await slow[0]


async def test_only_as_many_make_way_as_wait(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    with impatience(monkeypatch):
        slow = line.send(MOST_OF_ONE, ANN)
        await turned()
        waiting = line.send(2, ANN)
        await turned()
        assert sum(call.done() for call in slow) == len(waiting)
        assert len(line.begun) == MOST_OF_ONE + len(waiting)
        assert not any(call.done() for call in waiting)


async def test_who_leaves_as_it_is_let_in_passes_the_turn_on(line: Line) -> None:
    calls = line.send(MOST_AT_ONCE + 2)
    await turned()
    calls[0].cancel()
    await asyncio.sleep(0)
    calls[MOST_AT_ONCE].cancel()
    await turned()
    assert len(line.begun) == MOST_AT_ONCE + 1
