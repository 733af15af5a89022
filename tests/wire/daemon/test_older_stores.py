"""A daemon opens what daemons of every earlier schema left behind, and keeps it all; a later store it leaves alone."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from tests.aged_stores import FAR_AWAY_NS, AgedStore, unpack, versions

from qubitd.server.errors import StoreTooNewError
from qubitd.server.store import sqlite_store
from qubitd.server.store.backup import check_store
from qubitd.server.store.schema import MIGRATIONS, migrate
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import calibrations_pb2, jobs_pb2, sessions_pb2, sessions_pb2_grpc, slots_pb2, slots_pb2_grpc
from qubitd.wire.jobs import StatusChange, decode_events

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
WITH_SESSIONS = 2
"""The first schema that knew them, and slots."""
WITH_STEPS = 3
"""The first schema whose jobs are written in the wire form of today; those before it were never released."""
ONE_COUNT = 7
"""The last schema in which the events of all projects had one count."""


def test_there_is_a_store_of_every_schema_before_this() -> None:
    assert set(range(1, len(MIGRATIONS))) <= set(versions())


async def assert_kept(daemon: Any, aged: AgedStore, version: int) -> None:
    """All that was there still is."""
    ends = {how: (await daemon.statuses(job_id))[-1] for how, job_id in aged.jobs.items()}
    can_go_on = version >= WITH_STEPS
    assert ends.pop("waiting") == ("DONE" if can_go_on else "ERROR")
    assert can_go_on or "wire_version: is 1" in (await daemon.job(aged.jobs["waiting"])).message
    assert ends == {"done": "DONE", "error": "ERROR", "running": "ERROR", "cancelled": "CANCELLED"}
    assert "interrupted at program 0" in (await daemon.job(aged.jobs["running"])).message
    assert (await daemon.job(aged.jobs["error"])).problems
    assert [result.bits.tobytes() for result in await daemon.results(aged.jobs["done"])] == aged.bits
    kept = await daemon.jobs.Get(jobs_pb2.JobsGetRequest(job_id=aged.jobs["done"]))
    assert kept.client_data == b"names and registers" * 4000
    page = await daemon.jobs.List(jobs_pb2.JobsListRequest())
    assert {job.job_id for job in page.jobs} == set(aged.jobs.values())
    values = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5", revision=2))
    assert {parameter.name: parameter.value for parameter in values.parameters}["q0.t1"] == 21e-6
    if version >= WITH_SESSIONS:
        channel: grpc.aio.Channel = daemon.channel
        found = await sessions_pb2_grpc.SessionsStub(channel).Get(
            sessions_pb2.SessionsGetRequest(session_id=aged.session_id)
        )
        assert found.session.state == sessions_pb2.SESSION_STATE_PENDING
        reserved = await slots_pb2_grpc.SlotsStub(channel).List(slots_pb2.SlotsListRequest())
        assert [slot.start_ns for slot in reserved.slots] == [FAR_AWAY_NS]


@pytest.mark.parametrize("version", versions())
async def test_a_store_of_an_earlier_schema_is_opened_with_all_that_it_holds(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path, version: int
) -> None:
    aged = unpack(version, tmp_path / "data")
    async with serve(rack=open_rack_of()) as daemon:
        await assert_kept(daemon, aged, version)
        assert (await daemon.statuses(await daemon.submit(request_of())))[-1] == "DONE"
    report = check_store(tmp_path / "data")
    assert (report.version, report.problems) == (len(MIGRATIONS), ())


async def test_a_watcher_of_a_backend_goes_on_from_a_number_of_an_earlier_schema(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, tmp_path: Path
) -> None:
    aged = unpack(ONE_COUNT, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection, connection:
        connection.execute("UPDATE job SET owner = 'another' WHERE id = ?", (aged.jobs["waiting"],))
        bookmark, own = connection.execute(
            "SELECT max(sequence), max(sequence) FILTER (WHERE owner = 'local')"
            " FROM event JOIN job ON job.number = event.job"
        ).fetchone()
    assert bookmark > own
    async with serve(rack=open_rack_of()) as daemon:
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(backend="line5", after_sequence=bookmark))
        job_id = await daemon.submit(request_of())
        told = []
        while "DONE" not in told:
            events = decode_events(await watch.read())
            told += [event.what.status.value for event in events if isinstance(event.what, StatusChange)]
            assert {event.job_id for event in events} <= {job_id, aged.jobs["running"], ""}
        watch.cancel()
        kept = await daemon.statuses(job_id)
    assert [status for status in told if status != "ERROR"] == kept


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.mark.parametrize("version", versions()[1:])
async def test_a_daemon_of_an_earlier_schema_refuses_a_later_store_and_changes_no_byte(
    serve: Serve, open_rack_of: MakeRack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    aged = unpack(version, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    (tmp_path / "data" / "blobs" / "of a later schema").write_bytes(b"that an earlier one would sweep away")
    before = fingerprint(tmp_path / "data")
    with monkeypatch.context() as earlier:
        earlier.setattr(sqlite_store, "migrate", partial(migrate, steps=MIGRATIONS[: version - 1]))
        with pytest.raises(StoreTooNewError, match=f"schema version {version}"):
            async with serve(rack=open_rack_of()):
                raise AssertionError
    assert fingerprint(tmp_path / "data") == before
    async with serve(rack=open_rack_of()) as daemon:
        await assert_kept(daemon, aged, version)
