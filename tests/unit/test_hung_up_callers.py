"""What the store has of sessions and slots the daemon has as well, though whoever asked for it hung up meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from qubitd.server.clocks import Clocks
from qubitd.server.front.quotas import Quotas
from qubitd.server.persistence import durable
from qubitd.server.queueing.slots import SlotBook
from qubitd.server.sessions.book import SessionBook
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.v1 import sessions_pb2, slots_pb2
from qubitd.wire.sessions import SessionState

REQUEST = sessions_pb2.OpenRequest(key="k", backend="line5")
RESERVATION = slots_pb2.ReserveRequest(
    key="k", backend="line5", kind=slots_pb2.SLOT_KIND_MAINTENANCE, seconds=3600.0, note="a leak"
)


async def hang_up(call: Coroutine[Any, Any, Any]) -> None:
    """Begin a call and leave it where it waits for the disk."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)  # it begins
    await asyncio.sleep(0)  # and what it leaves to be done to the end begins, too
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_session_whose_caller_hung_up_is_open_for_the_next_try(tmp_path: Path) -> None:
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        book = SessionBook(store=store, clocks=Clocks(), quotas=Quotas(), served="line5")
        await hang_up(book.open(REQUEST, owner="lab", author="lab"))
        info = await book.open(REQUEST, owner="lab", author="lab")
        assert info.state is SessionState.PENDING
        book.admit(info.session_id, owner="lab")


async def test_a_slot_whose_releaser_hung_up_reserves_nothing_any_more(tmp_path: Path) -> None:
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        slots = SlotBook(store=store, clocks=Clocks(), served="line5")
        slot = await slots.reserve(RESERVATION, owner="lab", author="lab")
        await hang_up(slots.release(slot.slot_id, who="lab"))
        await durable(store.write(lambda _: None))  # whatever was begun before is written
        assert slots.infos() == []
