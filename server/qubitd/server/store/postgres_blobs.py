"""Bytes known by their SHA-256 in PostgreSQL: in rows of at most 1 MB, since every daemon of a group reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qubitd.server.errors import StoreCorruptError
from qubitd.server.store.database import Database

PIECE_BYTES = 2**20
"""Most bytes in a row."""
_PUT = (
    "WITH new AS (INSERT INTO blob (digest, size) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING digest)"
    " INSERT INTO blob_piece SELECT digest, 0, ? FROM new"
)
"""One way to the server and back; it changes no row of a blob that is there."""


class BlobRows:
    """What `BlobFolder` does with files, with rows."""

    def put(self, connection: Database, data: bytes) -> str:
        """Keep bytes (in the current transaction) and give their digest."""
        digest = hashlib.sha256(data).hexdigest()
        if connection.execute(_PUT, (digest, len(data), data[:PIECE_BYTES])).rowcount:
            further = range(PIECE_BYTES, len(data), PIECE_BYTES)
            connection.executemany(
                "INSERT INTO blob_piece VALUES (?, ?, ?)",
                [(digest, n, data[at : at + PIECE_BYTES]) for n, at in enumerate(further, start=1)],
            )
        return digest

    def get(self, connection: Database, digest: str) -> bytes:
        """Read bytes back and check them.

        Raises:
            StoreCorruptError: they are gone or changed.
        """
        where = Path(digest)
        if connection.execute("SELECT 1 FROM blob WHERE digest = ?", (digest,)).fetchone() is None:
            raise StoreCorruptError(path=where, what=f"blob {digest} has no row")
        rows = connection.execute("SELECT data FROM blob_piece WHERE digest = ? ORDER BY n", (digest,))
        data = b"".join(bytes(row[0]) for row in rows)
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreCorruptError(path=where, what="its content does not match its name")
        return data

    def drop_unused(self, connection: Database, digests: list[str]) -> None:
        """Remove blobs that no job and no chunk refers to any more (in the current transaction)."""
        for digest in digests:
            dropped = connection.execute(
                "DELETE FROM blob WHERE digest = :digest AND NOT EXISTS (SELECT 1 FROM job WHERE spec_digest = :digest)"
                " AND NOT EXISTS (SELECT 1 FROM job WHERE client_digest = :digest)"
                " AND NOT EXISTS (SELECT 1 FROM chunk WHERE digest = :digest)",
                {"digest": digest},
            )
            if dropped.rowcount:
                connection.execute("DELETE FROM blob_piece WHERE digest = ?", (digest,))

    def remove_files(self, connection: Database, digests: list[str]) -> None:
        """Nothing is left to remove: the pieces went with their blob."""
