"""Slots <-> messages."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from qubitd.core.ticks import seconds_text
from qubitd.v1 import slots_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_finite, check_text
from qubitd.wire.specs import MAX_BACKEND_NAME, MAX_KEY

MIN_SECONDS = 1.0
MAX_SECONDS = 604_800.0
"""A week."""
MAX_NOTE = 256
MAX_START_NS = 2**62
"""In the year 2116."""


class SlotKind(enum.Enum):
    """What a slot is reserved for."""

    CALIBRATION = "calibration"
    """Only jobs that name the slot run."""
    MAINTENANCE = "maintenance"
    """Nothing runs but safety."""


_KINDS = {
    SlotKind.CALIBRATION: slots_pb2.SLOT_KIND_CALIBRATION,
    SlotKind.MAINTENANCE: slots_pb2.SLOT_KIND_MAINTENANCE,
}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Time that is asked for."""

    key: str
    """Made by the client, unique among its slots; 1 to 128 bytes."""
    backend: str
    kind: SlotKind
    start_ns: int = 0
    """ns since 1970-01-01 UTC; 0 means now."""
    seconds: float
    """1 to 604 800."""
    note: str = ""
    """Why, for people; at most 256 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotInfo:
    """Reserved time."""

    slot_id: str
    backend: str
    kind: SlotKind
    start_ns: int
    """ns since 1970-01-01 UTC."""
    end_ns: int
    """ns since 1970-01-01 UTC."""
    note: str = ""
    owner: str = ""


def encode_reservation(reservation: Reservation) -> slots_pb2.ReserveRequest:
    """Give the request that reserves time."""
    return slots_pb2.ReserveRequest(
        key=reservation.key,
        backend=reservation.backend,
        kind=_KINDS[reservation.kind],
        start_ns=reservation.start_ns,
        seconds=reservation.seconds,
        note=reservation.note,
    )


def decode_reservation(message: slots_pb2.ReserveRequest) -> Reservation:
    """Read and check a request that reserves time.

    Raises:
        MalformedMessageError: a field is outside its limits.
    """
    if not MIN_SECONDS <= check_finite(message.seconds, where="seconds") <= MAX_SECONDS:
        limits = f"{seconds_text(MIN_SECONDS)} and {seconds_text(MAX_SECONDS)}"
        raise malformed("seconds", f"is {seconds_text(message.seconds)}; the limits are {limits}")
    if not 0 <= message.start_ns <= MAX_START_NS:
        what = f"is {message.start_ns}; give ns since 1970 up to {MAX_START_NS} (the year 2116), or 0 for now"
        raise malformed("start_ns", what)
    return Reservation(
        key=check_text(message.key, where="key", least=1, most=MAX_KEY),
        backend=check_text(message.backend, where="backend", least=1, most=MAX_BACKEND_NAME),
        kind=_decode_kind(message.kind),
        start_ns=message.start_ns,
        seconds=message.seconds,
        note=check_text(message.note, where="note", most=MAX_NOTE),
    )


def encode_slot(slot: SlotInfo) -> slots_pb2.Slot:
    """Give the message of a slot."""
    return slots_pb2.Slot(
        slot_id=slot.slot_id,
        backend=slot.backend,
        kind=_KINDS[slot.kind],
        start_ns=slot.start_ns,
        end_ns=slot.end_ns,
        note=slot.note,
        owner=slot.owner,
    )


def decode_slot(message: slots_pb2.Slot) -> SlotInfo:
    """Read a slot.

    Raises:
        MalformedMessageError: it is for something that this end does not know.
    """
    return SlotInfo(
        slot_id=message.slot_id,
        backend=message.backend,
        kind=_decode_kind(message.kind),
        start_ns=message.start_ns,
        end_ns=message.end_ns,
        note=message.note,
        owner=message.owner,
    )


def _decode_kind(number: slots_pb2.SlotKind.ValueType) -> SlotKind:
    kind = _KIND_OF.get(number)
    if kind is None:
        raise malformed("kind", f"is {number}; give 1 (calibration) or 2 (maintenance)")
    return kind
