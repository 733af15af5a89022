"""Bytes known by their SHA-256: small ones as rows, those over 64 KB as files beside the database.

A file is complete before its row exists: write, fsync, rename, fsync the directory, then the row. Deleting goes the
other way. Files are written and removed in the writer's thread alone, so a file that is being removed is never being
reused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from io import BufferedReader
from pathlib import Path

from qubitd.server.errors import StoreCorruptError
from qubitd.server.failpoints import failpoint
from qubitd.server.store.database import Database
from qubitd.server.store.frames import read_pieces

FILE_THRESHOLD = 65536
"""Bytes up to which a blob is a row."""
_HALF_WRITTEN = ".part"


class BlobFolder:
    """The files, and how rows refer to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, connection: Database, data: bytes) -> str:
        """Keep bytes (in the current transaction) and give their digest."""
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= FILE_THRESHOLD:
            connection.execute("INSERT INTO blob VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (digest, len(data), data))
        elif connection.execute("SELECT 1 FROM blob WHERE digest = ?", (digest,)).fetchone() is None:
            self._write_file(digest, data)
            connection.execute("INSERT INTO blob VALUES (?, ?, NULL)", (digest, len(data)))
            failpoint("blob.rowed")
        return digest

    def get(self, connection: Database, digest: str) -> bytes:
        """Read bytes back and check them.

        Raises:
            StoreCorruptError: they are gone or changed.
        """
        data = self.row(connection, digest)
        return self.file(digest) if data is None else data

    def file(self, digest: str) -> bytes:
        """Read and check bytes that are a file.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        with self._open(digest) as file:
            data = file.read()
        self._compare(digest, hashlib.sha256(data).hexdigest())
        return data

    def row(self, connection: Database, digest: str) -> bytes | None:
        """Read and check bytes that are a row; None for those that are a file.

        Raises:
            StoreCorruptError: they are gone or changed.
        """
        row = connection.execute("SELECT data FROM blob WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise StoreCorruptError(path=self.folder, what=f"blob {digest} has no row")
        if row[0] is None:
            return None
        data = bytes(row[0])
        self._compare(digest, hashlib.sha256(data).hexdigest())
        return data

    def check_file(self, digest: str) -> None:
        """Read a file through.

        Raises:
            StoreCorruptError: it is gone or changed.
        """
        with self._open(digest) as file:
            self._compare(digest, hashlib.file_digest(file, "sha256").hexdigest())

    def pieces(self, digest: str) -> Generator[bytes]:
        """Give the messages in a file one by one.

        Raises:
            StoreCorruptError: it is gone.
        """
        with self._open(digest) as file:
            yield from read_pieces(file)

    def drop_unused(self, connection: Database, digests: list[str]) -> None:
        """Remove rows of blobs that no job and no chunk refers to any more (in the current transaction)."""
        for digest in digests:
            connection.execute(
                "DELETE FROM blob WHERE digest = :digest AND NOT EXISTS (SELECT 1 FROM job WHERE spec_digest = :digest)"
                " AND NOT EXISTS (SELECT 1 FROM job WHERE client_digest = :digest)"
                " AND NOT EXISTS (SELECT 1 FROM chunk WHERE digest = :digest)",
                {"digest": digest},
            )

    def sweep(self, connection: Database) -> int:
        """Remove files that no row refers to, and those never finished; how many there were. Needs committed rows."""
        known = {row[0] for row in connection.execute("SELECT digest FROM blob WHERE data IS NULL")}
        lost = [path for path in self.folder.iterdir() if path.name not in known]
        for path in lost:
            path.unlink()
        return len(lost)

    def remove_files(self, connection: Database, digests: list[str]) -> None:
        """Remove the files of blobs whose rows are gone for good. Needs committed rows."""
        for digest in digests:
            if not connection.execute("SELECT 1 FROM blob WHERE digest = ?", (digest,)).fetchone():
                failpoint("blob.removing")
                (self.folder / digest).unlink(missing_ok=True)

    def _open(self, digest: str) -> BufferedReader:
        try:
            return (self.folder / digest).open("rb")
        except FileNotFoundError:
            raise StoreCorruptError(path=self.folder / digest, what="the file is gone") from None

    def _compare(self, digest: str, found: str) -> None:
        if found != digest:
            raise StoreCorruptError(path=self.folder / digest, what="its content does not match its name")

    def _write_file(self, digest: str, data: bytes) -> None:
        path = self.folder / digest
        half = path.with_suffix(_HALF_WRITTEN)
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        failpoint("blob.written")
        half.rename(path)
        failpoint("blob.renamed")
        sync_folder(self.folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
