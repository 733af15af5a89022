"""The disk refuses a write, a sync or a rename: nothing is acknowledged after that, the daemon ends, and the next
one has all that was acknowledged.

About 10 s.
"""

from __future__ import annotations

import errno
import resource
import sqlite3
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.followed import end_of, flip, until
from tests.store_life import STORY, one_job
from tests.system.kill_soak import rack_file
from tests.system.powercut import Connection, Disk, Operation, Refusal, Rename, Sync, Write, recorded

from qubitd.cli.daemon_process import start_daemon
from qubitd.cli.rack_process import start_emulator
from qubitd.client import ClientError, QubitdClient
from qubitd.core.job import JobStatus
from qubitd.server.errors import StoreBrokenError, StoreError
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.blobs import BlobFolder
from qubitd.server.store.connections import sqlite_engine
from qubitd.server.store.database import Database
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.schema import migrate
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.server.store.writer import Writer
from qubitd.server.telemetry.meters import Meters

JOBS = 2
END_SECONDS = 30.0


@dataclass(slots=True)
class Answers:
    """What the store said to each commit of a life."""

    kept: dict[str, JobStatus] = field(default_factory=dict[str, JobStatus])
    """The last state of each job that was acknowledged."""
    refused: list[BaseException] = field(default_factory=list[BaseException])
    after_refusal: int = 0
    """Commits that were acknowledged although one before them had been refused."""
    told: list[StoreBrokenError] = field(default_factory=list[StoreBrokenError])
    """What the daemon was told to end for."""


def lived(folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Run jobs through the store's own writer on this disk.

    Raises:
        StoreError: it cannot even be opened.
    """
    answers = Answers()

    def prepare(connection: Database) -> JobWrites:
        migrate(cast(sqlite3.Connection, connection), path=folder / DATABASE)
        return JobWrites(connection, BlobFolder(folder / BLOBS), AuditWrites(connection))

    def opened(path: Path) -> sqlite3.Connection:
        return cast(sqlite3.Connection, Connection(path, synchronous="FULL"))

    monkeypatch.setattr("qubitd.server.store.connections.open_writer", opened)
    with recorded(disk):
        writer = Writer(
            engine=sqlite_engine(folder / DATABASE),
            prepare=prepare,
            on_broken=answers.told.append,
            meters=Meters(),
        )

        def commit(job_id: str, state: JobStatus, *commands: Any) -> None:
            futures: list[Future[Any]] = [writer.submit(command) for command in commands]
            errors = [error for future in futures if (error := future.exception()) is not None]
            answers.after_refusal += len(futures) - len(errors) if answers.refused else 0
            answers.refused += errors
            if not errors:
                answers.kept[job_id] = state

        for number in range(JOBS):
            one_job(f"job-{number}", commit, in_file=number == 0)
        writer.close()
    return answers


def found_in(folder: Path) -> dict[str, JobStatus]:
    """What the next daemon finds."""
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    try:
        migrate(connection, path=folder / DATABASE)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT id, status FROM job").fetchall()
        files = [row[0] for row in connection.execute("SELECT digest FROM blob WHERE data IS NULL")]
    finally:
        connection.close()
    assert all((folder / BLOBS / digest).is_file() for digest in files)
    return {job_id: JobStatus(status) for job_id, status in rows}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kind", [Write, Sync, Rename])
def test_nothing_is_acknowledged_after_the_disk_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Operation], number: int
) -> None:
    """Each operation of a life is refused once, from the first that makes the tables to the last."""
    seen = {"opening": 0, "commit": 0, "checkpoint": 0}
    at, step = 0, 7 if kind is Write else 1
    while True:
        folder = tmp_path / str(at)
        folder.mkdir()
        refusal = Refusal(kind, at, number)
        at += step
        try:
            answers = lived(folder, Disk(refusal=refusal), monkeypatch)
        except StoreError:
            seen["opening"] += 1
            found_in(folder)
            continue
        if not refusal.happened:
            break
        # SQLite itself repeats a checkpoint that failed: what it copies stays in the log until it is synced.
        seen["commit" if answers.refused else "checkpoint"] += 1
        assert len(answers.told) == bool(answers.refused)
        assert all(isinstance(error, StoreBrokenError) for error in answers.refused)
        assert answers.after_refusal == 0
        found = found_in(folder)
        for job_id, state in answers.kept.items():
            assert STORY.index(found[job_id]) >= STORY.index(state), (kind, at, job_id)
    assert seen["commit"] > 0
    assert seen["opening"] > 0 or kind is Rename


def test_a_daemon_whose_disk_refuses_acknowledges_nothing_more_and_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with start_emulator(linger=120) as emulator:
        rack = rack_file(tmp_path, emulator.address)
        with start_daemon(data_dir=data, rack=rack) as daemon, QubitdClient(daemon.address, patience=0.0) as client:
            accepted = [client.submit(flip(1000), "line5") for _ in range(3)]
            until(client, accepted[0], JobStatus.DONE)
            accepted.append(client.submit(flip(100_000), "line5"))
            until(client, accepted[-1], JobStatus.RUNNING)
            resource.prlimit(daemon.process_id, resource.RLIMIT_FSIZE, (0, 0))
            with pytest.raises(ClientError):
                client.submit(flip(1), "line5", "too late")
            # 120 is the interpreter that cannot write its last words at the exit either, as under coverage.
            assert daemon.wait(END_SECONDS) in (1, 120)
        with start_daemon(data_dir=data, rack=rack) as daemon, QubitdClient(daemon.address) as client:
            ends = [end_of(client, job_id) for job_id in accepted]
            again = client.submit(flip(1), "line5", "too late")
    assert [job.status for job in ends[:3]] == [JobStatus.DONE] * 3
    assert ends[3].status in (JobStatus.DONE, JobStatus.ERROR)
    assert ends[3].status is JobStatus.DONE or ends[3].message.startswith("interrupted at program 0")
    assert again not in accepted
