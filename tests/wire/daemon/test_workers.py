"""Big jobs of a group are looked at by workers, which may die at any time; without any, the daemon does it itself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any

import numpy as np
import pytest

from qubitd.cli.__main__ import main
from qubitd.cli.child import Child
from qubitd.compiler.device_file import device_bytes, load_device
from qubitd.compiler.expected import expected
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.drivers.rack_file import rack_text
from qubitd.server.compiling.compile_process import CompileProcess
from qubitd.server.compiling.compiled_job import Validated
from qubitd.server.running.workshop import BIG_BYTES, BIG_OPERATIONS
from qubitd.server.store.database import Database
from qubitd.server.workers import crew, worker
from qubitd.server.workers.papers import KitFiles
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import StatusChange, decode_events
from qubitd.wire.plans import decode_plan
from qubitd.wire.specs import encode_spec

pytest.importorskip("psycopg")
import psycopg

from qubitd.server.store.postgres_blobs import BlobRows
from qubitd.server.store.postgres_store import PostgresStore
from qubitd.server.workers.worker import WorkerSettings, run_worker

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
Rows = Callable[[str], list[Any]]
FILES = KitFiles(device=device_bytes("line5"), rack=rack_text())
ANGLES = 300
WHO_HAS_IT = "SELECT worker FROM work WHERE worker <> '' AND answer IS NULL"


def big(*further: str) -> CircuitBatch:
    """A circuit with so many values that it is big, and further gates."""
    circuit = CircuitBuilder(name="big", num_qubits=5, num_clbits=1)
    for column in range(ANGLES):
        circuit.add("rz", 0, params=(FromColumn(column=column),))
    for gate in further:
        circuit.add(gate, 0)
    rows = 1 + BIG_BYTES // (8 * ANGLES)
    circuit.measure(0, 0).bind(np.random.default_rng(0).uniform(-3, 3, (rows, ANGLES)))
    return pack([circuit])


@pytest.fixture
def rows(store_url: str) -> Iterator[Rows]:
    """Look into the store, which is there already, as the database's keeper would."""
    PostgresStore(store_url).close()
    with closing(psycopg.connect(store_url, autocommit=True)) as connection:
        yield lambda sql: list(connection.execute(sql.encode()).fetchall())


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the workers of this process said."""
    caplog.set_level("INFO", logger="qubitd.server.workers.worker")
    return lambda: [record.message for record in caplog.records if record.name == "qubitd.server.workers.worker"]


async def until(question: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not question():
            await asyncio.sleep(0.01)


async def looked_at(daemon: Any, job_id: str) -> str:
    """Follow a job until it waits for the rack, or has ended, and give its state."""
    async for message in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id)):
        for event in decode_events(message):
            if isinstance(event.what, StatusChange) and (
                event.what.status is JobStatus.QUEUED or event.what.status.is_final
            ):
                return event.what.status.value
    raise AssertionError(f"the watch of {job_id} ended")


@pytest.fixture
def serve_busy(serve_fridge: Serve, shut_rack: Any, request_of: MakeRequest) -> Serve:
    """Serve with a job on the rack that does not end, so that others wait."""

    @asynccontextmanager
    async def serve() -> AsyncGenerator[Any]:
        async with serve_fridge("line5", rack=shut_rack, files=FILES) as daemon:
            await daemon.submit(request_of())
            yield daemon

    return serve


@pytest.fixture
def big_one(request_of: MakeRequest) -> Callable[..., jobs_pb2.SubmitRequest]:
    """Make a request that workers look at, with further gates."""
    return lambda *gates: request_of(batch=big(*gates), shots=1)


@asynccontextmanager
async def working(store_url: str) -> AsyncGenerator[asyncio.Event]:
    """A worker in this process; gives what ends it."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        run_worker(WorkerSettings(store=store_url), stop=stop, on_ready=lambda _: ready.set()), name="worker"
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield stop
    finally:
        stop.set()
        waiting.cancel()
        await task


@pytest.fixture
def start_worker(store_url: str) -> Iterator[Callable[[], Child]]:
    """Start workers as processes."""
    PostgresStore(store_url).close()
    started: list[Child] = []

    def start() -> Child:
        child = Child("qubitd.cli", ["worker", "--store", store_url, "--stop-at-eof"], name="the worker")
        started.append(child)
        assert child.first_line().startswith("working for postgres at ")
        return child

    yield start
    for child in started:
        child.stop()


async def test_a_big_job_is_looked_at_by_a_worker_and_its_timeline_stays_in_order(
    serve_busy: Serve, big_one: MakeRequest, request_of: MakeRequest, store_url: str, rows: Rows, told: Any
) -> None:
    async with working(store_url), serve_busy() as daemon:
        job_id = await daemon.submit(big_one())
        assert await looked_at(daemon, job_id) == "QUEUED"
        times = [stage.time_ns for stage in (await daemon.job(job_id)).timeline]
        assert times == sorted(times)
        assert await looked_at(daemon, await daemon.submit(request_of(shots=7))) == "QUEUED"
    assert told() == ["work begun", "work done", "stopping"]
    assert rows("SELECT * FROM work") == rows("SELECT * FROM worker") == []


async def test_what_is_wrong_with_a_job_is_told_as_the_daemon_would_tell_it(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any
) -> None:
    async with serve_busy() as daemon:
        here = await daemon.submit(big_one("h"))
        assert await looked_at(daemon, here) == "ERROR"
    assert rows("SELECT * FROM work") == []
    async with working(store_url), serve_busy() as daemon:
        there = await daemon.submit(big_one("h"))
        assert await looked_at(daemon, there) == "ERROR"
        alone, given_away = await daemon.job(here), await daemon.job(there)
    assert "line5 has no gate 'h'" in alone.message
    assert (given_away.message, given_away.problems) == (alone.message, alone.problems)
    assert told() == ["work begun", "work refused", "work done", "stopping"]


async def test_a_big_explanation_is_a_workers(serve_busy: Serve, store_url: str, rows: Rows, told: Any) -> None:
    circuit = CircuitBuilder(name="long", num_qubits=5, num_clbits=1)
    for _ in range(BIG_OPERATIONS + 1):
        circuit.add("rz", 0, params=(0.1,))
    spec = JobSpec(batch=pack([circuit.measure(0, 0)]), sweep=Sweep(), shots=1)
    request = jobs_pb2.ExplainRequest(backend="line5", spec=encode_spec(spec))
    async with working(store_url), serve_busy() as daemon:
        plan = await daemon.jobs.Explain(request)
    assert plan.instrument_seconds > 0
    assert [stage.name for stage in plan.stages] == ["check", "schedule", "assemble", "run"]
    assert told() == ["work begun", "work done", "stopping"]
    assert rows("SELECT * FROM work") == []


async def test_a_simulation_is_a_workers_and_the_daemons_when_there_is_none(
    serve_busy: Serve, store_url: str, rows: Rows, told: Any
) -> None:
    circuit = CircuitBuilder(name="x", num_qubits=5, num_clbits=2).add("x", 0).measure(0, 0).measure(1, 1)
    spec = JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1)
    request = jobs_pb2.ExplainRequest(backend="line5", spec=encode_spec(spec), wants_expected=True)
    async with serve_busy() as daemon:
        alone = decode_plan(await daemon.jobs.Explain(request))
    assert told() == []
    async with working(store_url), serve_busy() as daemon:
        given_away = decode_plan(await daemon.jobs.Explain(request))
    assert told() == ["work begun", "work done", "stopping"]
    line5 = load_device("line5")
    assert given_away.expected == alone.expected == expected(line5.device, line5.snapshot(), spec.batch)
    assert max(alone.expected[0], key=alone.expected[0].__getitem__) == "01"


async def test_the_work_of_a_worker_that_is_killed_is_done_by_another(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any, start_worker: Callable[[], Child]
) -> None:
    doomed = start_worker()
    async with serve_busy() as daemon:
        job_id = await daemon.submit(big_one())
        await until(lambda: rows(WHO_HAS_IT))
        doomed.kill()
        async with working(store_url):
            assert await looked_at(daemon, job_id) == "QUEUED"
    assert told() == ["work begun", "work done", "stopping"]


async def test_a_worker_that_was_only_stopped_changes_nothing_once_another_has_its_work(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any, start_worker: Callable[[], Child]
) -> None:
    slow = start_worker()
    async with serve_busy() as daemon:
        job_id = await daemon.submit(big_one())
        await until(lambda: rows(WHO_HAS_IT))
        os.kill(slow.process_id, signal.SIGSTOP)
        async with working(store_url):
            assert await looked_at(daemon, job_id) == "QUEUED"
        os.kill(slow.process_id, signal.SIGCONT)
        again = await daemon.submit(big_one())
        assert await looked_at(daemon, again) == "QUEUED"
    assert told() == ["work begun", "work done", "stopping"]
    assert rows("SELECT * FROM work") == []


async def test_when_the_last_worker_dies_the_daemon_does_its_work_itself(
    serve_busy: Serve, big_one: MakeRequest, rows: Rows, start_worker: Callable[[], Child]
) -> None:
    doomed = start_worker()
    async with serve_busy() as daemon:
        job_id = await daemon.submit(big_one())
        await until(lambda: rows(WHO_HAS_IT))
        doomed.kill()
        assert await looked_at(daemon, job_id) == "QUEUED"
    assert rows("SELECT * FROM work") == []


async def test_a_mistake_of_ours_ends_no_worker_and_the_daemon_does_its_work_itself(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(self: CompileProcess, spec: bytes, snapshot: Snapshot) -> None:
        raise KeyError(spec[:1], snapshot.revision)

    class Mistaken(CompileProcess):
        validate = mistaken  # type: ignore[assignment]

    monkeypatch.setattr(worker, "CompileProcess", Mistaken)
    async with working(store_url), serve_busy() as daemon:
        for _ in range(2):
            assert await looked_at(daemon, await daemon.submit(big_one())) == "QUEUED"
    assert told() == ["work begun", "work failed; the daemon does it", "work done", "stopping"]
    assert rows("SELECT worker, answer, content FROM work") == [("", None, b"")]


async def test_what_nobody_waits_for_any_more_is_let_go_for_the_next(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    class Endless(CompileProcess):
        """Comes to no end with the first piece."""

        def validate(self, spec: bytes, snapshot: Snapshot, **named: Any) -> Validated:
            found = super().validate(spec, snapshot, **named)
            if not begun.is_set():
                assert self.process_id is not None
                os.kill(self.process_id, signal.SIGSTOP)
                begun.set()
                return super().validate(spec, snapshot, **named)
            return found

    monkeypatch.setattr(worker, "CompileProcess", Endless)
    async with working(store_url), serve_busy() as daemon:
        first = await daemon.submit(big_one())
        await until(begun.is_set)
        rows("DELETE FROM work RETURNING key")
        assert await looked_at(daemon, first) == "QUEUED"
        await until(lambda: "work let go" in told())
        assert await looked_at(daemon, await daemon.submit(big_one("x"))) == "QUEUED"
    assert told() == ["work begun", "work let go", "work begun", "work done", "stopping"]


async def test_a_worker_gives_signs_of_life_while_it_reads_a_job(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, gate = threading.Event(), threading.Event()

    class Slow(BlobRows):
        """Reads on when it may."""

        def get(self, connection: Database, digest: str) -> bytes:
            reading.set()
            assert gate.wait(30)
            return super().get(connection, digest)

    monkeypatch.setattr(worker, "BlobRows", Slow)
    async with working(store_url), serve_busy() as daemon:
        job_id = await daemon.submit(big_one())
        await until(reading.is_set)
        (before,) = rows("SELECT beat_ns FROM worker")
        await until(lambda: rows("SELECT beat_ns FROM worker") != [before])
        gate.set()
        assert await looked_at(daemon, job_id) == "QUEUED"


async def test_only_so_much_is_with_workers_and_the_daemon_does_the_rest_meanwhile(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, gate = threading.Event(), threading.Event()

    class Held(BlobRows):
        """Reads on when it may."""

        def get(self, connection: Database, digest: str) -> bytes:
            reading.set()
            assert gate.wait(60)
            return super().get(connection, digest)

    monkeypatch.setattr(worker, "BlobRows", Held)
    monkeypatch.setattr(crew, "MOST_ASKED", 1)
    async with working(store_url), serve_busy() as daemon:
        first = await daemon.submit(big_one())
        await until(reading.is_set)
        assert await looked_at(daemon, await daemon.submit(big_one("x"))) == "QUEUED"
        assert len(rows("SELECT key FROM work")) == 1
        gate.set()
        assert await looked_at(daemon, first) == "QUEUED"
    assert told() == ["work begun", "work done", "stopping"]


async def test_a_worker_that_is_told_to_end_ends_its_work_first(
    serve_busy: Serve, big_one: MakeRequest, store_url: str, rows: Rows, told: Any
) -> None:
    async with working(store_url) as stop, serve_busy() as daemon:
        job_id = await daemon.submit(big_one())
        await until(lambda: rows(WHO_HAS_IT))
        stop.set()
        assert await looked_at(daemon, job_id) == "QUEUED"
    assert told() == ["work begun", "stopping", "work done"]
    assert rows("SELECT * FROM worker") == []


def test_a_worker_without_a_store_says_what_is_missing(store_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--store", store_url]) == 1
    assert "there is no store in postgres at" in capsys.readouterr().err


def test_a_worker_does_not_work_on_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--store", "/var/lib/qubitd"]) == 1
    assert "'/var/lib/qubitd' is no address of a store" in capsys.readouterr().err
