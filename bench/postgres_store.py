"""Durable submits per second: the store on SQLite beside the store on a PostgreSQL, in one run.

    python bench/postgres_store.py "host=/run/postgresql dbname=bench"

A submit is a future that came back durable, 64 waiting at once.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from qubitd.server.store.postgres_store import PostgresStore
from qubitd.server.store.rows import Accepted, NewJob
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store, Writes

WAITING = 64
ROUNDS = 20
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
    figures = {"sqlite_submits": on_sqlite, "postgres_submits": on_postgres}
    print(json.dumps({key: round(value) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
