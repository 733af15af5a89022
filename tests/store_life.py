"""The life of a job as the store sees it, for tests that break what is under the store.

A test hands in how its store commits; so another store than SQLite can be broken by the same tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qubitd.core.job import JobStatus
from qubitd.server.store.blobs import FILE_THRESHOLD
from qubitd.server.store.rows import Change, NewChunk, NewJob, Span

STORY = (JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE)
NEW = NewJob(
    job_id="",
    owner="ann",
    key="",
    backend="line5",
    request_digest="aa",
    spec=b"",
    shots=1,
    circuits=1,
    programs=1,
    tags=("t",),
    created_ns=1,
)


def one_job(job_id: str, commit: Callable[..., None], *, in_file: bool) -> None:
    """Take a job from its acceptance to its end, one commit for each state; `commit` is given job, state, commands."""
    new = replace(NEW, job_id=job_id, key=job_id, spec=job_id.encode() * 50)
    commit(job_id, STORY[0], lambda jobs: jobs.accept(new))
    for version in range(4):
        step = Change(
            job_id=job_id, before=STORY[version], version=version, after=STORY[version + 1], time_ns=2, message=""
        )
        if step.after is JobStatus.RUNNING:
            commit(job_id, step.after, lambda jobs, step=step: jobs.start(step, attempt=1))
        elif step.after is JobStatus.DONE:
            result = job_id.encode() * (FILE_THRESHOLD // 4 if in_file else 20)
            span = Span(first_program=0, programs=1, first_shot=0, shots=1)
            chunk = NewChunk(n=0, span=span, pieces=(result,), instrument_ns=1)
            commit(
                job_id,
                step.after,
                lambda jobs, chunk=chunk: jobs.record_chunk(job_id, chunk, attempt=1, events=()),
                lambda jobs, step=step: jobs.change(step),
            )
        else:
            commit(job_id, step.after, lambda jobs, step=step: jobs.change(step))
