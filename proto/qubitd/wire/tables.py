"""Tables that jobs have in common, by the SHA-256 of their content: sent once, named by hash from then on.

Both ends know what the other has only by guess. A guess that was wrong costs one more message and never a job.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from qubitd.core.errors import QubitdError
from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count

MAX_TABLE_BYTES = 16 * 1024 * 1024
"""Content of one table."""
MAX_FILLED_BYTES = 48 * 1024 * 1024
"""Content of all tables of one message."""
MAX_KEPT_BYTES = 64 * 1024 * 1024
"""Content that a daemon keeps."""
MAX_KNOWN = 1_024
"""Hashes that a client remembers to have sent."""
WORTH_NAMING = 256
"""Bytes of content from which a hash is sent in its place: it takes 32, and a wrong guess one more message."""
HASH_BYTES = 32


class MissingTablesError(QubitdError):
    """A message names tables whose content is not here; sent again with their content it will do."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self.hashes = tuple(hashes)
        names = ", ".join(h.hex() for h in self.hashes)
        super().__init__(f"tables {names} are not here (any more); send them again with their content")


class TableStore:
    """Contents of tables by hash; the one that was used longest ago goes first.

    Each project has its own: whether a hash is known tells what was sent before.
    """

    def __init__(self, *, most: int = MAX_KEPT_BYTES) -> None:
        self._most = most
        self._size = 0
        self._contents: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def fill_in(self, spec: jobs_pb2.JobSpec, *, project: str) -> None:
        """Put content in place of bare hashes, and keep what came with content, for one project.

        Raises:
            MissingTablesError: a hash is unknown here; all such are named.
            MalformedMessageError: a table has neither hash nor content, is too big, or has another table's hash; or all
                together are too big.
        """
        tables = list(_tables(spec))
        for table in tables:
            _check(table)
        with self._lock:
            self._fill_in(tables, project)

    def find(self, hashes: Sequence[bytes], *, project: str) -> list[bytes]:
        """Give contents of one project.

        Raises:
            MissingTablesError: a hash is unknown here; all such are named.
        """
        with self._lock:
            missing = [name for name in hashes if (project, name) not in self._contents]
            if missing:
                raise MissingTablesError(missing)
            return [self._contents[project, name] for name in hashes]

    def keep(self, contents: Iterable[bytes], *, project: str) -> None:
        """Take in contents for one project."""
        for content in contents:
            name = (project, hashlib.sha256(content).digest())
            with self._lock:
                self._keep(name, content)

    def all(self, *, project: str) -> list[bytes]:
        """Give all contents of one project."""
        with self._lock:
            return [content for (owner, _), content in self._contents.items() if owner == project]

    def _fill_in(self, tables: Sequence[circuits_pb2.Table], project: str) -> None:
        missing = dict.fromkeys(
            t.sha256 for t in tables if not t.HasField("content") and (project, t.sha256) not in self._contents
        )
        if missing:
            raise MissingTablesError(tuple(missing))
        sizes = (len(t.content if t.HasField("content") else self._contents[project, t.sha256]) for t in tables)
        check_count(sum(sizes), where="all tables, bytes", most=MAX_FILLED_BYTES)
        for table in tables:
            if not table.HasField("content"):
                table.content = self._contents[project, table.sha256]
            if len(table.content) >= WORTH_NAMING:
                self._keep((project, hashlib.sha256(table.content).digest()), table.content)
            table.ClearField("sha256")

    def _keep(self, name: tuple[str, bytes], content: bytes) -> None:
        if self._contents.pop(name, None) is None:
            self._size += len(content)
        self._contents[name] = content
        while self._size > self._most and len(self._contents) > 1:
            _, oldest = self._contents.popitem(last=False)
            self._size -= len(oldest)


class KnownTables:
    """What a client believes that its daemon has."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def name(self, spec: jobs_pb2.JobSpec) -> dict[bytes, bytes]:
        """Put hashes in place of contents that were sent before; give the contents of all big tables by hash."""
        contents: dict[bytes, bytes] = {}
        for table in _tables(spec):
            if len(table.content) < WORTH_NAMING:
                continue
            name = hashlib.sha256(table.content).digest()
            contents[name] = table.content
            if name in self._hashes:
                table.sha256 = name
                table.ClearField("content")
        return contents

    def note(self, hashes: Iterable[bytes]) -> None:
        """Remember tables that the daemon has taken."""
        for name in hashes:
            self._hashes[name] = None
            self._hashes.move_to_end(name)
        while len(self._hashes) > MAX_KNOWN:
            self._hashes.popitem(last=False)

    def forget(self, hashes: Iterable[bytes]) -> None:
        """Believe no longer that the daemon has these."""
        for name in hashes:
            self._hashes.pop(name, None)


def restore(spec: jobs_pb2.JobSpec, contents: Mapping[bytes, bytes]) -> None:
    """Put contents back in place of hashes."""
    for table in _tables(spec):
        if table.sha256 in contents:
            table.content = contents[table.sha256]
            table.ClearField("sha256")


def content_of(table: circuits_pb2.Table, *, where: str) -> bytes:
    """Give the content of a table that has one.

    Raises:
        MalformedMessageError: it has none.
    """
    if not table.HasField("content"):
        raise malformed(where, "has no content; a hash alone does where its content was sent before")
    check_count(len(table.content), where=f"{where}, bytes", most=MAX_TABLE_BYTES)
    return table.content


def _tables(spec: jobs_pb2.JobSpec) -> Iterator[circuits_pb2.Table]:
    batch = spec.batch
    if batch.HasField("step_table"):
        yield batch.step_table
    if batch.HasField("value_table"):
        yield batch.value_table
    for envelope in spec.envelopes:
        yield envelope.samples


def _check(table: circuits_pb2.Table) -> None:
    if table.HasField("content"):
        check_count(len(table.content), where="table, bytes", most=MAX_TABLE_BYTES)
    if not table.sha256 and table.HasField("content"):
        return
    if len(table.sha256) != HASH_BYTES:
        raise malformed("table, sha256", f"has {len(table.sha256)} bytes; a hash has {HASH_BYTES}")
    if table.HasField("content") and hashlib.sha256(table.content).digest() != table.sha256:
        raise malformed("table, sha256", "is not the SHA-256 of the content beside it")
