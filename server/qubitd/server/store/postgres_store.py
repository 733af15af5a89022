"""The store in a PostgreSQL database: the same reads and writes, for every daemon that is given its address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TypeVar, cast

from qubitd.server.errors import StoreBrokenError
from qubitd.server.meters import Meters
from qubitd.server.store.accounts import AccountReads
from qubitd.server.store.database import Database
from qubitd.server.store.frames import split
from qubitd.server.store.group_jobs import GroupJobReads
from qubitd.server.store.job_reads import JobReads
from qubitd.server.store.members import MemberReads
from qubitd.server.store.postgres import PostgresConnection, PostgresReader, postgres_engine
from qubitd.server.store.postgres_blobs import BlobRows
from qubitd.server.store.postgres_schema import migrate
from qubitd.server.store.postgres_sharing import PostgresSharing, database_time
from qubitd.server.store.revisions import RevisionReads
from qubitd.server.store.sessions import SessionReads
from qubitd.server.store.slots import SlotReads
from qubitd.server.store.store import Writes, writes_on
from qubitd.server.store.writer import Writer

Result = TypeVar("Result")


class PostgresStore:
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
        self._url = url
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
            self._connection = PostgresReader(url, on_lost=on_broken)
            self._blob_connection = PostgresReader(url, on_lost=on_broken)
        except BaseException:
            self._writer.close()
            raise
        self._blob_lock = threading.Lock()
        self.jobs = JobReads(self._connection)
        self.sessions = SessionReads(self._connection)
        self.slots = SlotReads(self._connection)
        self.members = MemberReads(self._connection, lambda: database_time(self._connection))
        self.group_jobs = GroupJobReads(self._connection)
        self.accounts = AccountReads(self._connection)

    def revisions(self, backend: str) -> RevisionReads:
        """Ask about a backend's revisions."""
        return RevisionReads(self._connection, backend)

    def blob(self, digest: str) -> bytes:
        """Read a blob and check it, from any thread.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        with self._blob_lock:
            return self._blobs.get(self._blob_connection, digest)

    def check_blob(self, digest: str) -> None:
        """Read a blob through, from any thread.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        self.blob(digest)

    def pieces(self, digest: str) -> Generator[bytes]:
        """Read a checked blob's messages one after another.

        Raises:
            StoreCorruptError: it is gone.
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
