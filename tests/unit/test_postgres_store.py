"""What only PostgreSQL can do, or do wrong: several stores on one database, dead connections, old servers."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import LiteralString

import pytest
from tests import store_life
from tests.postgres_server import PostgresServer

from qubitd.core.job import JobStatus
from qubitd.server.errors import StaleWriteError, StoreBrokenError, StoreError, StoreTooNewError
from qubitd.server.store.audit import verify
from qubitd.server.store.rows import Accepted, Change, NewJob

pytest.importorskip("psycopg")
import psycopg

from qubitd.server.store.postgres import PostgresConnection, check_version
from qubitd.server.store.postgres_blobs import PIECE_BYTES
from qubitd.server.store.postgres_store import PostgresStore

NEW = replace(store_life.NEW, job_id="job-1", owner="local", key="key-1", spec=b"spec")
STEP = Change(
    job_id="job-1", before=JobStatus.INITIALIZING, version=0, after=JobStatus.VALIDATING, time_ns=2, message=""
)


def submitted(store: PostgresStore, new: NewJob) -> Future[Accepted]:
    return store.write(lambda w: w.jobs.accept(new))


def test_what_was_acknowledged_survives_a_writer_that_is_killed(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    told: list[StoreBrokenError] = []
    first = PostgresStore(url, on_broken=told.append)
    submitted(first, NEW).result()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    lost = submitted(first, replace(NEW, job_id="job-2", key="key-2"))
    assert isinstance(lost.exception(), StoreBrokenError)
    assert len(told) == 1
    first.close()
    second = PostgresStore(url)
    assert [job.job_id for job in second.jobs.alive()] == ["job-1"]
    second.close()


def test_of_two_daemons_that_move_one_job_one_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    one, two = PostgresStore(url), PostgresStore(url)
    submitted(one, NEW).result()
    moves = [store.write(lambda w: w.jobs.change(STEP)) for store in (one, two)]
    refused = [move.exception() for move in moves if move.exception() is not None]
    assert [type(error) for error in refused] == [StaleWriteError]
    assert two.jobs.get(owner="local", job_id="job-1").status is JobStatus.VALIDATING
    one.close()
    two.close()


def test_two_daemons_that_write_at_once_keep_one_whole_audit_chain(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    stores = (PostgresStore(url), PostgresStore(url))
    futures = [
        submitted(store, replace(NEW, job_id=f"{who}-{n}", key=f"{who}-{n}"))
        for n in range(50)
        for who, store in enumerate(stores)
    ]
    assert len({future.result().number for future in futures}) == 100
    for store in stores:
        store.close()
    reader = PostgresConnection(url, read_only=True)
    assert verify(reader).broken is None
    assert verify(reader).lines == 100
    reader.close()


def test_a_blob_lies_in_rows_of_at_most_a_megabyte_and_goes_with_its_job(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    store = PostgresStore(url)
    big = bytes(range(256)) * (PIECE_BYTES // 100)
    submitted(store, replace(NEW, spec=big)).result()
    assert store.blob(store.jobs.spec_digest("job-1")) == big
    with psycopg.connect(url, autocommit=True) as other:
        sizes = [row[0] for row in other.execute("SELECT length(data) FROM blob_piece ORDER BY digest, n")]
        assert max(sizes) == PIECE_BYTES
        store.write(lambda w: w.jobs.change(replace(STEP, after=JobStatus.CANCELLED))).result()
        store.write(lambda w: w.jobs.delete(owner="local", job_id="job-1", who="ann", time_ns=5)).result()
        assert other.execute("SELECT count(*) FROM blob_piece").fetchone() == (0,)
    store.close()


def test_a_store_of_a_newer_version_is_left_alone(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    PostgresStore(url).close()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("UPDATE meta SET steps = 99")
    with pytest.raises(StoreTooNewError, match="99"):
        PostgresStore(url)


def test_an_old_server_is_refused_with_both_versions() -> None:
    check_version(150_000)
    with pytest.raises(StoreError, match=r"14\.11.*15"):
        check_version(140_011)


def test_a_server_that_would_lose_commits_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    with pytest.raises(StoreError, match="does not answer"):
        PostgresStore(f"{url}&port=1")
    try:
        set_full_page_writes(url, "SET full_page_writes = off", then="off")
        with pytest.raises(StoreError, match="full_page_writes = off"):
            PostgresStore(url)
    finally:
        set_full_page_writes(url, "RESET full_page_writes", then="on")
    PostgresStore(url).close()


def set_full_page_writes(url: str, how: LiteralString, *, then: str) -> None:
    """Change the setting for the whole server, which reads its settings anew in its own time, and wait until it has."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f"ALTER SYSTEM {how}")
        other.execute("SELECT pg_reload_conf()")
    found: tuple[str] | None = None
    while found != (then,):
        with psycopg.connect(url, autocommit=True) as new:
            found = new.execute("SHOW full_page_writes").fetchone()
