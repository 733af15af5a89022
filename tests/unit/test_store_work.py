"""What an answer of the store costs, in steps of SQLite's machine, does not grow with all else that is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store_life import NEW

from qubitd.core.job import JobStatus
from qubitd.server.store import paging
from qubitd.server.store.paging import LOOKED_THROUGH
from qubitd.server.store.rows import JobQuery
from qubitd.server.store.sessions import NewSession
from qubitd.server.store.sqlite_store import DATABASE, SqliteStore
from qubitd.wire.sessions import AtExpiry, SessionMode
from qubitd.wire.terms import JobTerms

OTHERS = 20_000
ALLOWED = 1.2
"""Times the steps of a store without others."""
ASKED: dict[str, Callable[[SqliteStore], object]] = {
    "the newest page": lambda store: store.jobs.page(JobQuery(owner="ann", limit=3)),
    "a page of a session": lambda store: store.jobs.page(JobQuery(owner="ann", limit=3, session_id="one")),
    "a page of a tag": lambda store: store.jobs.page(JobQuery(owner="ann", limit=3, tags=("rare",))),
    "a page of somebody else": lambda store: store.jobs.page(JobQuery(owner="bob", limit=3)),
    "a job": lambda store: store.jobs.get(owner="ann", job_id="last"),
    "a key": lambda store: store.jobs.is_known(owner="ann", key="last"),
    "a job's events": lambda store: store.jobs.events(store.jobs.number(owner="ann", job_id="last"), after=0),
    "a session's events": lambda store: store.jobs.events_of_many(owner="ann", session_id="one", backend="", after=0),
    "what is new on a backend": lambda store: store.jobs.events_of_many(
        owner="ann", session_id="", backend="line5", after=store.jobs.newest_of("ann") - 2
    ),
}


def filled(folder: Path, others: int) -> SqliteStore:
    """Make a store with so many other queued jobs of ann's before those that are asked for."""
    session = NewSession(
        session_id="one",
        owner="ann",
        author="ann",
        key="one",
        request_digest="",
        backend="line5",
        mode=SessionMode.BATCH,
        max_seconds=9.0,
        idle_seconds=9.0,
        at_expiry=AtExpiry.CANCEL,
        created_ns=1,
    )
    with closing(SqliteStore(folder)) as store:
        store.write(lambda w: w.jobs.accept(replace(NEW, job_id="first", key="first"))).result()
        store.write(lambda w: w.sessions.open(session)).result()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        columns = ", ".join(
            row[1] for row in connection.execute("PRAGMA table_info(job)") if row[1] not in ("number", "id", "key")
        )
        connection.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
            f" INSERT INTO job (id, key, {columns}) SELECT 'copy-' || n, 'copy ' || n, {columns} FROM job, n"
            " WHERE id = 'first'",
            (others,),
        )
        connection.execute("UPDATE job SET status = 'QUEUED'")
        connection.execute(
            "INSERT INTO event (job, project, own, time_ns, kind, name, text, done, total)"
            " SELECT copy.number, project, copy.number + 2, time_ns, kind, name, text, done, total"
            " FROM event JOIN job AS copy ON copy.id <> 'first' WHERE own = 1"
        )
        connection.execute("UPDATE project SET events = (SELECT max(own) FROM event)")
        connection.commit()
    store = SqliteStore(folder)
    accept(store, "in-session", JobTerms(session_id="one"))
    accept(store, "last", JobTerms())
    return store


def accept(store: SqliteStore, job_id: str, terms: JobTerms) -> None:
    new = replace(NEW, job_id=job_id, key=job_id, terms=terms, tags=("rare",))
    store.write(lambda w: w.jobs.accept(new)).result()


def steps(store: SqliteStore, ask: Callable[[SqliteStore], object]) -> int:
    """Count what the database does for an answer."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection: sqlite3.Connection = store.jobs._connection  # type: ignore[assignment]
    connection.set_progress_handler(step, 1)
    ask(store)
    connection.set_progress_handler(None, 1)
    return count


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    folders = (tmp_path_factory.mktemp("few"), tmp_path_factory.mktemp("many"))
    with closing(filled(folders[0], 5)) as few, closing(filled(folders[1], OTHERS)) as many:
        yield few, many


@pytest.mark.parametrize("what", ASKED)
def test_an_answer_costs_the_same_whatever_else_waits(stores: tuple[SqliteStore, SqliteStore], what: str) -> None:
    few, many = (steps(store, ASKED[what]) for store in stores)
    assert 0 < many <= ALLOWED * few


def test_a_page_of_which_there_is_nothing_reads_no_rows_and_looks_through_so_many_jobs(
    stores: tuple[SqliteStore, SqliteStore],
) -> None:
    query = JobQuery(owner="ann", limit=3, backend="another", statuses=(JobStatus.ERROR, JobStatus.DONE), since_ns=2)
    assert steps(stores[1], lambda store: store.jobs.page(query)) < 18 * LOOKED_THROUGH
    pages = [stores[1].jobs.page(query)]
    while pages[-1].next_below:
        pages.append(stores[1].jobs.page(replace(query, below=pages[-1].next_below)))
    assert [page.jobs for page in pages] == [()] * (1 + OTHERS // LOOKED_THROUGH)


def test_what_lies_behind_many_others_is_found_on_a_later_page(
    stores: tuple[SqliteStore, SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LOOKED_THROUGH", 3)
    few, found = stores[0].jobs, list[str]()
    page, pages = few.page(JobQuery(owner="ann", limit=2, statuses=(JobStatus.QUEUED,))), 1
    while page.next_below:
        found += [job.job_id for job in page.jobs]
        page, pages = (
            few.page(JobQuery(owner="ann", limit=2, statuses=(JobStatus.QUEUED,), below=page.next_below)),
            pages + 1,
        )
    assert found + [job.job_id for job in page.jobs] == [f"copy-{n}" for n in (5, 4, 3, 2, 1)] + ["first"]
    assert pages > 3
