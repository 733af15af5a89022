"""Watchers that come back after an upgrade with a number from before projects counted their own: none is refused, and
none misses an event. In a real SQLite and a real PostgreSQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.store_life import NEW

from qubitd.server.store import schema
from qubitd.server.store.database import Database
from qubitd.server.store.schema import MIGRATIONS
from qubitd.server.store.sqlite_store import DATABASE, SqliteStore
from qubitd.server.store.store import Store

ONE_COUNT = 7
"""The last schema in which the events of all projects had one count."""
OWN_COUNTS = 8
"""The first in which each has its own: for a while it began with the project's last event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a store is, whichever database it is in."""

    connect: Callable[[], Any]
    migrate: Callable[[Any, int], None]
    open: Callable[[], Any]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        path = tmp_path / DATABASE
        yield Place(
            connect=lambda: sqlite3.connect(path, isolation_level=None),
            migrate=lambda connection, steps: schema.migrate(connection, path=path, steps=MIGRATIONS[:steps]),
            open=lambda: SqliteStore(tmp_path),
        )
        return
    url = request.getfixturevalue("postgres").new_schema()
    from qubitd.server.store import postgres_schema
    from qubitd.server.store.postgres import PostgresConnection
    from qubitd.server.store.postgres_store import PostgresStore

    yield Place(
        connect=lambda: PostgresConnection(url, read_only=False),
        migrate=lambda connection, steps: postgres_schema.migrate(connection, steps=MIGRATIONS[:steps]),
        open=lambda: PostgresStore(url),
    )


def lived(connection: Database) -> int:
    """Leave what a daemon of one count left: ann's events 1 and 2, bob's 3 to 5, and 6 and 7, which he deleted. Gives
    the number that each watcher had seen last.
    """
    for number, (owner, events) in enumerate((("ann", 2), ("bob", 3), ("bob", 2)), start=1):
        connection.execute(
            "INSERT INTO job (id, owner, key, backend, request_digest, spec_digest, client_digest, shots, circuits,"
            " programs, created_ns, status) VALUES (?, ?, ?, 'line5', '', '', '', 1, 1, 1, 1, 'DONE')",
            (f"job-{number}", owner, f"job-{number}"),
        )
        for _ in range(events):
            connection.execute(
                "INSERT INTO event (job, time_ns, kind, name, text, done, total) VALUES (?, 1, 'log', '', 'so', 0, 0)",
                (number,),
            )
    connection.execute("DELETE FROM event WHERE job = 3")
    return 7


def told(store: Store, owner: str, *, after: int) -> list[str]:
    """Whose events a watcher of the backend gets that goes on after a number."""
    events = store.jobs.events_of_many(owner=owner, session_id="", backend=NEW.backend, after=after)
    numbers = [event.sequence for event in events]
    assert numbers == sorted(set(numbers))
    assert numbers[-1:] in ([], [store.jobs.newest_of(owner)])
    return [event.job_id for event in events]


@pytest.mark.parametrize("stops", [(), (OWN_COUNTS,)], ids=["at once", "by way of the first own numbers"])
def test_a_bookmark_from_before_the_upgrade_goes_on_with_the_next_event(place: Place, stops: tuple[int, ...]) -> None:
    with closing(place.connect()) as connection:
        place.migrate(connection, ONE_COUNT)
        bookmark = lived(connection)
        for steps in stops:
            place.migrate(connection, steps)
    with closing(place.open()) as store:
        for owner, before in (("ann", ["job-1"] * 2), ("bob", ["job-2"] * 3), ("cid", [])):
            assert store.jobs.newest_of(owner) == bookmark
            events = store.jobs.events_of_many(owner=owner, session_id="", backend=NEW.backend, after=0)
            assert [event.job_id for event in events] == before
            new = replace(NEW, job_id=f"new-{owner}", key="new", owner=owner)
            for _ in range(2):  # the second time it is known
                store.write(lambda w, new=new: w.jobs.accept(new)).result()
            assert told(store, owner, after=bookmark) == [new.job_id] * 2
            assert store.jobs.newest_of(owner) == bookmark + 2


def test_the_numbers_of_a_new_store_begin_with_one(place: Place) -> None:
    with closing(place.open()) as store:
        assert store.jobs.newest_of("ann") == 0
        store.write(lambda w: w.jobs.accept(replace(NEW, job_id="new", key="new"))).result()
        assert store.jobs.newest_of("ann") == 2
