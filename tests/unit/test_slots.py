"""A slot is time to come, and the log says who reserved it, not for which project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qubitd.server.clocks import Clocks
from qubitd.server.queueing.slots import SlotBook
from qubitd.server.store.audit import read_lines
from qubitd.server.store.backup import open_source
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.slots import Reservation, SlotKind, encode_reservation

NOW = 1_000


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SlotBook]:
    with closing(SqliteStore(tmp_path)) as store:
        yield SlotBook(store=store, clocks=Clocks(wall=lambda: NOW * 10**9, steady=lambda: 7.0), served="line5")


def wanted(*, start: int, seconds: float) -> Reservation:
    kind = SlotKind.CALIBRATION
    return Reservation(key=f"{start}", backend="line5", kind=kind, start_ns=start * 10**9, seconds=seconds)


async def test_a_slot_that_would_be_over_already_is_refused(book: SlotBook) -> None:
    past = encode_reservation(wanted(start=NOW - 90, seconds=60.0))
    with pytest.raises(
        MalformedMessageError, match=r"start_ns: the slot would have ended at .* UTC, which is past; give"
    ):
        await book.reserve(past, owner="spin", author="bob")
    begun = await book.reserve(encode_reservation(wanted(start=NOW - 90, seconds=91.0)), owner="spin", author="bob")
    assert book.infos() == [begun]


async def test_the_log_says_who_reserved_a_slot(book: SlotBook, tmp_path: Path) -> None:
    slot = await book.reserve(encode_reservation(wanted(start=NOW + 1, seconds=60.0)), owner="spin", author="bob")
    assert slot.owner == "spin"
    lines = [(line.who, line.what.partition(" for ")[0]) for line in read_lines(open_source(tmp_path))]
    assert lines == [("bob", f"reserved slot {slot.slot_id}")]
