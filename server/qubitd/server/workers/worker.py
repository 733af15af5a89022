"""`qubitd worker`'s inside: takes work from the table, does it in processes of its own, writes what came of it.

It keeps nothing. If it dies, what it had in hand is another's after some seconds; if it was only slow, its answer comes
under an old number and is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import psycopg

from qubitd.core.errors import QubitdError
from qubitd.core.snapshot import Snapshot
from qubitd.server.backend import server_version
from qubitd.server.compile_process import CompileProcess
from qubitd.server.errors import DatabaseLostError, StoreCorruptError
from qubitd.server.logs import about
from qubitd.server.membership import BEAT
from qubitd.server.meters import Meters
from qubitd.server.metrics import published
from qubitd.server.store.postgres import PostgresConnection, first_line
from qubitd.server.store.postgres_blobs import BlobRows
from qubitd.server.store.postgres_pulse import PostgresPulse, open_pulse
from qubitd.server.store.postgres_schema import check_steps
from qubitd.server.store.postgres_sharing import database_time
from qubitd.server.store.work import SKIP_LOCKED, Piece, WorkKind, WorkWrites
from qubitd.server.supervisor import Supervisor, unsupervised
from qubitd.server.workers.papers import (
    DECLINED,
    KitFiles,
    decode_task,
    encode_explained,
    encode_failure,
    encode_validated,
)
from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec

_log = logging.getLogger(__name__)
DRAIN_SECONDS = 25.0
"""How long what is in hand may take to end when the worker is told to stop; then it is another's."""

_SPACING = 0.02
"""Least seconds between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """For whom a worker works, and how."""

    store: str
    """Address of a group's PostgreSQL database."""
    processes: int = 1
    """Pieces that are done at the same time."""
    metrics_port: int | None = None
    """Of loopback, for Prometheus; 0 for any free one, None for none."""
    supervisor: Supervisor = field(default_factory=unsupervised)


async def run_worker(settings: WorkerSettings, *, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
    """Work until told to stop; what was in hand is done, or free for others, on return.

    Args:
        settings: for whom.
        stop: set to end.
        on_ready: told where the database is, once work is taken.

    Raises:
        StoreError: there is no store, another version wrote it, or it does not answer any more.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(closing(PostgresConnection(settings.store, read_only=False)))
        check_steps(connection)
        meters = Meters()
        if settings.metrics_port is not None:
            port = stack.enter_context(published(meters, dict, port=settings.metrics_port))
            _log.info("metrics", extra={"port": port})
        pulse = await open_pulse(settings.store)
        try:
            worker = _Worker(connection, pulse, meters)
            await worker.serve(settings, stop, lambda: on_ready(connection.place))
        except psycopg.Error as error:
            raise DatabaseLostError(place=connection.place, cause=first_line(error)) from error
        finally:
            await pulse.close()


class _Worker:
    """One process's part. What it asks the database takes well under a millisecond: the event loop does it itself."""

    def __init__(self, connection: PostgresConnection, pulse: PostgresPulse, meters: Meters) -> None:
        self._id = uuid.uuid4().hex
        self._version = server_version()
        self._connection = connection
        self._pulse = pulse
        self._meters = meters
        self._work = WorkWrites(connection, lambda: database_time(connection), locking=SKIP_LOCKED)
        self._bell = asyncio.Event()

    async def serve(self, settings: WorkerSettings, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        self._work.beat(self._id, self._version)
        lives: list[asyncio.Task[None]] = [
            asyncio.create_task(life()) for life in (self._beat_for_ever, self._listen_for_ever)
        ]
        hands = [asyncio.create_task(self._work_until(stop)) for _ in range(settings.processes)]
        stopping = asyncio.create_task(stop.wait())
        on_ready()
        settings.supervisor.serving(f"{settings.processes} processes work")
        try:
            await asyncio.wait([stopping, *lives, *hands], return_when=asyncio.FIRST_COMPLETED)
            self._bell.set()
            settings.supervisor.stopping()
            if stop.is_set():
                _log.info("stopping")
                await asyncio.wait(hands, timeout=DRAIN_SECONDS)
            for task in (*lives, *hands):
                if task.done():
                    task.result()
        finally:
            stopping.cancel()
            for task in (*lives, *hands):
                task.cancel()
            await asyncio.gather(stopping, *lives, *hands, return_exceptions=True)
            with contextlib.suppress(psycopg.Error):
                self._work.leave(self._id)

    async def _beat_for_ever(self) -> None:
        while True:
            self._work.beat(self._id, self._version)
            await asyncio.sleep(BEAT)

    async def _listen_for_ever(self) -> None:
        while True:
            await self._pulse.hear(BEAT)
            self._bell.set()
            await asyncio.sleep(_SPACING)

    async def _work_until(self, stop: asyncio.Event) -> None:
        with closing(_Hand()) as hand:
            while not stop.is_set():
                self._bell.clear()
                piece = self._work.claim(self._id, self._version)
                if piece is None:
                    await self._bell.wait()
                else:
                    await self._do(piece, hand)

    async def _do(self, piece: Piece, hand: _Hand) -> None:
        with about(work=piece.key, kind=piece.kind.value):
            _log.info("work begun", extra={"claim": piece.fence})
            answer = await self._answer(piece, hand)
            in_time = self._work.answer(piece, answer)
            self._meters.count("work", "done" if in_time else "late")
            _log.info("work done" if in_time else "work came late and was dropped", extra={"bytes": len(answer)})
        await self._pulse.tell()

    async def _answer(self, piece: Piece, hand: _Hand) -> bytes:
        try:
            spec = BlobRows().get(self._connection, piece.spec_digest) if piece.spec_digest else b""
        except StoreCorruptError as error:  # its own daemon finds out what that means
            return encode_failure(error)
        return await hand.answer(piece, spec)


class _Hand:
    """Does one piece at a time, in a process that knows the last daemon's device and rack."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="work")
        self._files: KitFiles | None = None
        self._process: CompileProcess | None = None

    async def answer(self, piece: Piece, spec: bytes) -> bytes:
        """Do a piece and say what came of it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, piece, spec)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.close()

    def _answer(self, piece: Piece, spec: bytes) -> bytes:
        try:
            task = decode_task(piece.content)
            process = self._process_of(task.files)
        except QubitdError as error:
            _log.warning("what the daemon says cannot be read", extra={"cause": str(error)})
            return DECLINED
        try:
            return _done(piece.kind, process, task.snapshot, spec or task.spec)
        except QubitdError as error:
            _log.info("work refused", extra={"cause": str(error)})
            return encode_failure(error)
        except Exception:  # noqa: BLE001  # a mistake of ours, which must not end the worker's other work
            _log.exception("work failed; the daemon does it")
            return DECLINED

    def _process_of(self, files: KitFiles) -> CompileProcess:
        if self._process is None or files != self._files:
            if self._process is not None:
                self._process.close()
            self._process, self._files = CompileProcess(files.read()), files
        return self._process


def _done(kind: WorkKind, process: CompileProcess, snapshot: Snapshot, spec: bytes) -> bytes:
    if kind is WorkKind.VALIDATE:
        return encode_validated(process.validate(spec, snapshot))
    return encode_explained(process.explain(decode_spec(parse(jobs_pb2.JobSpec, spec)), snapshot, queue_length=0))
