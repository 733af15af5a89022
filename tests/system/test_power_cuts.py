"""The power goes at random moments of a store's life: what was acknowledged is there, whole, and so are its files.

About 7 s.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest
from tests.store_life import STORY, one_job
from tests.system.powercut import Connection, Disk, recorded

from qubitd.core.job import JobStatus
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.blobs import BlobFolder
from qubitd.server.store.connections import sqlite_engine, truncate_wal
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.schema import MIGRATIONS, migrate
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.server.store.writer import _Command, _commit

CUTS, MANY_CUTS = 600, 4000
JOBS = 12


def lived(folder: Path, disk: Disk, *, synchronous: str) -> list[tuple[int, str, str]]:
    """Run jobs through a store on the recorded disk. Gives what was acknowledged: after which operation, job, state."""
    acknowledged: list[tuple[int, str, str]] = []
    with recorded(disk):
        connection = cast(sqlite3.Connection, Connection(folder / DATABASE, synchronous=synchronous))
        migrate(connection, path=folder / DATABASE)
        engine = sqlite_engine(folder / DATABASE)
        jobs = JobWrites(connection, BlobFolder(folder / BLOBS), AuditWrites(connection))

        def commit(job_id: str, state: JobStatus, *commands: Any) -> None:
            batch = [_Command(run=command, future=Future()) for command in commands]
            for done in _commit(engine, connection, jobs, batch):
                done.future.set_result(done.result)
            for command in batch:
                command.future.result()
            acknowledged.append((len(disk.log), job_id, state.value))

        for number in range(JOBS):
            one_job(f"job-{number}", commit, in_file=number % 3 == 0)
            if number % 4 == 3:
                assert truncate_wal(connection)
        connection.close()
    return acknowledged


def lost_after(
    disk: Disk, acknowledged: list[tuple[int, str, str]], source: Path, folder: Path, rng: random.Random
) -> list[str]:
    """Cut the power at a random moment, and say what is missing of what was acknowledged before."""
    moment = rng.randrange(len(disk.log) + 1)
    folder.mkdir()
    (folder / BLOBS).mkdir()
    for path, content in disk.left_after(moment, rng).items():
        if path != str(source / BLOBS):
            (folder / Path(path).relative_to(source)).write_bytes(content)
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        migrate(connection, path=folder / DATABASE)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        found = dict(connection.execute("SELECT id, status FROM job").fetchall())
        files = [row[0] for row in connection.execute("SELECT digest FROM blob WHERE data IS NULL")]
    finally:
        connection.close()
    for digest in files:
        assert hashlib.sha256((folder / BLOBS / digest).read_bytes()).hexdigest() == digest
    promised: dict[str, str] = {job_id: state for when, job_id, state in acknowledged if when <= moment}
    order = [state.value for state in STORY]
    return [
        f"{job_id}: {found.get(job_id)} after {state}"
        for job_id, state in promised.items()
        if job_id not in found or order.index(found[job_id]) < order.index(state)
    ]


def losses(tmp_path: Path, *, synchronous: str, cuts: int) -> list[str]:
    disk, source = Disk(), tmp_path / "store"
    source.mkdir()
    acknowledged = lived(source, disk, synchronous=synchronous)
    rng = random.Random(20)
    return [
        loss
        for number in range(cuts)
        for loss in lost_after(disk, acknowledged, source, tmp_path / f"cut{number}", rng)
    ]


@pytest.mark.timeout(600)
def test_no_power_cut_loses_what_was_acknowledged(tmp_path: Path, soak: bool) -> None:
    assert losses(tmp_path, synchronous="FULL", cuts=MANY_CUTS if soak else CUTS) == []


def test_the_test_would_see_a_loss_if_commits_were_not_synced(tmp_path: Path) -> None:
    assert losses(tmp_path, synchronous="NORMAL", cuts=40) != []
