"""The wall clock steps by hours, both ways, while jobs wait and time is reserved: no order and no slot moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.store_life import NEW

from qubitd.server import composition
from qubitd.server.clocks import Clocks
from qubitd.server.errors import SlotTakenError, UnknownSlotError
from qubitd.server.queueing.book import JobBook
from qubitd.server.queueing.served import ServedTime
from qubitd.server.queueing.slots import SlotBook
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store
from qubitd.server.watching.announcer import Announcer
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import StatusChange
from qubitd.wire.slots import Reservation, SlotKind, encode_reservation

HOUR = 3600 * 10**9
END_OF_SUMMER_TIME = 1_792_890_000 * 10**9
"""Of Berlin: 25 October 2026, 01:00 UTC."""
Serve = Callable[..., AbstractAsyncContextManager[Any]]


@dataclass(slots=True)
class Stepping:
    """A wall clock that somebody sets."""

    offset: int = 0

    def __call__(self) -> int:
        return time.time_ns() + self.offset


async def test_jobs_run_in_the_order_of_their_submission_whatever_the_wall_clock_says(
    serve: Serve,
    shut_rack: Any,
    request_of: Callable[..., jobs_pb2.SubmitRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall = Stepping()
    monkeypatch.setattr(composition, "Clocks", lambda: Clocks(wall=wall))
    async with serve(rack=shut_rack) as daemon:
        jobs = []
        for step in (0, HOUR, -2 * HOUR, 3 * HOUR):
            wall.offset += step
            jobs.append(await daemon.submit(request_of()))
        shut_rack.gate.set()
        events = {job_id: await daemon.events(job_id) for job_id in jobs}
    changes = {
        job_id: [event for event in told if isinstance(event.what, StatusChange)] for job_id, told in events.items()
    }
    started = [
        next(event.sequence for event in told if event.what.status.value == "RUNNING") for told in changes.values()
    ]
    assert started == sorted(started)
    assert [told[-1].what.status.value for told in changes.values()] == ["DONE"] * 4
    assert all(told == sorted(told, key=lambda event: event.sequence) for told in events.values())


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose clocks go back by an hour in autumn."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("step", [0, HOUR, -HOUR, -(10**9)], ids=["none", "hour on", "hour back", "leap second"])
@pytest.mark.usefixtures("berlin")
async def test_jobs_keep_their_order_though_the_machine_was_booted_anew_and_its_clock_set_meanwhile(
    serve: Serve,
    shut_rack: Any,
    open_rack_of: Callable[..., Any],
    request_of: Callable[..., jobs_pb2.SubmitRequest],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    wall = Stepping(offset=END_OF_SUMMER_TIME - time.time_ns() - 10**9)
    monkeypatch.setattr(composition, "Clocks", lambda: Clocks(wall=wall))
    async with serve(rack=shut_rack) as daemon:
        jobs = [await daemon.submit(request_of(shots=2500))]
        await asyncio.to_thread(shut_rack.running.wait)
        for _ in range(3):
            wall.offset += step
            jobs.append(await daemon.submit(request_of()))
        stopping = await daemon.begin_stop()
        shut_rack.gate.set()
        await stopping
    wall.offset += step
    booted = time.monotonic()
    monkeypatch.setattr(composition, "Clocks", lambda: Clocks(wall=wall, steady=lambda: time.monotonic() - booted))
    async with serve(rack=open_rack_of()) as daemon:
        events = [await daemon.events(job_id) for job_id in jobs]
    ends = [told[-1] for told in events]
    assert [event.what.status.value for event in ends] == ["DONE"] * 4
    assert [event.sequence for event in ends] == sorted(event.sequence for event in ends)


@pytest.mark.parametrize("step", [0, HOUR, -HOUR], ids=["none", "hour on", "hour back"])
async def test_a_waiting_job_is_as_old_after_a_restart_as_before_whatever_the_wall_clock_says(
    store: Store, step: int
) -> None:
    wall = Stepping()

    def begin(steady: Callable[[], float]) -> tuple[JobBook, ServedTime]:
        clocks = Clocks(wall=wall, steady=steady)
        served = ServedTime(store=store, clocks=clocks, backend=NEW.backend)
        book = JobBook(
            store=store,
            announcer=Announcer(),
            clocks=clocks,
            served=served,
            on_disagreement=lambda error: pytest.fail(str(error)),
        )
        return book, served

    at = 50_000.0
    first, served = begin(lambda: at)
    for job_id, wait in (("old", 3000.0), ("young", 500.0)):
        served.note()
        await first.accept(replace(NEW, job_id=job_id, key=job_id, created_ns=wall()))
        at += wait
    ages = {job_id: at - entry.since for job_id in ("old", "young") if (entry := first.find(job_id))}
    assert ages == {"old": 3500.0, "young": 500.0}
    noting = asyncio.create_task(served.serve(is_compared=lambda: True))
    while store.jobs.served(NEW.backend) < served.now():
        await asyncio.sleep(0)
    noting.cancel()
    wall.offset += step + 5 * HOUR
    again, _ = begin(lambda: 7.0)
    entries = again.take_over(store.jobs.alive())
    assert {entry.job_id: 7.0 - entry.since for entry in entries} == ages


async def test_a_daemon_without_jobs_writes_nothing_and_a_job_is_not_older_for_it(store: Store) -> None:
    at = 50.0
    served = ServedTime(store=store, clocks=Clocks(steady=lambda: at), backend=NEW.backend)
    at += 3000.0
    noting = asyncio.create_task(served.serve(is_compared=lambda: False))
    await asyncio.sleep(0)
    assert store.jobs.served(NEW.backend) == 0.0
    store.write(lambda w: w.jobs.accept(replace(NEW, job_id="new", key="new"))).result()
    noting.cancel()
    assert [job.served for job in store.jobs.alive()] == [3000.0]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_step_of_the_wall_clock_moves_ends_and_hides_no_slot(tmp_path: Path, step: int) -> None:
    wall, steady = Stepping(), 100.0
    with closing(SqliteStore(tmp_path)) as store:
        book = SlotBook(store=store, clocks=Clocks(wall=wall, steady=lambda: steady), served="line5")
        wanted = Reservation(key="k", backend="line5", kind=SlotKind.MAINTENANCE, seconds=60.0)
        slot = await book.reserve(encode_reservation(wanted), owner="local", author="local")
        before = book.coming(), book.infos()
        wall.offset += step
        assert (book.coming(), book.infos()) == before
        assert book.find(slot.slot_id) == slot


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_running_slot_keeps_others_out_and_can_be_released_after_a_step_of_the_wall_clock(
    tmp_path: Path, step: int
) -> None:
    wall, steady = Stepping(), 100.0
    with closing(SqliteStore(tmp_path)) as store:
        book = SlotBook(store=store, clocks=Clocks(wall=wall, steady=lambda: steady), served="line5")
        first, second = (
            encode_reservation(Reservation(key=key, backend="line5", kind=SlotKind.MAINTENANCE, seconds=60.0))
            for key in ("first", "second")
        )
        slot = await book.reserve(first, owner="local", author="local")
        wall.offset += step
        assert await book.reserve(first, owner="local", author="local") == slot
        with pytest.raises(SlotTakenError, match=slot.slot_id):
            await book.reserve(second, owner="local", author="local")
        await book.release(slot.slot_id, who="local")
        with pytest.raises(UnknownSlotError):
            await book.release(slot.slot_id, who="local")
        after = await book.reserve(second, owner="local", author="local")
        assert [one.slot_id for one in book.coming()] == [after.slot_id]
