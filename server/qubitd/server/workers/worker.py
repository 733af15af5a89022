"""`qubitd worker`'s inside: takes work from the table, does it in processes of its own, writes what came of it.

It keeps nothing. If it dies, what it had in hand is another's after some seconds; if it was only slow, its answer comes
under an old number and is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import psycopg

from qubitd.core.errors import QubitdError
from qubitd.server.compiling.compile_process import CompileProcess
from qubitd.server.errors import DatabaseLostError
from qubitd.server.failpoints import failpoint
from qubitd.server.membership import BEAT
from qubitd.server.store.postgres import PostgresConnection, first_line
from qubitd.server.store.postgres_blobs import BlobRows
from qubitd.server.store.postgres_pulse import PostgresPulse, open_pulse
from qubitd.server.store.postgres_schema import check_steps
from qubitd.server.store.postgres_sharing import database_time
from qubitd.server.store.work import SKIP_LOCKED, Piece, WorkKind, WorkWrites
from qubitd.server.telemetry.logs import about
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.metrics import published
from qubitd.server.telemetry.supervisor import Supervisor, unsupervised
from qubitd.server.version import server_version
from qubitd.server.workers.papers import (
    DECLINED,
    KitFiles,
    Task,
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
        working = stack.enter_context(closing(PostgresConnection(settings.store, read_only=False)))
        pulse = await open_pulse(settings.store)
        try:
            worker = _Worker(connection, working, pulse, meters)
            await worker.serve(settings, stop, lambda: on_ready(connection.place))
        except psycopg.Error as error:
            raise DatabaseLostError(place=connection.place, cause=first_line(error)) from error
        finally:
            await pulse.close()


class _Table:
    """The rows of work, on a connection that the hands share, in their threads."""

    def __init__(self, connection: PostgresConnection, *, worker: str) -> None:
        self._connection = connection
        self._worker = worker
        self._version = server_version()
        self._work = WorkWrites(connection, lambda: database_time(connection), locking=SKIP_LOCKED)
        self._lock = threading.Lock()

    def claim(self) -> Piece | None:
        """Take a piece that nobody has; None if there is none."""
        with self._lock:
            return self._work.claim(self._worker, self._version)

    def spec(self, piece: Piece) -> bytes:
        """Give the job of a piece; empty if it is in the piece itself.

        Raises:
            StoreCorruptError: the job is gone or changed.
        """
        if not piece.spec_digest:
            return b""
        with self._lock:
            return BlobRows().get(self._connection, piece.spec_digest)

    def answer(self, piece: Piece, answer: bytes) -> bool:
        """Give what came of a piece; False if it came too late, and was dropped."""
        with self._lock:
            return self._work.answer(piece, answer)


class _Worker:
    """One process's part. The event loop only gives signs of life and listens: what takes its time is the hands'."""

    def __init__(
        self, connection: PostgresConnection, working: PostgresConnection, pulse: PostgresPulse, meters: Meters
    ) -> None:
        self._id = uuid.uuid4().hex
        self._version = server_version()
        self._pulse = pulse
        self._work = WorkWrites(connection, lambda: database_time(connection), locking=SKIP_LOCKED)
        self._table = _Table(working, worker=self._id)
        self._meters = meters
        self._hands: list[_Hand] = []
        self._bell = asyncio.Event()

    async def serve(self, settings: WorkerSettings, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        self._work.beat(self._id, self._version)
        failpoint("worker.there")
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
            failpoint("worker.leaving")
            with contextlib.suppress(psycopg.Error):
                self._work.leave(self._id)

    async def _beat_for_ever(self) -> None:
        while True:
            held = self._work.beat(self._id, self._version)
            for hand in self._hands:
                hand.look(held)
            await asyncio.sleep(BEAT)

    async def _listen_for_ever(self) -> None:
        while True:
            await self._pulse.hear(BEAT)
            self._bell.set()
            await asyncio.sleep(_SPACING)

    async def _work_until(self, stop: asyncio.Event) -> None:
        with closing(_Hand(self._table, self._meters)) as hand:
            self._hands.append(hand)
            while not stop.is_set():
                self._bell.clear()
                if await hand.work():
                    await self._pulse.tell()
                else:
                    await self._bell.wait()


class _Hand:
    """Does one piece at a time, in a process that knows the last daemon's device and rack."""

    def __init__(self, table: _Table, meters: Meters) -> None:
        self._table = table
        self._meters = meters
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="work")
        self._files: KitFiles | None = None
        self._process: CompileProcess | None = None
        self._in_hand = ""
        self._missed = ""
        """A piece that was not this worker's any more at the last sign of life."""

    async def work(self) -> bool:
        """Do a piece, if there is any; whether there was."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work)

    def look(self, held: Collection[str]) -> None:
        """Let go what this worker does in vain: it was withdrawn, or is another's, at two signs of life in turn."""
        piece = self._in_hand
        if not piece or piece in held:
            self._missed = ""
        elif piece != self._missed:
            self._missed = piece
        elif self._process is not None:
            self._process.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.close()

    def _work(self) -> bool:
        piece = self._table.claim()
        if piece is None:
            return False
        self._in_hand = piece.key
        failpoint("work.claimed")
        try:
            self._do(piece)
        finally:
            self._in_hand = ""
        return True

    def _do(self, piece: Piece) -> None:
        with about(work=piece.key, kind=piece.kind.value):
            _log.info("work begun", extra={"claim": piece.fence})
            answer = self._answer(piece)
            if answer is None:
                _log.info("work let go")
                return
            failpoint("work.done")
            in_time = self._table.answer(piece, answer)
            failpoint("work.answered")
            self._meters.count("work", "done" if in_time else "late")
            _log.info("work done" if in_time else "work came late and was dropped", extra={"bytes": len(answer)})

    def _answer(self, piece: Piece) -> bytes | None:
        """Say what came of a piece; None if it was let go."""
        try:
            spec = self._table.spec(piece)
            task = decode_task(piece.content)
            process = self._process_of(task.files)
        except QubitdError as error:  # its own daemon finds out what that means
            _log.warning("what the daemon says cannot be read", extra={"cause": str(error)})
            return DECLINED
        failpoint("work.begun")
        try:
            return _done(piece.kind, process, task, spec or task.spec)
        except QubitdError as error:
            if process.is_closed:
                return None
            _log.info("work refused", extra={"cause": str(error)})
            return encode_failure(error)
        except Exception:  # noqa: BLE001  # a mistake of ours, which must not end the worker's other work
            _log.exception("work failed; the daemon does it")
            return DECLINED

    def _process_of(self, files: KitFiles) -> CompileProcess:
        if self._process is None or self._process.is_closed or files != self._files:
            if self._process is not None:
                self._process.close()
            self._process, self._files = CompileProcess(files.read()), files
        return self._process


def _done(kind: WorkKind, process: CompileProcess, task: Task, spec: bytes) -> bytes:
    if kind is WorkKind.VALIDATE:
        return encode_validated(process.validate(spec, task.snapshot))
    decoded = decode_spec(parse(jobs_pb2.JobSpec, spec))
    plan = process.explain(decoded, task.snapshot, wants_expected=task.wants_expected)
    return encode_explained(plan)
