"""Durable submits and claims per second: the store on SQLite beside the store on a PostgreSQL, in one run.

    python bench/postgres_store.py "host=/run/postgresql dbname=bench"

A submit is a future that came back durable, 64 waiting at once. A claim is SKIP LOCKED's: one row taken, one commit.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from qubitd.server.store.postgres import PostgresConnection
from qubitd.server.store.postgres_store import PostgresStore
from qubitd.server.store.rows import Accepted, NewJob
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store, Writes

WAITING = 64
ROUNDS = 20
CLAIMS = 500
NEW = NewJob(
    job_id="",
    owner="bench",
    key="",
    backend="line5",
    request_digest="aa",
    spec=b"",
    shots=1,
    circuits=1,
    programs=1,
    tags=(),
    created_ns=1,
)
CLAIM = (
    "UPDATE job SET attempt = attempt + 1 WHERE number ="
    " (SELECT number FROM job WHERE attempt = 0 ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING number"
)


def submits(store: Store, name: str) -> float:
    """Submit in rounds of as many as wait at once; per second."""
    began = time.perf_counter()
    for number in range(ROUNDS):
        ids = [f"{name}-{number}-{n}" for n in range(WAITING)]
        news = [replace(NEW, job_id=job_id, key=job_id, spec=job_id.encode() * 100) for job_id in ids]
        futures = [store.write(partial(_accept, new)) for new in news]
        for future in futures:
            future.result()
    return ROUNDS * WAITING / (time.perf_counter() - began)


def _accept(new: NewJob, writes: Writes) -> Accepted:
    return writes.jobs.accept(new)


def claims(url: str) -> float:
    """Take jobs one by one, each in a commit of its own; per second."""
    connection = PostgresConnection(url, read_only=False)
    began = time.perf_counter()
    for _ in range(CLAIMS):
        if connection.execute(CLAIM).fetchone() is None:
            raise RuntimeError("the queue ran empty")
    took = time.perf_counter() - began
    connection.close()
    return CLAIMS / took


def main() -> None:
    """Measure and write one line of JSON."""
    url, name = sys.argv[1], str(time.time_ns())
    with tempfile.TemporaryDirectory() as folder:
        sqlite: Store = SqliteStore(Path(folder))
        on_sqlite = submits(sqlite, name)
        sqlite.close()
    postgres: Store = PostgresStore(url)
    on_postgres = submits(postgres, name)
    postgres.close()
    figures = {"sqlite_submits": on_sqlite, "postgres_submits": on_postgres, "postgres_claims": claims(url)}
    print(json.dumps({key: round(value) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
