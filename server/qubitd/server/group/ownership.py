"""A daemon's hold on its backend: taken before it touches the rack or writes for it, given back with the rack safe."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qubitd.server.errors import StoreBrokenError, StoreError
from qubitd.server.failpoints import failpoint
from qubitd.server.group.daemon_id import daemon_id
from qubitd.server.membership import BEAT, Claim
from qubitd.server.persistence import durable
from qubitd.server.store.sharing import Pulse, Sharing
from qubitd.server.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ownership:
    """What a daemon has while it owns its backend."""

    backend: str
    sharing: Sharing
    pulse: Pulse


@asynccontextmanager
async def owned(
    store: Store, backend: str, directory: Path, *, on_broken: Callable[[StoreError], None]
) -> AsyncGenerator[Ownership | None]:
    """Own a backend for as long as the block lasts; None for a store that no other daemon shares.

    Args:
        store: of the group.
        backend: its name.
        directory: the daemon's own, which it holds.
        on_broken: told that the daemon must end, since it owns the backend no longer.

    Raises:
        BackendTakenError: another daemon owns it and is there.
        StoreBrokenError: the database is gone.
    """
    if store.sharing is None:
        yield None
        return
    claim = Claim(backend=backend, daemon=daemon_id(directory))
    fence = await durable(store.write(lambda w: w.members.take(claim)))
    failpoint("backend.owned")
    store.sharing.guard(backend, fence)
    pulse = await store.sharing.pulse()
    beating = asyncio.create_task(_beat(pulse, backend, fence, on_broken), name="signs of life")
    because = "ended by a fault"
    try:
        yield Ownership(backend=backend, sharing=store.sharing, pulse=pulse)
        because = "was stopped"
    finally:
        with contextlib.suppress(StoreBrokenError):
            await durable(store.write(lambda w: w.members.leave(backend, because)))
            await pulse.tell()
        beating.cancel()
        await asyncio.wait([beating])
        await pulse.close()


async def _beat(pulse: Pulse, backend: str, fence: int, on_broken: Callable[[StoreError], None]) -> None:
    try:
        while True:
            await pulse.beat(backend, fence)
            await asyncio.sleep(BEAT)
    except StoreError as error:
        on_broken(error)
    except Exception as error:
        # Without signs of life others would act for this daemon, so it must end, whatever the reason.
        on_broken(StoreError(f"no sign of life can be given: {error!r}"))
        raise
