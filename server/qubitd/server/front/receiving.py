"""Messages that bring jobs are received in turn: of all that come at once few are in memory, and the rest is left to
gRPC's flow control, which keeps 64 KiB of each. All of it in the event loop's thread.

Whoever sends slowly keeps its turn only while nobody else waits for one: as many make way as wait, so that the others
come to their end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from qubitd.server.auth.identity import LOCAL, caller
from qubitd.server.errors import TooBusyError

MOST_AT_ONCE = 16
"""Messages that are being received or read."""
MOST_OF_ONE = 4
"""Of one project, unless it is the machine's own."""
SLOW = 5.0
"""Seconds after which a message that is not here yet makes way for others."""
_SMALL = 65_536
"""Bytes of a message that makes way as soon as it is here."""


class Parcel:
    """A request as it came, until somebody has read it. Then its bytes need not be in memory beside what they said."""

    def __init__(self, data: bytes, *, make_way: Callable[[], None] = lambda: None) -> None:
        """Hold what came; `make_way` gives its turn to the next one, as often as it is called."""
        self.data = data
        self.is_dropped = False
        self.make_way = make_way

    def drop(self) -> None:
        """Let go of the bytes; what was asked for cannot be passed on from now on."""
        self.data = b""
        self.is_dropped = True


class _Room:
    """Room for so many messages, and who waits for it, first come, first served."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.leaving = 0
        """That were told to make way and have not yet."""
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether more wait than will be let in when those have left who were told to."""
        return len(self._waiting) > self.leaving

    async def enter(self) -> None:
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.leave()
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    def leave(self) -> None:
        """Let the next one in, who has the place from now on."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


class Turns:
    """Who may send."""

    def __init__(self) -> None:
        self._all = _Room(MOST_AT_ONCE)
        self._of_one: dict[str, _Room] = {}

    async def receive(self, message: Callable[[], Awaitable[bytes]]) -> Parcel:
        """Wait for a turn and receive a message; it keeps its turn until it makes way.

        Raises:
            TooBusyError: it came too slowly, and others waited.
        """
        rooms = self._rooms()
        entered: list[_Room] = []

        def make_way() -> None:
            while entered:
                entered.pop().leave()

        try:
            for room in rooms:
                await room.enter()
                entered.append(room)
            data = await _received(message, rooms)
        except BaseException:
            make_way()
            raise
        if len(data) <= _SMALL:
            make_way()
        return Parcel(data, make_way=make_way)

    def _rooms(self) -> list[_Room]:
        owner = caller().project
        if owner == LOCAL.project:
            return [self._all]
        return [self._of_one.setdefault(owner, _Room(MOST_OF_ONE)), self._all]


async def _received(message: Callable[[], Awaitable[bytes]], rooms: list[_Room]) -> bytes:
    loop = asyncio.get_running_loop()
    later: asyncio.TimerHandle
    left: list[_Room] = []

    def look() -> None:
        nonlocal later
        if any(room.is_wanted for room in rooms):
            left.extend(rooms)
            for room in left:
                room.leaving += 1
            patience.reschedule(loop.time())
        else:
            later = loop.call_later(SLOW, look)

    later = loop.call_later(SLOW, look)
    try:
        async with asyncio.timeout(None) as patience:
            return await message()
    except TimeoutError:
        what = f"this request is still coming after {SLOW:g} s, and others wait for it"
        raise TooBusyError(what=what, limit=rooms[0].most) from None
    finally:
        later.cancel()
        for room in left:
            room.leaving -= 1
