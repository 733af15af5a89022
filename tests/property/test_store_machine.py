"""The store against a model that walks at random: submits, repeats, steps, late writes, chunks, crashes in between."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from qubitd.core.errors import QubitdError
from qubitd.core.job import JobStatus
from qubitd.server.errors import KeyReusedError, StaleWriteError, UnknownJobError
from qubitd.server.lifecycle import TRANSITIONS, Lifecycle, Trigger
from qubitd.server.store.blobs import FILE_THRESHOLD
from qubitd.server.store.frames import split
from qubitd.server.store.rows import Change, JobQuery, NewChunk, NewJob, Span
from qubitd.server.store.sqlite_store import BLOBS, SqliteStore
from qubitd.wire.jobs import StatusChange

BIG = b"x" * (FILE_THRESHOLD + 1)


@dataclass(slots=True, kw_only=True)
class Model:
    """What we believe about a job."""

    new: NewJob
    life: Lifecycle
    statuses: list[JobStatus] = field(default_factory=lambda: [JobStatus.INITIALIZING])
    attempt: int = 0
    chunks: list[bytes] = field(default_factory=list)


class StoreMachine(RuleBasedStateMachine):
    """Every acknowledged write is in the model; the store must agree, whatever happened in between."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.lives = 0
        self.store = SqliteStore(self.home / "0")
        self.models: dict[str, Model] = {}
        self.deleted: set[str] = set()

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.home)

    @rule(target=jobs, spec=st.sampled_from([b"small", BIG]))
    def submit(self, spec: bytes) -> str:
        job_id = f"job-{len(self.models)}"
        new = NewJob(
            job_id=job_id,
            owner="local",
            key=f"key of {job_id}",
            backend="line5",
            request_digest="one",
            spec=spec,
            shots=10,
            circuits=1,
            programs=1,
            tags=("tag",),
            created_ns=1,
        )
        assert self.store.write(lambda w: w.jobs.accept(new)).result().is_new
        self.models[job_id] = Model(new=new, life=Lifecycle(job_id=job_id))
        return job_id

    @rule(job_id=jobs)
    def submit_again(self, job_id: str) -> None:
        new = self.models[job_id].new
        accepted = self.store.write(lambda w: w.jobs.accept(new)).result()
        assert (accepted.job_id, accepted.is_new) == (job_id, False)

    @rule(job_id=jobs)
    def submit_other_content(self, job_id: str) -> None:
        old = self.models[job_id].new
        new = replace(old, request_digest="two")
        assert isinstance(self.store.write(lambda w: w.jobs.accept(new)).exception(), KeyReusedError)

    @rule(job_id=jobs, trigger=st.sampled_from(list(Trigger)))
    def step(self, job_id: str, trigger: Trigger) -> None:
        model = self.models[job_id]
        if not model.life.allows(trigger) or (trigger is Trigger.START and self.somebody_runs()):
            return
        before, version = model.life.status, model.life.version
        change = Change(
            job_id=job_id, before=before, version=version, after=model.life.apply(trigger), time_ns=2, revision=1
        )
        if trigger is Trigger.START:
            model.attempt += 1
            attempt = model.attempt
            self.store.write(lambda w: w.jobs.start(change, attempt=attempt)).result()
        else:
            self.store.write(lambda w: w.jobs.change(change)).result()
        model.statuses.append(model.life.status)

    @rule(job_id=jobs)
    def start_a_second(self, job_id: str) -> None:
        model = self.models[job_id]
        if model.life.status is not JobStatus.QUEUED or not self.somebody_runs():
            return
        change = self.change_to(model, JobStatus.RUNNING, version=model.life.version)
        refused = self.store.write(lambda w: w.jobs.start(change, attempt=99)).exception()
        assert isinstance(refused, sqlite3.IntegrityError)

    @rule(job_id=jobs, after=st.sampled_from(list(JobStatus)), behind=st.integers(1, 3))
    def write_late(self, job_id: str, after: JobStatus, behind: int) -> None:
        model = self.models[job_id]
        change = self.change_to(model, after, version=model.life.version - behind)
        assert isinstance(self.store.write(lambda w: w.jobs.change(change)).exception(), StaleWriteError)

    @rule(job_id=jobs)
    def leave_a_final_state(self, job_id: str) -> None:
        model = self.models[job_id]
        if not model.life.status.is_final or job_id in self.deleted:
            return
        change = self.change_to(model, JobStatus.QUEUED, version=model.life.version)
        assert isinstance(self.store.write(lambda w: w.jobs.change(change)).exception(), sqlite3.IntegrityError)

    @rule(job_id=jobs, data=st.sampled_from([b"few", BIG]))
    def record(self, job_id: str, data: bytes) -> None:
        model = self.models[job_id]
        span = Span(first_program=0, programs=1, first_shot=len(model.chunks), shots=1)
        chunk = NewChunk(n=len(model.chunks), span=span, pieces=(data, job_id.encode()), instrument_ns=1)
        attempt = model.attempt
        future = self.store.write(lambda w: w.jobs.record_chunk(job_id, chunk, attempt=attempt, events=()))
        if model.life.status is JobStatus.RUNNING:
            future.result()
            model.chunks.append(data)
        else:
            assert isinstance(future.exception(), StaleWriteError)

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        future = self.store.write(lambda w: w.jobs.delete(owner="local", job_id=job_id))
        if job_id in self.deleted or not self.models[job_id].life.status.is_final:
            assert isinstance(future.exception(), QubitdError)
            return
        digests = future.result()
        self.store.write(lambda w: w.jobs.remove_files(digests)).result()
        self.deleted.add(job_id)

    @rule()
    def crash(self) -> None:
        """What the disk held when the process died is copied while the writer still has it open."""
        shutil.copytree(self.home / str(self.lives), self.home / str(self.lives + 1))
        self.store.close()
        self.lives += 1
        self.store = SqliteStore(self.home / str(self.lives))

    @rule(job_id=consumes(jobs))
    def look_closely(self, job_id: str) -> None:
        """Everything about one job, as its owner reads it."""
        model = self.models[job_id]
        if job_id in self.deleted:
            try:
                self.store.jobs.get(owner="local", job_id=job_id)
            except UnknownJobError:
                return
            raise AssertionError(f"{job_id} was deleted and is still there")
        number = self.store.jobs.number(owner="local", job_id=job_id)
        events = self.store.jobs.events(number, after=0)
        sequences = [event.sequence for event in events]
        assert sequences == sorted(set(sequences))
        assert [e.what.status for e in events if isinstance(e.what, StatusChange)] == model.statuses
        pieces = [list(split(self.store.blob(row.digest))) for row in self.store.jobs.chunks(number)]
        assert pieces == [[data, job_id.encode()] for data in model.chunks]
        assert self.store.blob(self.store.jobs.spec_digest(job_id)) == model.new.spec

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        page = self.store.jobs.page(JobQuery(owner="local", limit=1000)).jobs
        there = {row.job.job_id: row.job.status for row in page}
        assert there == {j: m.life.status for j, m in self.models.items() if j not in self.deleted}
        alive = [job.job_id for job in self.store.jobs.alive()]
        assert alive == [j for j, m in self.models.items() if not m.life.status.is_final]

    @invariant()
    def no_file_is_without_a_job(self) -> None:
        has_big = any(
            model.new.spec == BIG or BIG in model.chunks for j, model in self.models.items() if j not in self.deleted
        )
        assert has_big or not list((self.home / str(self.lives) / BLOBS).iterdir())

    def somebody_runs(self) -> bool:
        return any(model.life.status is JobStatus.RUNNING for model in self.models.values())

    def change_to(self, model: Model, after: JobStatus, *, version: int) -> Change:
        return Change(job_id=model.life.job_id, before=model.life.status, version=version, after=after, time_ns=2)


def test_the_model_covers_every_transition() -> None:
    assert {trigger for _, trigger in TRANSITIONS} == set(Trigger)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
