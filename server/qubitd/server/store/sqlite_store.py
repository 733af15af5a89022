"""The store in a data directory: one SQLite file, and big blobs beside it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar, cast

from qubitd.server.errors import DiskFullError, StoreBrokenError
from qubitd.server.jobs.limits import LEAST_FREE_BYTES
from qubitd.server.store.blobs import BlobFolder
from qubitd.server.store.connections import assert_local, assert_sound, open_reader, sqlite_engine, truncate_wal
from qubitd.server.store.database import Database
from qubitd.server.store.frames import split
from qubitd.server.store.schema import migrate, nobody_told
from qubitd.server.store.store import StoreReads, Writes, writes_on
from qubitd.server.store.writer import Writer
from qubitd.server.telemetry.meters import Meters

Result = TypeVar("Result")

DATABASE = "qubitd.sqlite"
"""Name of the database in the data directory."""
BLOBS = "blobs"
"""Name of the folder of big blobs."""


class SqliteStore(StoreReads):
    """One data directory, open. Reads belong to the thread that opened it; blobs may be read from any."""

    def __init__(
        self,
        directory: Path,
        *,
        on_broken: Callable[[StoreBrokenError], None] | None = None,
        meters: Meters | None = None,
        before_migration: Callable[[int], None] = nobody_told,
    ) -> None:
        """Open, check and migrate.

        Args:
            directory: of the data.
            on_broken: told from any thread that nothing can be written any more.
            meters: that are told of commits.
            before_migration: called with the schema's version before it changes.

        Raises:
            StoreTooNewError: a newer version wrote it.
            StoreCorruptError: it is damaged.
            StoreError: it cannot be opened, or commits would not be durable.
        """
        assert_local(directory)
        self.path = directory / DATABASE
        self._folder = BlobFolder(directory / BLOBS)
        self._before_migration = before_migration
        self._writer = Writer(
            engine=sqlite_engine(self.path),
            prepare=self._prepare,
            on_broken=on_broken or _nobody_told,
            meters=meters or Meters(),
        )
        super().__init__(open_reader(self.path), time.time_ns)
        self._blob_connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        self._blob_lock = threading.Lock()

    @property
    def sharing(self) -> None:
        """A directory is one daemon's alone."""
        return None

    def blob(self, digest: str) -> bytes:
        """Read a blob and check it, from any thread.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        data = self._row(digest)
        return self._folder.file(digest) if data is None else data

    def pieces(self, digest: str) -> Generator[bytes]:
        """Check a blob, and give its messages one after another without holding them all; from any thread.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        data = self._row(digest)
        if data is not None:
            return split(data)
        self._folder.check_file(digest)
        return self._folder.pieces(digest)

    def check_room(self, needed: int) -> None:
        """Make sure that the disk takes so many bytes and a reserve.

        Raises:
            DiskFullError: it does not.
        """
        free = shutil.disk_usage(self.path.parent).free
        if free < needed + LEAST_FREE_BYTES:
            raise DiskFullError(path=self.path.parent, needed=needed, free=free, reserve=LEAST_FREE_BYTES)

    def write(self, command: Callable[[Writes], Result], *, hurried: bool = True) -> Future[Result]:
        """Run a command in the writer's thread; its future gives the result once that is durable.

        One that is not hurried waits for the next that is, or for `hurry`.
        """
        return self._writer.submit(command, hurried=hurried)

    def wal_bytes(self) -> int:
        """Give the length of the write-ahead log."""
        try:
            return self.path.with_name(f"{DATABASE}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def truncate_wal(self) -> Future[bool]:
        """Make the write-ahead log empty; the future says whether it is, since nobody was reading from it."""
        return self._writer.between(truncate_wal)

    def hurry(self) -> None:
        """Let what was not hurried wait no longer."""
        self._writer.hurry()

    def close(self) -> None:
        """Finish what waits and close."""
        self._writer.close()
        self._connection.close()
        self._blob_connection.close()

    def _row(self, digest: str) -> bytes | None:
        with self._blob_lock:
            return self._folder.row(self._blob_connection, digest)

    def _prepare(self, connection: Database) -> Writes:
        sqlite = cast(sqlite3.Connection, connection)
        assert_sound(sqlite, self.path)
        migrate(sqlite, path=self.path, before=self._before_migration)
        self._folder.sweep(connection)
        return writes_on(connection, self._folder, time.time_ns)


def _nobody_told(_: StoreBrokenError) -> None:
    """Nobody is told: each write says it itself."""
