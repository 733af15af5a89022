"""A daemon dies at every named point, one after another on the same store; nothing that was accepted is lost.

One emulated rack outlives them all, as real instruments would. About half a minute with SQLite, and with PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.followed import end_of, flip
from tests.system.kill_soak import rack_file

from qubitd.cli.child import ChildError
from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import start_emulator
from qubitd.client import ClientError, QubitdClient, StatusChange
from qubitd.client.client import QubitdClient as Client
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus, MeasLevel
from qubitd.core.snapshot import Parameter
from qubitd.core.sweep import Sweep
from qubitd.server.failpoints import POINTS
from qubitd.server.store.backup import Report, check_store
from qubitd.server.store.copies import Copies
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.wire.sessions import SessionTerms

BEFORE_SERVING = ("recovery.begun", "recovery.done")
WHEN_STOPPED = ("drain.begun", "drain.done")
OF_FILES = ("blob.", "copy.")
"""Points of blobs that are files, and of copies of them: PostgreSQL has none."""
OFTEN = "[upkeep]\nbackup_hours = 0.0001\n"
"""A configuration with which the store is copied three times a second."""
DEATH = 20.0
"""Seconds for a daemon to reach its point."""


def in_a_file() -> JobSpec:
    """A job whose result is too big for a row of the database."""
    return replace(flip(9000), meas_level=MeasLevel.KERNELED)


def too_big_for_a_message() -> JobSpec:
    circuit = CircuitBuilder(name="big", num_qubits=5, num_clbits=1)
    for column in range(100):
        circuit.add("rz", 0, params=(FromColumn(column=column),))
    circuit.measure(0, 0).bind(np.random.default_rng(1).uniform(-3, 3, (5_500, 100)))
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1)


@dataclass
class Accepted:
    """Jobs whose ids were given, by the key under which they were sent."""

    jobs: dict[str, str] = field(default_factory=dict[str, str])
    deleted: set[str] = field(default_factory=set[str])
    """Whether or not the daemon lived long enough to do it."""
    keys: int = 0

    def send(self, client: Client, spec: JobSpec) -> str:
        self.keys += 1
        key = f"key {self.keys}"
        self.jobs[key] = client.submit(spec, "line5", key)
        return self.jobs[key]


def everything(client: Client, accepted: Accepted) -> None:
    """Ask for something of every kind, until the daemon is gone."""
    session = client.sessions.open(SessionTerms(key=f"s{accepted.keys}", backend="line5"))
    client.sessions.close(session.session_id)
    t1 = Parameter(name="q0.t1", value=20e-6 + 1e-9 * accepted.keys, unit="s")
    base = client.backend("line5").revision
    client.commit("line5", base_revision=base, parameters=[t1], message="remeasured")
    done = accepted.send(client, in_a_file())
    end_of(client, done)
    list(client.results(done))
    waiting = accepted.send(client, flip(50_000, circuits=20))
    client.cancel(waiting)
    accepted.deleted.add(done)
    client.delete(done)
    big = accepted.send(client, too_big_for_a_message())
    for event in client.watch(big):
        if isinstance(event.what, StatusChange) and event.what.status is JobStatus.RUNNING:
            client.cancel(big)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the daemons live, one after another."""

    data: Path
    rack: Path
    store: str
    """Address of a PostgreSQL database; empty for SQLite."""

    def start(self, *, copying: bool = False) -> DaemonProcess:
        options = ["--store", self.store] if self.store else []
        if copying:
            config = self.data.with_name("copying.toml")
            config.write_text(OFTEN)
            options += ["--config", str(config)]
        return start_daemon(data_dir=self.data, rack=self.rack, options=options)

    def asked(self, sql: str) -> list[Any]:
        """Ask the database itself."""
        if not self.store:
            with closing(sqlite3.connect(f"{(self.data / DATABASE).as_uri()}?mode=ro", uri=True)) as connection:
                return connection.execute(sql).fetchall()
        import psycopg

        with psycopg.connect(self.store, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    def report(self) -> Report:
        """Look for damage in tables, blobs and log."""
        if not self.store:
            return check_store(self.data)
        from qubitd.server.store.transfer import check_postgres

        return check_postgres(self.store)


def lives_and_dies(point: str, accepted: Accepted, place: Place) -> None:
    try:
        daemon = place.start(copying=point.startswith("copy."))
    except ChildError as error:
        # What the daemon before it left can bring it there, too, while it recovers.
        if "exit code -9" not in str(error):
            raise
        return
    with daemon:
        assert point not in BEFORE_SERVING
        with QubitdClient(daemon.address, patience=0.0) as client, suppress(ClientError):
            everything(client, accepted)
        if point in WHEN_STOPPED:
            daemon.stop()
            return
        assert died(daemon), f"{point} was not reached"


def died(daemon: DaemonProcess) -> bool:
    try:
        return daemon.wait(DEATH) == -9
    except subprocess.TimeoutExpired:
        return False


def check_all(accepted: Accepted, place: Place) -> None:
    """Ask for every job that was accepted."""
    with place.start() as daemon, QubitdClient(daemon.address) as client:
        for job_id in accepted.jobs.values():
            if job_id in accepted.deleted:
                continue
            job = end_of(client, job_id)
            if job.status is JobStatus.ERROR:
                assert job.message.startswith("interrupted at program"), job.message
            if job.status is JobStatus.DONE:
                pieces = list(client.results(job_id))
                assert sum(piece.shots for piece in pieces) == job.shots * job.num_programs
    assert place.report().problems == ()
    assert place.asked("SELECT job FROM attempt GROUP BY job HAVING count(*) > 1") == []
    unrecorded = "SELECT id FROM job WHERE status = 'DONE' AND deleted = 0 AND number NOT IN (SELECT job FROM attempt)"
    assert place.asked(unrecorded) == []
    if place.store:
        without = "SELECT digest FROM blob WHERE digest NOT IN (SELECT digest FROM blob_piece)"
        orphans = "SELECT digest FROM blob_piece WHERE digest NOT IN (SELECT digest FROM blob)"
        assert place.asked(without) == place.asked(orphans) == []
    else:
        rows = {row[0] for row in place.asked("SELECT digest FROM blob WHERE data IS NULL")}
        assert {path.name for path in (place.data / BLOBS).iterdir()} == rows


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_whatever_the_point_of_its_death_nothing_accepted_is_lost(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue("postgres").new_schema() if kind == "postgres" else ""
    points = [point for point in POINTS if not (store and point.startswith(OF_FILES))]
    accepted = Accepted()
    with start_emulator(linger=120) as emulator:
        place = Place(data=tmp_path / "data", rack=rack_file(tmp_path, emulator.address), store=store)
        for point in points:
            # A daemon commits a few times before it serves.
            monkeypatch.setenv("QUBITD_FAILPOINT", f"{point}@8" if point.startswith("commit") else point)
            lives_and_dies(point, accepted, place)
        monkeypatch.delenv("QUBITD_FAILPOINT")
        check_all(accepted, place)
    assert len(accepted.jobs) > len(points) / 2
    if not store:
        copies = Copies(place.data)
        assert [check_store(copies.folder / name).problems for name in copies.names()] == [()]


UNANSWERED = ("job.accepting", "job.validating", "job.queued", "job.starting", "job.accepted")
"""Points that a job comes by once, before it is answered."""
STARTED = ("job.started", "chunk.loading", "chunk.running", "chunk.fetched", "chunk.recording", "job.ending")
"""Those that it comes by then, or meanwhile."""
COMMITS = range(6, 10)
"""Those of a daemon among which are those of its second job."""


def sends_the_same_twice(accepted: Accepted, place: Place) -> int:
    """Give how often the daemon answered before it died."""
    before = len(accepted.jobs)
    with place.start() as daemon, QubitdClient(daemon.address, patience=0.0) as client, suppress(ClientError):
        for _ in range(2):
            key = f"key {accepted.keys}"
            accepted.keys += 1
            accepted.jobs[key] = client.submit(flip(10), "line5", key)
            end_of(client, accepted.jobs[key])
    return len(accepted.jobs) - before


@pytest.mark.timeout(120)
def test_a_job_that_starts_as_it_is_accepted_is_lost_at_no_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = Accepted()
    with start_emulator(linger=120) as emulator:
        place = Place(data=tmp_path / "data", rack=rack_file(tmp_path, emulator.address), store="")
        for point in (*UNANSWERED, *STARTED):
            monkeypatch.setenv("QUBITD_FAILPOINT", f"{point}@2")
            answered = sends_the_same_twice(accepted, place)
            assert answered == 1 or point in STARTED, point
        for point in ("commit.before", "commit.after"):
            for n in COMMITS:
                monkeypatch.setenv("QUBITD_FAILPOINT", f"{point}@{n}")
                sends_the_same_twice(accepted, place)
        monkeypatch.delenv("QUBITD_FAILPOINT")
        check_all(accepted, place)


def test_a_point_that_is_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUBITD_FAILPOINT", "no.such.point")
    with pytest.raises(ChildError):
        start_daemon(data_dir=tmp_path / "data")
