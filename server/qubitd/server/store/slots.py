"""Slots as the store holds them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qubitd.server.errors import KeyReusedError, SlotTakenError, UnknownSlotError
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Database
from qubitd.wire.slots import SlotInfo, SlotKind

_COLUMNS = "id, backend, kind, start_ns, end_ns, note, owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSlot:
    """A slot on its way in."""

    slot: SlotInfo
    key: str
    """Made by the client, unique among its slots."""
    request_digest: str
    """SHA-256 of the request's bytes."""
    author: str
    """Who asked for it."""


class SlotWrites:
    """What the writer's thread can do to slots."""

    def __init__(self, connection: Database, audit: AuditWrites) -> None:
        self._connection = connection
        self._audit = audit

    def reserve(self, new: NewSlot, *, now_ns: int) -> SlotInfo:
        """Take a slot, or recognise one that was reserved before.

        Raises:
            KeyReusedError: the key stands for a slot that was asked for otherwise.
            SlotTakenError: it overlaps another.
        """
        slot = new.slot
        known = self._connection.execute(
            f"SELECT request_digest, {_COLUMNS} FROM slot WHERE owner = ? AND key = ?",  # noqa: S608 (constant)
            (slot.owner, new.key),
        ).fetchone()
        if known is not None:
            found = _slot(known[1:])
            if known[0] != new.request_digest:
                raise KeyReusedError(key=new.key, job_id=found.slot_id)
            return found
        self._check_free(slot)
        self._connection.execute(
            "INSERT INTO slot (id, owner, key, request_digest, backend, kind, start_ns, end_ns, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                slot.slot_id,
                slot.owner,
                new.key,
                new.request_digest,
                slot.backend,
                slot.kind.value,
                slot.start_ns,
                slot.end_ns,
                slot.note,
            ),
        )
        what = f"reserved slot {slot.slot_id} for {slot.kind.value}, {utc(slot.start_ns)} to {utc(slot.end_ns)}"
        self._audit.append(time_ns=now_ns, who=new.author, what=what)
        return slot

    def release(self, *, slot_id: str, who: str, now_ns: int) -> None:
        """End a slot now, or remove one that has not begun. That it is not over is the caller's to know.

        Raises:
            UnknownSlotError: there is none.
        """
        row = self._connection.execute(
            "UPDATE slot SET end_ns ="
            " CASE WHEN start_ns > :now THEN start_ns WHEN end_ns < :now THEN end_ns ELSE :now END"
            " WHERE id = :id RETURNING 1",
            {"now": now_ns, "id": slot_id},
        ).fetchone()
        if row is None:
            raise UnknownSlotError(slot_id=slot_id)
        self._connection.execute("DELETE FROM slot WHERE id = ? AND start_ns >= end_ns", (slot_id,))
        self._audit.append(time_ns=now_ns, who=who, what=f"released slot {slot_id}")

    def _check_free(self, slot: SlotInfo) -> None:
        taken = self._connection.execute(
            f"SELECT {_COLUMNS} FROM slot WHERE backend = ? AND start_ns < ? AND end_ns > ? LIMIT 1",  # noqa: S608
            (slot.backend, slot.end_ns, slot.start_ns),
        ).fetchone()
        if taken is not None:
            raise taken_by(_slot(taken))


class SlotReads:
    """What can be asked about slots."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def is_known(self, *, owner: str, key: str) -> bool:
        """Whether an owner has reserved a slot with this key."""
        row = self._connection.execute("SELECT 1 FROM slot WHERE owner = ? AND key = ?", (owner, key)).fetchone()
        return row is not None

    def coming(self, *, now_ns: int) -> list[SlotInfo]:
        """Give the slots that are not over, by their start."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM slot WHERE end_ns > ? ORDER BY start_ns",  # noqa: S608 (constant)
            (now_ns,),
        )
        return [_slot(row) for row in rows]


def utc(ns: int) -> str:
    """Write a time for people."""
    return dt.datetime.fromtimestamp(ns // 10**9, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def taken_by(slot: SlotInfo) -> SlotTakenError:
    """Say that a slot has the time that was asked for."""
    return SlotTakenError(slot_id=slot.slot_id, start=utc(slot.start_ns), end=utc(slot.end_ns))


def _slot(columns: Sequence[Any]) -> SlotInfo:
    return SlotInfo(
        slot_id=columns[0],
        backend=columns[1],
        kind=SlotKind(columns[2]),
        start_ns=columns[3],
        end_ns=columns[4],
        note=columns[5],
        owner=columns[6],
    )
