"""What only PostgreSQL can do, or do wrong: several stores on one database, dead connections, old servers."""

from __future__ import annotations

import dataclasses

import pytest
from tests.postgres_server import PostgresServer

from qubitd.core.job import JobStatus
from qubitd.server.errors import StaleWriteError, StoreBrokenError, StoreError, StoreTooNewError
from qubitd.server.store.audit import verify
from qubitd.server.store.rows import Change, NewJob

psycopg = pytest.importorskip("psycopg")
from qubitd.server.store.postgres import PostgresConnection, check_version  # noqa: E402
from qubitd.server.store.postgres_blobs import PIECE_BYTES  # noqa: E402
from qubitd.server.store.postgres_store import PostgresStore  # noqa: E402

NEW = NewJob(
    job_id="job-1",
    owner="local",
    key="key-1",
    backend="line5",
    request_digest="aa",
    spec=b"spec",
    shots=1,
    circuits=1,
    programs=1,
    tags=(),
    created_ns=1,
)
STEP = Change(
    job_id="job-1", before=JobStatus.INITIALIZING, version=0, after=JobStatus.VALIDATING, time_ns=2, message=""
)


def test_what_was_acknowledged_survives_a_writer_that_is_killed(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    told: list[StoreBrokenError] = []
    first = PostgresStore(url, on_broken=told.append)
    first.write(lambda w: w.jobs.accept(NEW)).result()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    lost = first.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, job_id="job-2", key="key-2")))
    assert isinstance(lost.exception(), StoreBrokenError)
    assert len(told) == 1
    first.close()
    second = PostgresStore(url)
    assert [job.job_id for job in second.jobs.alive()] == ["job-1"]
    second.close()


def test_of_two_daemons_that_move_one_job_one_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_schema()
    one, two = PostgresStore(url), PostgresStore(url)
    one.write(lambda w: w.jobs.accept(NEW)).result()
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
        store.write(lambda w, name=f"{who}-{n}": w.jobs.accept(dataclasses.replace(NEW, job_id=name, key=name)))  # type: ignore[misc]
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
    store.write(lambda w: w.jobs.accept(dataclasses.replace(NEW, spec=big))).result()
    assert store.blob(store.jobs.spec_digest("job-1")) == big
    with psycopg.connect(url, autocommit=True) as other:
        sizes = [row[0] for row in other.execute("SELECT length(data) FROM blob_piece ORDER BY digest, n")]
        assert max(sizes) == PIECE_BYTES
        store.write(lambda w: w.jobs.change(dataclasses.replace(STEP, after=JobStatus.CANCELLED))).result()
        store.write(lambda w: w.jobs.delete(owner="local", job_id="job-1")).result()
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
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("ALTER SYSTEM SET full_page_writes = off")
        other.execute("SELECT pg_reload_conf()")
    try:
        with pytest.raises(StoreError, match="full_page_writes = off"):
            _until_refused(url)
    finally:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("ALTER SYSTEM RESET full_page_writes")
            other.execute("SELECT pg_reload_conf()")


def _until_refused(url: str) -> None:
    """The server reads its settings anew in its own time."""
    for _ in range(200):
        PostgresStore(url).close()
