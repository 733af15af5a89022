"""Slots as a client sees them; `QubitdClient.slots`."""

from __future__ import annotations

from typing import Any

from qubitd.client.link import Link
from qubitd.client.steps import Steps
from qubitd.v1 import slots_pb2, slots_pb2_grpc
from qubitd.wire.slots import Reservation, SlotInfo, decode_slot, encode_reservation


class SlotSteps:
    """Time of the rack that is reserved. A job runs in a slot by the terms that it is submitted with."""

    def __init__(self, link: Link, channel: Any) -> None:
        self._link = link
        self._stub: slots_pb2_grpc.SlotsStub = slots_pb2_grpc.SlotsStub(channel)

    def reserve(self, reservation: Reservation) -> Steps[SlotInfo]:
        """Reserve time; the same key gives the same slot."""
        request = encode_reservation(reservation)
        answer = yield from self._link.call(self._stub.Reserve, request, doing="reserving a slot")
        return decode_slot(answer.slot)

    def list(self) -> Steps[tuple[SlotInfo, ...]]:
        """List the slots that are not over, by their start."""
        answer = yield from self._link.call(self._stub.List, slots_pb2.SlotsListRequest(), doing="listing slots")
        return tuple(map(decode_slot, answer.slots))

    def release(self, slot_id: str) -> Steps[None]:
        """Give time back."""
        request = slots_pb2.ReleaseRequest(slot_id=slot_id)
        yield from self._link.call(self._stub.Release, request, doing=f"releasing slot {slot_id}", replay=False)
