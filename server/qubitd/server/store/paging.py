"""Pages of a list of jobs, newest first: each looks through so many jobs at most, and the next one goes on there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qubitd.server.store.database import Database
from qubitd.server.store.rows import JobQuery

PAGE_BYTES = 4 * 2**20
"""Bytes of messages and problems after which a page of jobs ends."""
LOOKED_THROUGH = 10_000
"""Jobs that a page looks through for those that are asked for, where no index has them."""


def page_rows(connection: Database, query: JobQuery, *, columns: str) -> tuple[list[tuple[Any, ...]], str]:
    """Give rows of jobs, and the id of the job below which the next page goes on; empty if none follows.

    Args:
        connection: to read from.
        query: what is asked for.
        columns: of the job; the second is its id.
    """
    conditions, values = _scope(query)
    floor = None
    if query.statuses or query.backend or query.since_ns:
        floor = _floor(connection, conditions, values)
    if floor is not None:
        conditions.append("number >= ?")
        values.append(floor[0])
    for condition, wanted in _filters(query):
        conditions.append(condition)
        values += wanted
    rows = connection.execute(  # the numbers are found in an index alone; only what is shown is read
        f"SELECT {columns} FROM job WHERE number IN"  # noqa: S608 (constants)
        f" (SELECT number FROM job WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?)"
        " ORDER BY number DESC",
        (*values, query.limit),
    )
    taken = list(_within(PAGE_BYTES, rows))
    if len(taken) == query.limit or rows.fetchone() is not None:
        return taken, taken[-1][1]
    return taken, "" if floor is None else floor[1]


def marks(values: Sequence[object]) -> str:
    """Question marks for a list; PostgreSQL knows no empty one, and nothing equals NULL."""
    return ", ".join("?" * len(values)) or "NULL"


def _scope(query: JobQuery) -> tuple[list[str], list[Any]]:
    """Give the conditions of the jobs that are looked through, and their values."""
    conditions, values = ["owner = ?", "deleted = 0"], [query.owner]
    if query.below:
        conditions.append("number < (SELECT number FROM job WHERE id = ? AND owner = ?)")
        values += [query.below, query.owner]
    return conditions, values


def _floor(connection: Database, conditions: Sequence[str], values: Sequence[Any]) -> tuple[int, str] | None:
    """Give the number and id of the last job that is looked at; None if that is the first of all."""
    row = connection.execute(
        "SELECT number, id FROM job WHERE number ="  # noqa: S608 (constants)
        f" (SELECT number FROM job WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (*values, LOOKED_THROUGH - 1),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def _filters(query: JobQuery) -> Iterator[tuple[str, list[Any]]]:
    """Give the conditions of those that are asked for, each with its values."""
    if query.statuses:
        yield f"status IN ({marks(query.statuses)})", [status.value for status in query.statuses]
    if query.backend:
        yield "backend = ?", [query.backend]
    if query.session_id:
        yield "number IN (SELECT number FROM job WHERE session <> '' AND session = ?)", [query.session_id]
    if query.since_ns:
        yield "created_ns >= ?", [query.since_ns]
    for tag in query.tags:
        yield "number IN (SELECT job FROM tag WHERE tag = ?)", [tag]


def _within(most: int, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Give rows of jobs until their texts reach a size."""
    size = 0
    for row in rows:
        yield row
        size += sum(len(value) for value in row if isinstance(value, str))
        if size >= most:
            return
