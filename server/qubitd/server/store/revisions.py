"""Calibration revisions as rows: each holds only what it changed, and never changes itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.server.errors import UnknownRevisionError
from qubitd.server.store.database import Database
from qubitd.wire.calibrations import HistoryEntry, Revision

_PARAMETER = "name, value, unit, stderr, measured_at_ns, run, source"


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedFile:
    """What the device file said when it was last read."""

    digest: str
    """Of its bytes."""
    parameters: Mapping[str, Parameter]


class RevisionReads:
    """What can be asked about one backend's revisions, on any connection."""

    def __init__(self, connection: Database, backend: str) -> None:
        self._connection = connection
        self._backend = backend

    def newest(self) -> int:
        """Give the newest revision; 0 if there is none yet."""
        row = self._connection.execute(
            "SELECT coalesce(max(revision), 0) FROM revision WHERE backend = ?", (self._backend,)
        ).fetchone()
        return int(row[0])

    def row(self, revision: int) -> Revision:
        """Give a revision without its parameters.

        Raises:
            UnknownRevisionError: there never was such a revision.
        """
        row = self._connection.execute(
            "SELECT revision, parent, author, message, created_ns, digest FROM revision"
            " WHERE backend = ? AND revision = ?",
            (self._backend, revision),
        ).fetchone()
        if row is None:
            raise UnknownRevisionError(revision=revision, newest=self.newest())
        return _revision_row(row)

    def snapshot(self, revision: int) -> Snapshot:
        """Give all parameters at a revision.

        Raises:
            UnknownRevisionError: there never was such a revision.
        """
        row = self.row(revision)
        rows = self._connection.execute(
            f"SELECT {_PARAMETER} FROM parameter AS p WHERE backend = :backend AND removed = 0 AND revision ="  # noqa: S608
            " (SELECT max(revision) FROM parameter"
            " WHERE backend = :backend AND name = p.name AND revision <= :revision)",
            {"backend": self._backend, "revision": revision},
        )
        return Snapshot(
            revision=row.revision,
            parent=row.parent,
            author=row.author,
            message=row.message,
            created_at=row.created_at,
            parameters={row[0]: _parameter(row) for row in rows},
        )

    def history(self, name: str, *, limit: int) -> list[HistoryEntry]:
        """Give the values that a parameter had, newest first, with the revisions that brought them."""
        rows = self._connection.execute(
            "SELECT r.revision, r.parent, r.author, r.message, r.created_ns, r.digest, p.name, p.value, p.unit,"
            " p.stderr, p.measured_at_ns, p.run, p.source FROM parameter AS p JOIN revision AS r"
            " ON r.backend = p.backend AND r.revision = p.revision"
            " WHERE p.backend = ? AND p.name = ? AND p.removed = 0 ORDER BY p.revision DESC LIMIT ?",
            (self._backend, name, limit),
        )
        return [HistoryEntry(revision=_revision_row(row[:6]), parameter=_parameter(row[6:])) for row in rows]

    def changed_by(self, revision: int) -> list[str]:
        """Give the names that a revision changed, sorted."""
        rows = self._connection.execute(
            "SELECT name FROM parameter WHERE backend = ? AND revision = ? ORDER BY name", (self._backend, revision)
        )
        return [row[0] for row in rows]

    def changed_since(self, base: int, names: Iterable[str]) -> list[str]:
        """Give those of some names that a revision after `base` changed, sorted."""
        rows = self._connection.execute(
            "SELECT DISTINCT name FROM parameter WHERE backend = ? AND revision > ?", (self._backend, base)
        )
        return sorted({row[0] for row in rows} & set(names))

    def device_file(self) -> RememberedFile | None:
        """Give what the device file said last; None before the first start."""
        row = self._connection.execute("SELECT digest FROM device_file WHERE backend = ?", (self._backend,)).fetchone()
        if row is None:
            return None
        values = self._connection.execute(
            "SELECT name, value, unit FROM file_value WHERE backend = ?", (self._backend,)
        )
        return RememberedFile(
            digest=row[0],
            parameters={name: Parameter(name=name, value=value, unit=unit) for name, value, unit in values},
        )


class RevisionWrites:
    """What the writer's thread can do to revisions."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def reads(self, backend: str) -> RevisionReads:
        """Ask on the writer's own connection: what is read cannot change before the commit."""
        return RevisionReads(self._connection, backend)

    def insert(self, backend: str, snapshot: Snapshot, *, changed: Sequence[str], removed: Sequence[str] = ()) -> None:
        """Keep a new revision; `changed` and `removed` name what it does not share with its predecessor."""
        self._connection.execute(
            "INSERT INTO revision VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                backend,
                snapshot.revision,
                snapshot.parent,
                snapshot.author,
                snapshot.message,
                snapshot.created_at,
                snapshot.digest,
            ),
        )
        values = [_values(snapshot.parameters[name]) for name in changed]
        self._connection.executemany(
            "INSERT INTO parameter (backend, revision, name, value, unit, stderr, measured_at_ns, run, source)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(backend, snapshot.revision, *row) for row in values],
        )
        self._connection.executemany(
            "INSERT INTO parameter (backend, revision, name, value, unit, run, source, removed)"
            " VALUES (?, ?, ?, 0, '', '', '', 1)",
            [(backend, snapshot.revision, name) for name in removed],
        )

    def remember_file(self, backend: str, file: RememberedFile) -> None:
        """Keep what the device file says now, to compare with at the next start."""
        self._connection.execute("DELETE FROM file_value WHERE backend = ?", (backend,))
        self._connection.executemany(
            "INSERT INTO file_value VALUES (?, ?, ?, ?)",
            [(backend, p.name, p.value, p.unit) for p in file.parameters.values()],
        )
        self._connection.execute(
            "INSERT INTO device_file VALUES (?, ?) ON CONFLICT (backend) DO UPDATE SET digest = excluded.digest",
            (backend, file.digest),
        )


def _revision_row(row: tuple[Any, ...]) -> Revision:
    revision, parent, author, message, created_ns, digest = row
    return Revision(
        revision=revision, parent=parent, author=author, message=message, created_at=created_ns, digest=digest
    )


def _parameter(row: tuple[Any, ...]) -> Parameter:
    name, value, unit, stderr, measured_at, run, source = row
    return Parameter(name=name, value=value, unit=unit, stderr=stderr, measured_at=measured_at, run=run, source=source)


def _values(p: Parameter) -> tuple[Any, ...]:
    return p.name, p.value, p.unit, p.stderr, p.measured_at, p.run, p.source
