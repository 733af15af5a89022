"""Every RPC that changes anything leaves a line in the audit log: who asked for what; one without a row fails."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

from tests.rpcs import every_method, rpc_of

from qubitd.client import QubitdClient
from qubitd.core.job import JobSpec
from qubitd.core.snapshot import Parameter
from qubitd.server.store.audit import read_lines
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.slots import Reservation, SlotKind
from qubitd.wire.specs import decode_spec
from qubitd.wire.terms import JobTerms

Serve = Callable[..., AbstractAsyncContextManager[Any]]
LINES = {
    "Jobs/Submit": "submitted job {}",
    "Jobs/Cancel": "asked to cancel job {}",
    "Jobs/Delete": "deleted job {}",
    "Sessions/Open": "opened session {}",
    "Sessions/Close": "asked to close session {}",
    "Sessions/Cancel": "asked to cancel session {}",
    "Calibrations/Commit": "calibration revision {}",
    "Calibrations/Rollback": "calibration revision {}",
    "Slots/Reserve": "reserved slot {}",
    "Slots/Release": "released slot {}",
    "Lab/Drain": "drained the lab: {}",
    "Lab/Stop": "stopped the lab: {}",
    "Lab/Resume": "resumed the lab{}",
}
"""How the line of an RPC begins that changes something that stays; {} is what it is about."""
LEAVE_NOTHING = {
    *(f"Backends/{rpc}" for rpc in ("List", "Get", "Watch")),
    *(f"Jobs/{rpc}" for rpc in ("Upload", "Get", "List", "Watch", "Results", "Explain")),
    *(f"Sessions/{rpc}" for rpc in ("Get", "List", "Renew", "Usage")),
    *(f"Calibrations/{rpc}" for rpc in ("Snapshot", "History", "Diff", "Watch")),
    "Slots/List",
    *(f"Lab/{rpc}" for rpc in ("Instruments", "Health")),
}
"""RPCs that read, that bring a part of what Submit will name, or that say that a client is still there."""


def test_every_rpc_is_known_to_leave_a_line_or_to_change_nothing_that_stays() -> None:
    assert LINES.keys() | LEAVE_NOTHING == {rpc_of(method).removeprefix("qubitd.v1.") for method in every_method()}


def story(client: QubitdClient, spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Do all that changes anything; gives the RPC and what it was about, after each."""
    done = client.submit(spec, "line5")
    yield "Jobs/Submit", done
    list(client.watch(done))
    client.delete(done)
    yield "Jobs/Delete", done
    first, second = (client.sessions.open(SessionTerms(key=key, backend="line5")).session_id for key in "ab")
    yield "Sessions/Open", first
    client.sessions.close(first)
    yield "Sessions/Close", first
    client.sessions.cancel(second)
    yield "Sessions/Cancel", second
    t1 = Parameter(name="q0.t1", value=3e-5, unit="s", stderr=1e-6, measured_at=1, source="fit")
    client.commit("line5", base_revision=1, parameters=[t1], message="measured")
    yield "Calibrations/Commit", "2 of line5"
    client.rollback("line5", to_revision=1, message="not so")
    yield "Calibrations/Rollback", "3 of line5"
    later = time.time_ns() + 3600 * 10**9
    slot = client.slots.reserve(
        Reservation(key="s", backend="line5", kind=SlotKind.CALIBRATION, start_ns=later, seconds=60.0)
    )
    yield "Slots/Reserve", slot.slot_id
    waiting = client.submit(spec, "line5", terms=JobTerms(slot_id=slot.slot_id))
    client.cancel(waiting)
    yield "Jobs/Cancel", waiting
    client.slots.release(slot.slot_id)
    yield "Slots/Release", slot.slot_id
    client.lab.drain("tea")
    yield "Lab/Drain", "tea"
    client.lab.stop("fire")
    yield "Lab/Stop", "fire"
    client.lab.resume()
    yield "Lab/Resume", ""


async def test_whoever_changes_anything_stands_in_the_log_with_it(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: Callable[..., Any], tmp_path: Path
) -> None:
    missing: dict[str, list[str]] = {}
    told: set[str] = set()

    def tell(address: str) -> None:
        with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as database, QubitdClient(address) as client:
            for rpc, about in story(client, decode_spec(request_of().spec)):
                told.add(rpc)
                lines = [line.what for line in read_lines(database) if line.who == "local"]
                if not any(line.startswith(LINES[rpc].format(about)) for line in lines):
                    missing[rpc] = lines

    async with serve(rack=open_rack_of()) as daemon:
        await asyncio.to_thread(tell, daemon.address)
    assert missing == {}
    assert told == LINES.keys()
