"""qubitd.v1.Slots: time of the rack that is reserved."""

from __future__ import annotations

from qubitd.server.auth.errors import require
from qubitd.server.auth.identity import Role, caller
from qubitd.server.engine import Engine
from qubitd.server.front.rpc import Service, unary
from qubitd.server.group.roster import Roster
from qubitd.server.queueing.slots import SlotBook
from qubitd.v1 import slots_pb2
from qubitd.wire.slots import encode_slot


class SlotsService:
    """Its RPCs, named like them."""

    def __init__(self, *, roster: Roster, engine: Engine, slots: SlotBook) -> None:
        self._roster = roster
        self._engine = engine
        self._slots = slots

    def service(self) -> Service:
        """Give the handlers."""
        return Service(
            name="qubitd.v1.Slots",
            rpcs={
                "Reserve": unary(slots_pb2.ReserveRequest, self.Reserve),
                "List": unary(slots_pb2.SlotsListRequest, self.List),
                "Release": unary(slots_pb2.ReleaseRequest, self.Release),
            },
        )

    async def Reserve(self, request: slots_pb2.ReserveRequest) -> slots_pb2.ReserveResponse:
        """Reserve time."""
        if request.kind == slots_pb2.SLOT_KIND_MAINTENANCE:
            require(Role.OPERATOR, "a maintenance slot")
        self._roster.check_own(request.backend, "a slot")
        slot = await self._slots.reserve(request, owner=caller().project, author=caller().name)
        self._engine.wake()
        return slots_pb2.ReserveResponse(slot=encode_slot(slot))

    async def List(self, _: slots_pb2.SlotsListRequest) -> slots_pb2.SlotsListResponse:
        """List the slots that are not over."""
        return slots_pb2.SlotsListResponse(slots=map(encode_slot, self._slots.infos()))

    async def Release(self, request: slots_pb2.ReleaseRequest) -> slots_pb2.ReleaseResponse:
        """Give time back."""
        elsewhere = self._slots.backend_of(request.slot_id)
        if elsewhere is not None:
            self._roster.check_own(elsewhere, f"slot {request.slot_id}")
        if self._slots.find(request.slot_id).owner != caller().project:
            require(Role.OPERATOR, "the release of another project's slot")
        await self._slots.release(request.slot_id, who=caller().name)
        self._engine.wake()
        return slots_pb2.ReleaseResponse()
