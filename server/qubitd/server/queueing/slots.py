"""Reserved time, in memory and in the store. People speak of wall-clock time; decisions are taken on the steady clock,
against which each slot is placed once, so that a step of the wall clock moves none.
"""

from __future__ import annotations

import hashlib
import uuid

from qubitd.server.clocks import Clocks
from qubitd.server.errors import UnknownSlotError
from qubitd.server.persistence import durable, to_the_end
from qubitd.server.scheduling.waiting import Slot
from qubitd.server.store.slots import NewSlot, taken_by, utc
from qubitd.server.store.store import Store
from qubitd.v1 import slots_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.slots import SlotInfo, decode_reservation

_SLEW = 1.0
"""Seconds of overlap that two slots, one behind the other, may seem to have while the wall clock is slewed."""


class SlotBook:
    """The slots that are not over."""

    def __init__(self, *, store: Store, clocks: Clocks, served: str, backend: str | None = None) -> None:
        """Keep slots, those of one backend or all; those whose backend is not `served` reserve nothing here."""
        self._store = store
        self._served = served
        self._backend = backend
        self._clocks = clocks
        self._slots: dict[str, tuple[SlotInfo, Slot]] = {}
        self._over: list[str] = []

    def load(self) -> None:
        """Take over the slots that an earlier process left."""
        for info in self._store.slots.coming(now_ns=self._clocks.wall()):
            if self._backend in (None, info.backend):
                self._keep(info)

    async def reserve(self, request: slots_pb2.ReserveRequest, *, owner: str, author: str) -> SlotInfo:
        """Reserve time; durable on return.

        Args:
            request: what time.
            owner: the project that it is for.
            author: who asks, for the log of what was done.

        Raises:
            MalformedMessageError: a field is outside its limits, or the time is over.
            KeyReusedError: the key stands for a slot that was asked for otherwise.
            SlotTakenError: the time overlaps another slot's.
        """
        wanted = decode_reservation(request)
        now = self._clocks.wall()
        start = wanted.start_ns or now
        info = SlotInfo(
            slot_id=str(uuid.uuid4()),
            backend=wanted.backend,
            kind=wanted.kind,
            start_ns=start,
            end_ns=start + round(wanted.seconds * 1e9),
            note=wanted.note,
            owner=owner,
        )
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
        new = NewSlot(slot=info, key=wanted.key, request_digest=digest, author=author)
        if not self._store.slots.is_known(owner=owner, key=wanted.key):
            _check_is_to_come(info, now)
            self._check_free(info)
        return await to_the_end(self._take(new, now_ns=now))

    async def release(self, slot_id: str, *, who: str) -> None:
        """Give time back; durable on return.

        Raises:
            UnknownSlotError: there is no such slot, or it is over.
        """
        self.find(slot_id)
        # A caller that hangs up now must not leave the rack reserved for a slot that the store no longer has.
        await to_the_end(self._give_back(slot_id, who=who))

    def find(self, slot_id: str) -> SlotInfo:
        """Give a slot that is not over.

        Raises:
            UnknownSlotError: there is none.
        """
        if not self.keeps(slot_id):
            raise UnknownSlotError(slot_id=slot_id)
        return self._slots[slot_id][0]

    def keeps(self, slot_id: str) -> bool:
        """Whether there is such a slot, and it is not over."""
        kept = self._slots.get(slot_id)
        return kept is not None and kept[1].end > self._clocks.steady()

    def over(self) -> list[str]:
        """Give the slots that ended or were released since this was asked last."""
        self._drop_ended()
        over, self._over = self._over, []
        return over

    def infos(self) -> list[SlotInfo]:
        """List the slots that are not over, by their start."""
        now = self._clocks.steady()
        own = (info for info, slot in self._slots.values() if slot.end > now)
        return sorted((*own, *self._others()), key=lambda info: info.start_ns)

    def backend_of(self, slot_id: str) -> str | None:
        """Give the backend of a slot that another daemon keeps; None for any other."""
        return next((info.backend for info in self._others() if info.slot_id == slot_id), None)

    def coming(self) -> list[Slot]:
        """Give the slots of the rack that is served as the scheduler sees them, by their start."""
        self._drop_ended()
        own = (slot for info, slot in self._slots.values() if info.backend == self._served)
        return sorted(own, key=lambda slot: slot.start)

    def _drop_ended(self) -> None:
        for slot_id in [slot_id for slot_id in self._slots if not self.keeps(slot_id)]:
            self._drop(slot_id)

    def _drop(self, slot_id: str) -> None:
        if self._slots.pop(slot_id, None) is not None:
            self._over.append(slot_id)

    def _others(self) -> list[SlotInfo]:
        """Slots of the other daemons of the group."""
        if self._backend is None:
            return []
        coming = self._store.slots.coming(now_ns=self._clocks.wall())
        return [info for info in coming if info.backend != self._backend]

    def _check_free(self, wanted: SlotInfo) -> None:
        """The store knows the times that people said; after a step of their clock these do not tell what overlaps."""
        placed = self._placed(wanted)
        for other, slot in self._slots.values():
            shared = min(slot.end, placed.end) - max(slot.start, placed.start)
            if other.backend == wanted.backend and shared > _SLEW:
                raise taken_by(other)

    async def _take(self, new: NewSlot, *, now_ns: int) -> SlotInfo:
        kept = await durable(self._store.write(lambda w: w.slots.reserve(new, now_ns=now_ns)))
        if kept.slot_id not in self._slots:
            self._keep(kept)
        return kept

    async def _give_back(self, slot_id: str, *, who: str) -> None:
        now = self._clocks.wall()
        await durable(self._store.write(lambda w: w.slots.release(slot_id=slot_id, who=who, now_ns=now)))
        self._drop(slot_id)

    def _keep(self, info: SlotInfo) -> None:
        self._slots[info.slot_id] = (info, self._placed(info))

    def _placed(self, info: SlotInfo) -> Slot:
        offset = self._clocks.steady() - self._clocks.wall() * 1e-9
        return Slot(
            slot_id=info.slot_id,
            kind=info.kind,
            start=info.start_ns * 1e-9 + offset,
            end=info.end_ns * 1e-9 + offset,
        )


def _check_is_to_come(slot: SlotInfo, now_ns: int) -> None:
    if slot.end_ns <= now_ns:
        what = f"the slot would have ended at {utc(slot.end_ns)} UTC, which is past; give a later time"
        raise malformed("start_ns", what)
