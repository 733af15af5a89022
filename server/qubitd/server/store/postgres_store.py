"""The store in a PostgreSQL database: the same reads and writes, for every daemon that is given its address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TypeVar, cast

from qubitd.server.errors import StoreBrokenError
from qubitd.server.store.database import Database
from qubitd.server.store.frames import split
from qubitd.server.store.postgres import PostgresConnection, PostgresReader, postgres_engine
from qubitd.server.store.postgres_blobs import BlobRows
from qubitd.server.store.postgres_schema import migrate
from qubitd.server.store.postgres_sharing import PostgresSharing, database_time
from qubitd.server.store.store import StoreReads, Writes, writes_on
from qubitd.server.store.writer import Writer
from qubitd.server.telemetry.meters import Meters

Result = TypeVar("Result")


class PostgresStore(StoreReads):
    """One database, open. Reads belong to the thread that opened it; blobs may be read from any."""

    def __init__(
        self,
        url: str,
        *,
        on_broken: Callable[[StoreBrokenError], None] | None = None,
        meters: Meters | None = None,
    ) -> None:
        """Connect, check and migrate.

        Args:
            url: where the database is.
            on_broken: told from any thread, maybe more than once, that nothing can be written or read any more.
            meters: that are told of commits.

        Raises:
            StoreTooNewError: a newer version wrote it.
            StoreError: it does not answer, is too old, or commits would not be durable.
        """
        on_broken = on_broken or (lambda _: None)
        self._blobs = BlobRows()
        self.sharing = PostgresSharing(url)
        self._writer = Writer(
            engine=postgres_engine(url, check=self.sharing.check),
            prepare=self._prepare,
            on_broken=on_broken,
            meters=meters or Meters(),
        )
        try:
            reader = PostgresReader(url, on_lost=on_broken)
            self._blob_connection = PostgresReader(url, on_lost=on_broken)
        except BaseException:
            self._writer.close()
            raise
        self._blob_lock = threading.Lock()
        super().__init__(reader, lambda: database_time(reader))

    def blob(self, digest: str) -> bytes:
        """Read a blob and check it, from any thread.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        with self._blob_lock:
            return self._blobs.get(self._blob_connection, digest)

    def pieces(self, digest: str) -> Generator[bytes]:
        """Check a blob and give its messages one after another, from any thread.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        return split(self.blob(digest))

    def check_room(self, needed: int) -> None:
        """The server's disk is its own keeper's: a full one refuses the commit, and the daemon stops."""

    def write(self, command: Callable[[Writes], Result], *, hurried: bool = True) -> Future[Result]:
        """Run a command in the writer's thread; its future gives the result once that is durable.

        One that is not hurried waits for the next that is, or for `hurry`.
        """
        future = self._writer.submit(command, hurried=hurried)
        future.add_done_callback(lambda _: self.sharing.on_written())
        return future

    def hurry(self) -> None:
        """Let what was not hurried wait no longer."""
        self._writer.hurry()

    def close(self) -> None:
        """Finish what waits and hang up."""
        self._writer.close()
        self._connection.close()
        self._blob_connection.close()

    def _prepare(self, connection: Database) -> Writes:
        migrate(cast(PostgresConnection, connection))
        return writes_on(connection, self._blobs, lambda: database_time(connection))
