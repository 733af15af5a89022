"""What a daemon holds while it lives: its accounts, its store and its rack, taken in order and given back in the other.

Outputs are safe before the store is opened, and before it is closed. In a group the store comes first: it says whose
the rack is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from qubitd.server.daemon_settings import DaemonSettings, RunningRack
from qubitd.server.errors import StoreError
from qubitd.server.front.access import Access, find_access
from qubitd.server.group.ownership import Ownership, owned
from qubitd.server.instruments.rack import RackThread
from qubitd.server.store.opening import open_store
from qubitd.server.store.store import Store
from qubitd.server.telemetry.meters import Meters
from qubitd.server.watching.announcer import Announcer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlets:
    """Where parts of the daemon say what happens."""

    announcer: Announcer
    meters: Meters
    broken: asyncio.Future[StoreError]
    """The first reason for which the daemon cannot go on."""

    def tell_broken(self, error: StoreError) -> None:
        """Have the daemon end."""
        if not self.broken.done():
            self.broken.set_result(error)

    def raise_broken(self) -> None:
        """Raise what the daemon ends for, if it was told."""
        if self.broken.done():
            raise self.broken.result()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What a daemon holds while it lives."""

    access: Access
    store: Store
    ownership: Ownership | None
    """Of its backend; None for a daemon that shares its store with no other."""
    rack: RackThread


@asynccontextmanager
async def held(settings: DaemonSettings, access: Access | None, outlets: Outlets) -> AsyncGenerator[Held]:
    """Take what a daemon needs, and give it back.

    Args:
        settings: say what.
        access: who may come in; None for a daemon of a group, whose accounts are in its store.
        outlets: are told what happens to it.
    """
    async with AsyncExitStack() as stack:
        rack = None if settings.store else await stack.enter_async_context(_rack(settings.rack, outlets))
        store = await stack.enter_async_context(_store(settings, outlets))
        access = access or access_of(settings, store)
        ownership = await stack.enter_async_context(_owned(settings, store, outlets))
        if rack is None:
            rack = await stack.enter_async_context(_rack(settings.rack, outlets))
        stack.push_async_callback(rack.rest)
        yield Held(access=access, store=store, ownership=ownership, rack=rack)


def access_of(settings: DaemonSettings, store: Store | None = None) -> Access:
    """Look at who may come in; a group's accounts are in the store."""
    return find_access(
        settings.data_dir,
        host=settings.host,
        wants_certificates=settings.wants_certificates,
        shared=None if store is None or store.sharing is None else store.accounts.all,
    )


@asynccontextmanager
async def _store(settings: DaemonSettings, outlets: Outlets) -> AsyncGenerator[Store]:
    loop = asyncio.get_running_loop()

    def tell(error: StoreError) -> None:
        loop.call_soon_threadsafe(outlets.tell_broken, error)

    store = open_store(
        settings.store,
        settings.data_dir,
        on_broken=tell,
        meters=outlets.meters,
        copies_kept=settings.upkeep.backups_kept,
    )
    try:
        yield store
    finally:
        store.close()


def _owned(settings: DaemonSettings, store: Store, outlets: Outlets) -> AbstractAsyncContextManager[Ownership | None]:
    name = settings.device.device.name
    return owned(store, name, settings.data_dir, on_broken=outlets.tell_broken)


@asynccontextmanager
async def _rack(
    start: Callable[[], AbstractContextManager[RunningRack]], outlets: Outlets
) -> AsyncGenerator[RackThread]:
    with start() as running:
        rack = RackThread(
            running.rack,
            running.controller,
            simulator=running.simulator,
            revive=running.revive,
            announcer=outlets.announcer,
            now=time.time_ns,
            meters=outlets.meters,
        )
        await rack.open()
        try:
            yield rack
        finally:
            await rack.close()
