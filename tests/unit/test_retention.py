"""Results go some time after they were read first, then the trace of the job; what was never read stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.store_life import NEW, one_job

from qubitd.core.job import JobStatus
from qubitd.server import membership
from qubitd.server.clocks import Clocks
from qubitd.server.errors import ExpiredJobError, KeyReusedError, StoreCorruptError, UnknownJobError
from qubitd.server.front.uploads import DIRECTORY, LIFETIME, Uploads
from qubitd.server.housekeeping.retention import BATCH, Caretaker, Retention
from qubitd.server.membership import Claim
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.sqlite_store import BLOBS, SqliteStore
from qubitd.server.store.store import Store, Writes
from qubitd.wire.uploads import upload_of

DAY = 86_400 * 10**9


def done(store: Store, job_id: str) -> int:
    """Take a job of ann's through its life, with a result in a file of its own; gives its number."""

    def commit(_job_id: str, _state: JobStatus, *commands: Callable[[JobWrites], object]) -> None:
        for command in commands:
            store.write(partial(_on_jobs, command)).result()

    one_job(job_id, commit, in_file=True)
    return store.jobs.number(owner=NEW.owner, job_id=job_id)


def _on_jobs(command: Callable[[JobWrites], object], writes: Writes) -> object:
    return command(writes.jobs)


def read(store: Store, number: int) -> None:
    store.write(lambda w: w.jobs.mark_read(number, time_ns=DAY)).result()


def caretaker(store: Store, folder: Path, days: float) -> Caretaker:
    clocks = Clocks(wall=lambda: round(days * DAY))
    retention = Retention(results_days=30, tombstones_days=90)
    return Caretaker(store=store, uploads=Uploads(folder / DIRECTORY), clocks=clocks, retention=retention)


async def test_results_go_thirty_days_after_they_were_read_and_the_job_says_so(store: Store, tmp_path: Path) -> None:
    number = done(store, "job-1")
    unread = done(store, "job-2")
    assert store.jobs.is_unread(number)
    read(store, number)
    assert not store.jobs.is_unread(number)
    assert await caretaker(store, tmp_path, 30.9).tidy() == 0
    (result,) = store.jobs.chunks(number)
    assert store.blob(result.digest)
    assert await caretaker(store, tmp_path, 31.1).tidy() == 1
    with pytest.raises(StoreCorruptError):
        store.blob(result.digest)
    with pytest.raises(ExpiredJobError, match="job job-1 ended DONE; its results were kept for a while"):
        store.jobs.get(owner="ann", job_id="job-1")
    with pytest.raises(ExpiredJobError, match="job job-1 ended DONE"):
        store.jobs.client_digest("job-1")
    with pytest.raises(UnknownJobError):
        store.jobs.get(owner="bob", job_id="job-1")
    assert store.jobs.is_unread(unread)


async def test_the_file_of_a_big_result_goes_with_it(sqlite: SqliteStore, tmp_path: Path) -> None:
    read(sqlite, done(sqlite, "job-1"))
    done(sqlite, "job-2")
    files = set((tmp_path / BLOBS).iterdir())
    assert await caretaker(sqlite, tmp_path, 31.1).tidy() == 1
    assert len(files) == 2
    assert len(set((tmp_path / BLOBS).iterdir())) == 1


async def test_id_and_key_stay_taken_for_ninety_days_more(store: Store, tmp_path: Path) -> None:
    number = done(store, "job-1")
    read(store, number)
    await caretaker(store, tmp_path, 40).tidy()
    again = store.write(lambda w: w.jobs.accept(replace(NEW, job_id="other", key="job-1"))).result()
    assert (again.job_id, again.is_new) == ("job-1", False)
    with pytest.raises(KeyReusedError):
        store.write(lambda w: w.jobs.accept(replace(NEW, job_id="other", key="job-1", request_digest="bb"))).result()
    await caretaker(store, tmp_path, 129).tidy()
    assert store.jobs.is_known(owner="ann", key="job-1")
    await caretaker(store, tmp_path, 131).tidy()
    assert not store.jobs.is_known(owner="ann", key="job-1")


async def test_id_and_key_of_a_deleted_job_stay_taken_for_ninety_days(store: Store, tmp_path: Path) -> None:
    done(store, "job-1")
    store.write(lambda w: w.jobs.delete(owner=NEW.owner, job_id="job-1", who="ann", time_ns=DAY)).result()
    for days, is_taken in ((90.9, True), (91.1, False)):
        await caretaker(store, tmp_path, days).tidy()
        assert store.jobs.had(owner=NEW.owner, job_id="job-1") is is_taken
        assert store.jobs.is_known(owner=NEW.owner, key="job-1") is is_taken


async def test_many_jobs_go_in_batches(store: Store, tmp_path: Path) -> None:
    for i in range(BATCH + 3):
        read(store, done(store, f"job-{i}"))
    assert await caretaker(store, tmp_path, 50).tidy() == BATCH + 3
    assert await caretaker(store, tmp_path, 50).tidy() == 0


def test_an_upload_that_nobody_goes_on_with_goes_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    now, upload = 0.0, upload_of(b"half", "u")
    folder = tmp_path / DIRECTORY
    first = Uploads(folder, steady=lambda: now)
    with first.under_way("ann", upload) as growing:
        growing.add([(0, b"ha")])
        now = 2 * LIFETIME
        first.tidy()
    path = first.path("ann", upload)
    os.utime(path, (1.0, 1.0))  # as if the wall clock had been set by years
    now += LIFETIME
    first.tidy()
    assert path.exists()
    second = Uploads(folder, steady=lambda: now)
    for later, is_there in ((0.0, True), (LIFETIME, True), (1.0, False)):
        now += later
        second.tidy()
        assert path.exists() is is_there


def serve(store: Store, backend: str) -> None:
    """Give a sign of life for a backend."""
    store.write(lambda w: w.members.take(Claim(backend=backend, daemon=backend))).result()


async def tidied_by(store: Store, folder: Path, backend: str, days: float) -> int:
    """Let the daemon of a backend of the group tidy."""
    clocks = Clocks(wall=lambda: round(days * DAY))
    uploads = Uploads(folder / DIRECTORY)
    keeper = Caretaker(store=store, uploads=uploads, clocks=clocks, retention=Retention(), backend=backend)
    return await keeper.tidy()


async def test_a_daemon_of_a_group_keeps_to_its_own_rule_for_its_own_backend(store: Store, tmp_path: Path) -> None:
    for backend in ("another", NEW.backend):
        serve(store, backend)
    read(store, done(store, "job-1"))
    assert await tidied_by(store, tmp_path, "another", 40) == 0
    assert await tidied_by(store, tmp_path, NEW.backend, 40) == 1
    await tidied_by(store, tmp_path, "another", 200)
    assert store.jobs.is_known(owner="ann", key="job-1")
    await tidied_by(store, tmp_path, NEW.backend, 200)
    assert not store.jobs.is_known(owner="ann", key="job-1")


@pytest.mark.parametrize("was_served", [True, False], ids=["silent for long", "never seen by the group"])
async def test_what_is_left_of_a_backend_that_nobody_serves_is_tidied_by_any_daemon_of_the_group(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_served: bool
) -> None:
    serve(store, "another")
    if was_served:
        serve(store, NEW.backend)
        monkeypatch.setattr(membership, "FORSAKEN", 0.0)
    number = done(store, "job-1")
    (result,) = store.jobs.chunks(number)
    read(store, number)
    assert await tidied_by(store, tmp_path, "another", 40) == 1
    with pytest.raises(StoreCorruptError):
        store.blob(result.digest)
    await tidied_by(store, tmp_path, "another", 131)
    assert not store.jobs.is_known(owner="ann", key="job-1")
