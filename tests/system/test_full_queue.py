"""A daemon that died with a hundred thousand jobs in its queue serves them. `bench/full_queue.py` times its start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.followed import flip, until
from tests.memory_disk import memory_folder

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient
from qubitd.core.job import JobStatus
from qubitd.server.store.sqlite_store import DATABASE

WAITING = 100_000


def multiply(database: Path, job_id: str) -> None:
    """Put copies of a job into the store, as if each had been submitted."""
    with closing(sqlite3.connect(database)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(job)")]
        others = ", ".join(name for name in columns if name not in ("number", "id", "key"))
        last = connection.execute("SELECT max(number) FROM job").fetchone()[0]
        connection.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
            f" INSERT INTO job (id, key, {others}) SELECT 'copy-' || n, 'copy ' || n, {others} FROM job, n"
            " WHERE id = ?",
            (WAITING - 1, job_id),
        )
        connection.execute(
            "INSERT INTO event (job, time_ns, kind, name, text, done, total)"
            " SELECT copy.number, event.time_ns, kind, name, text, done, total FROM event"
            " JOIN job AS one ON one.number = event.job AND one.id = ? JOIN job AS copy ON copy.number > ?",
            (job_id, last),
        )
        connection.commit()


def test_a_daemon_that_died_with_a_hundred_thousand_jobs_serves_them() -> None:
    with memory_folder() as folder:
        with start_daemon(data_dir=folder) as first, QubitdClient(first.address) as client:
            running = client.submit(flip(100_000, circuits=50), "line5")
            until(client, running, JobStatus.RUNNING)
            waiting = client.submit(flip(1), "line5")
            until(client, waiting, JobStatus.QUEUED)
            first.kill()
        multiply(folder / DATABASE, waiting)
        with start_daemon(data_dir=folder) as second, QubitdClient(second.address) as client:
            assert client.get_job(running).message.startswith("interrupted at program 0")
            assert client.lab.health().queued > WAITING - 1_000
            until(client, waiting, JobStatus.DONE)
            second.kill()
