"""The store against a model that walks at random: submits, repeats, steps, late writes, chunks, removals, crashes in
between. Ten thousand steps, a hundred thousand with --soak; on a disk in memory where there is one, since none of them
is about power.
"""

from __future__ import annotations

import enum
import random
import shutil
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.memory_disk import memory_folder
from tests.store_life import NEW

from qubitd.core.errors import QubitdError
from qubitd.core.job import JobStatus
from qubitd.server.errors import ExpiredJobError, ImpossibleWriteError, KeyReusedError, StaleWriteError, UnknownJobError
from qubitd.server.jobs.lifecycle import TRANSITIONS, Lifecycle, Trigger
from qubitd.server.store.blobs import FILE_THRESHOLD
from qubitd.server.store.frames import split
from qubitd.server.store.rows import Change, JobQuery, NewChunk, NewJob, Span
from qubitd.server.store.sqlite_store import BLOBS, SqliteStore
from qubitd.wire.jobs import StatusChange

BIG = b"x" * (FILE_THRESHOLD + 1)
STEPS = 10_000
ONWARD = (Trigger.START, Trigger.QUEUE, Trigger.FINISH, Trigger.VALIDATE)
OTHER_STEPS = {
    *(
        "submit",
        "submit again",
        "submit other content",
        "record",
        "crash",
        "look closely",
        "delete",
        "expire",
        "forget",
    ),
    *("write late", "leave a final state", "start a second"),
}


class Fate(enum.Enum):
    """Whether a job's content is still there, and if not, what became of it."""

    KEPT = enum.auto()
    DELETED = enum.auto()
    EXPIRED = enum.auto()
    FORGOTTEN = enum.auto()


@dataclass(slots=True, kw_only=True)
class Model:
    """What we believe about a job."""

    new: NewJob
    life: Lifecycle
    statuses: list[JobStatus] = field(default_factory=lambda: [JobStatus.INITIALIZING])
    attempt: int = 0
    interruptions: int = 0
    cancelling: bool = False
    chunks: list[bytes] = field(default_factory=list)
    fate: Fate = Fate.KEPT

    @property
    def is_kept(self) -> bool:
        return self.fate is Fate.KEPT

    @property
    def is_alive(self) -> bool:
        return self.is_kept and not self.life.status.is_final


class StoreMachine(RuleBasedStateMachine):
    """Every acknowledged write is in the model; the store must agree, whatever happened in between."""

    jobs = Bundle("jobs")
    taken: ClassVar[Counter[str]] = Counter()
    """Steps that did something, by name, in all walks."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = memory_folder()
        self.home = self.disk.__enter__()
        self.lives = 0
        self.store = SqliteStore(self.home / "0")
        self.models: dict[str, Model] = {}
        self.done: Counter[str] = Counter()
        self.at_crash = 0

    def teardown(self) -> None:
        self.taken.update(self.done)
        self.store.close()
        self.disk.__exit__(None, None, None)

    @initialize(target=jobs)
    def begin(self) -> object:
        return multiple(*(self.submit(spec) for spec in (b"small", BIG, b"small")))

    @rule(target=jobs, spec=st.sampled_from([b"small", BIG]))
    def submit(self, spec: bytes) -> str:
        job_id = f"job-{len(self.models)}"
        new = replace(NEW, job_id=job_id, owner="local", key=f"key of {job_id}", request_digest="one", spec=spec)
        assert self.store.write(lambda w: w.jobs.accept(new)).result().is_new
        self.models[job_id] = Model(new=new, life=Lifecycle(job_id=job_id))
        self.done["submit"] += 1
        return job_id

    @rule(job_id=jobs)
    def submit_again(self, job_id: str) -> None:
        """A key stays taken for as long as anything is known of its job."""
        model = self.models[job_id]
        accepted = self.store.write(lambda w: w.jobs.accept(model.new)).result()
        assert (accepted.job_id, accepted.is_new) == (job_id, model.fate is Fate.FORGOTTEN)
        if accepted.is_new:
            del self.models[job_id]
            self.models[job_id] = Model(new=model.new, life=Lifecycle(job_id=job_id))
        self.done["submit again"] += 1

    @rule(job_id=jobs)
    def submit_other_content(self, job_id: str) -> None:
        model = self.models[job_id]
        if model.fate is Fate.FORGOTTEN:
            return
        new = replace(model.new, request_digest="two")
        assert isinstance(self.store.write(lambda w: w.jobs.accept(new)).exception(), KeyReusedError)
        self.done["submit other content"] += 1

    @rule(job_id=jobs, pick=st.integers(0, len(Trigger)))
    def step(self, job_id: str, pick: int) -> None:
        model = self.models[job_id]
        legal = self.legal(model)
        if legal:
            self.take(model, legal[pick % len(legal)])

    @rule(job_id=jobs, steps=st.integers(1, 4))
    def go_on(self, job_id: str, steps: int) -> None:
        """Some way towards the end that a job is made for."""
        model = self.models[job_id]
        for _ in range(steps):
            onward = [trigger for trigger in ONWARD if trigger in self.legal(model)]
            if onward:
                self.take(model, onward[0])

    @precondition(lambda self: self.running() is None or self.queued() is None)
    @rule()
    def fill_the_rack(self) -> None:
        """One runs and the rest wait, which seldom comes about by itself."""
        for model in self.models.values():
            for trigger in (Trigger.VALIDATE, Trigger.QUEUE, Trigger.START):
                if trigger in self.legal(model):
                    self.take(model, trigger)

    def legal(self, model: Model) -> list[Trigger]:
        free = self.running() is None
        return [t for t in Trigger if model.life.allows(t) and (free or t is not Trigger.START)]

    @rule(job_id=jobs, data=st.sampled_from([b"few", BIG]))
    def live(self, job_id: str, data: bytes) -> None:
        """All the way to its end, with a result that others may have, too."""
        model = self.models[job_id]
        for _ in range(3):
            if model.life.status is not JobStatus.RUNNING:
                self.go_on(job_id, 1)
        if model.life.status is JobStatus.RUNNING:
            self.record(job_id, data, late=False)
            self.take(model, Trigger.FINISH)

    def take(self, model: Model, trigger: Trigger) -> None:
        job_id = model.life.job_id
        before, version = model.life.status, model.life.version
        change = Change(
            job_id=job_id,
            before=before,
            version=version,
            after=model.life.apply(trigger),
            time_ns=2,
            revision=1,
            is_interruption=trigger is Trigger.RESUME,
        )
        model.interruptions += change.is_interruption
        if trigger is Trigger.START:
            model.attempt += 1
            attempt = model.attempt
            self.store.write(lambda w: w.jobs.start(change, attempt=attempt)).result()
        else:
            self.store.write(lambda w: w.jobs.change(change)).result()
        model.statuses.append(model.life.status)
        self.done[trigger.value] += 1

    @precondition(lambda self: self.running() is not None)
    @rule(trigger=st.sampled_from([Trigger.STOP, Trigger.PUT_BACK, Trigger.RESUME, Trigger.FAIL]), asks=st.booleans())
    def leave_the_rack(self, trigger: Trigger, *, asks: bool) -> None:
        model = self.running()
        assert model is not None
        if asks:
            self.store.write(lambda w: w.jobs.request_cancel(model.life.job_id)).result()
            model.cancelling = True
        self.take(model, trigger)

    @precondition(lambda self: self.running() is not None and self.queued() is not None)
    @rule()
    def start_a_second(self) -> None:
        model = self.queued()
        assert model is not None
        change = self.change_to(model, JobStatus.RUNNING, version=model.life.version)
        refused = self.store.write(lambda w: w.jobs.start(change, attempt=99)).exception()
        assert isinstance(refused, ImpossibleWriteError)
        self.done["start a second"] += 1

    @rule(job_id=jobs, after=st.sampled_from(list(JobStatus)), behind=st.integers(1, 3))
    def write_late(self, job_id: str, after: JobStatus, behind: int) -> None:
        model = self.models[job_id]
        change = self.change_to(model, after, version=model.life.version - behind)
        assert isinstance(self.store.write(lambda w: w.jobs.change(change)).exception(), StaleWriteError)
        self.done["write late"] += 1

    @rule(job_id=jobs)
    def leave_a_final_state(self, job_id: str) -> None:
        model = self.models[job_id]
        if not model.is_kept or model.is_alive:
            return
        change = self.change_to(model, JobStatus.QUEUED, version=model.life.version)
        assert isinstance(self.store.write(lambda w: w.jobs.change(change)).exception(), ImpossibleWriteError)
        self.done["leave a final state"] += 1

    @rule(job_id=jobs, data=st.sampled_from([b"few", BIG]), late=st.booleans())
    def record(self, job_id: str, data: bytes, *, late: bool) -> None:
        model = self.running() if not late else None
        model = model or self.models[job_id]
        job_id = model.life.job_id
        span = Span(first_program=0, programs=1, first_shot=len(model.chunks), shots=1)
        chunk = NewChunk(n=len(model.chunks), span=span, pieces=(data, b"the same for all"), instrument_ns=1)
        attempt = model.attempt
        future = self.store.write(lambda w: w.jobs.record_chunk(job_id, chunk, attempt=attempt, events=()))
        if model.life.status is JobStatus.RUNNING:
            future.result()
            model.chunks.append(data)
        else:
            assert isinstance(future.exception(), StaleWriteError)
        self.done["record"] += 1

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        model = self.models[job_id]
        future = self.store.write(lambda w: w.jobs.delete(owner="local", job_id=job_id, who="ann", time_ns=5))
        if model.is_kept and not model.is_alive:
            self.remove(model, future.result(), Fate.DELETED)
        else:
            assert isinstance(future.exception(), QubitdError)
        self.done["delete"] += 1

    @rule(job_id=jobs)
    def expire(self, job_id: str) -> None:
        """A job that was read long ago loses its content; one that has not ended cannot have been read."""
        model = self.models[job_id]
        if not model.is_kept or model.is_alive:
            return
        number = self.store.jobs.number(owner="local", job_id=job_id)
        self.store.write(lambda w: w.jobs.mark_read(number, time_ns=2)).result()
        assert number in self.store.jobs.read_before(3, limit=1000)
        digests = self.store.write(lambda w: w.jobs.expire([number], time_ns=3)).result()
        self.remove(model, digests, Fate.EXPIRED)
        self.done["expire"] += 1

    @rule()
    def forget(self) -> None:
        expired = [model for model in self.models.values() if model.fate is Fate.EXPIRED]
        assert self.store.write(lambda w: w.jobs.forget(4, limit=1000)).result() == len(expired)
        for model in expired:
            model.fate = Fate.FORGOTTEN
        self.done["forget"] += bool(expired)

    @precondition(lambda self: self.done.total() > self.at_crash + 3)
    @rule()
    def crash(self) -> None:
        """What the disk held when the process died is copied while the writer still has it open."""
        shutil.copytree(self.home / str(self.lives), self.home / str(self.lives + 1))
        self.store.close()
        self.lives += 1
        self.store = SqliteStore(self.home / str(self.lives))
        self.done["crash"] += 1
        self.at_crash = self.done.total()

    @rule(job_id=jobs)
    def look_closely(self, job_id: str) -> None:
        """Everything about one job, as its owner reads it."""
        model = self.models[job_id]
        self.done["look closely"] += 1
        if not model.is_kept:
            with pytest.raises(ExpiredJobError if model.fate is Fate.EXPIRED else UnknownJobError):
                self.store.jobs.get(owner="local", job_id=job_id)
            return
        number = self.store.jobs.number(owner="local", job_id=job_id)
        events = self.store.jobs.events(number, after=0)
        sequences = [event.sequence for event in events]
        assert sequences == sorted(set(sequences))
        assert [e.what.status for e in events if isinstance(e.what, StatusChange)] == model.statuses
        pieces = [list(split(self.store.blob(row.digest))) for row in self.store.jobs.chunks(number)]
        assert pieces == [[data, b"the same for all"] for data in model.chunks]
        assert self.store.blob(self.store.jobs.spec_digest(job_id)) == model.new.spec

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        page = self.store.jobs.page(JobQuery(owner="local", limit=1000)).jobs
        there = {job.job_id: job.status for job in page}
        assert there == {job_id: model.life.status for job_id, model in self.models.items() if model.is_kept}
        found = list(self.store.jobs.alive())
        for job in found:
            assert self.store.jobs.interruptions(job.number) == self.models[job.job_id].interruptions
        alive = [(job.job_id, job.version, job.attempt, job.cancelling) for job in found]
        assert alive == [
            (job_id, model.life.version, model.attempt, model.cancelling)
            for job_id, model in self.models.items()
            if model.is_alive
        ]

    @invariant()
    def every_result_is_there(self) -> None:
        for job_id, model in self.models.items():
            if model.is_kept and model.chunks:
                for row in self.store.jobs.chunks(self.store.jobs.number(owner="local", job_id=job_id)):
                    deque(self.store.pieces(row.digest), maxlen=0)

    @invariant()
    def no_file_is_without_a_job(self) -> None:
        kept = [model for model in self.models.values() if model.is_kept]
        has_big = any(model.new.spec == BIG or BIG in model.chunks for model in kept)
        assert has_big or not list((self.home / str(self.lives) / BLOBS).iterdir())

    def remove(self, model: Model, digests: list[str], fate: Fate) -> None:
        self.store.write(lambda w: w.jobs.remove_files(digests)).result()
        model.fate = fate

    def running(self) -> Model | None:
        return self.first(JobStatus.RUNNING)

    def queued(self) -> Model | None:
        return self.first(JobStatus.QUEUED)

    def first(self, status: JobStatus) -> Model | None:
        return next((model for model in self.models.values() if model.life.status is status), None)

    def change_to(self, model: Model, after: JobStatus, *, version: int) -> Change:
        return Change(job_id=model.life.job_id, before=model.life.status, version=version, after=after, time_ns=2)


def test_the_model_covers_every_transition() -> None:
    assert {trigger for _, trigger in TRANSITIONS} == set(Trigger)


@pytest.mark.timeout(600)
def test_the_store_agrees_with_the_model_for_ten_thousand_steps(soak: bool) -> None:
    StoreMachine.taken.clear()
    steps = STEPS * (10 if soak else 1)
    every = {trigger.value for trigger in Trigger} | OTHER_STEPS
    walks = settings(max_examples=STEPS // 100, stateful_step_count=60, database=None)
    while StoreMachine.taken.total() < steps or (every - set(+StoreMachine.taken) and not is_enough(steps)):
        # Each round begins anew, since Hypothesis keeps in memory where it has been; with a seed of its own, or the
        # rounds of a run whose seed is given would be the same.
        run_state_machine_as_test(seed(random.getrandbits(64))(StoreMachine), settings=walks)
    assert set(+StoreMachine.taken) == every


def is_enough(steps: int) -> bool:
    """Whether a step that was not taken never will be: some rounds leave out one that is rare."""
    return StoreMachine.taken.total() >= 5 * steps
