"""What a calibration needs of a daemon; `qubitd.client.QubitdClient` gives it over gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from qubitd.client import Job, JobEvent, Revision
from qubitd.core.job import JobSpec, JobStatus, ProgramResult
from qubitd.core.snapshot import Parameter, Snapshot


class Daemon(Protocol):
    """Jobs and calibration snapshots."""

    def submit(self, spec: JobSpec, backend: str) -> str:
        """Hand a job over and give its id."""
        ...

    def watch(self, job_id: str) -> AbstractContextManager[Iterator[JobEvent]]:
        """Give the events of a job until it has ended."""
        ...

    def cancel(self, job_id: str) -> JobStatus:
        """Ask for a job to end."""
        ...

    def get_job(self, job_id: str) -> Job:
        """Describe a job."""
        ...

    def results(self, job_id: str) -> Iterable[ProgramResult]:
        """Give the pieces of a job's result."""
        ...

    def snapshot(self, backend: str, revision: int = 0) -> Snapshot:
        """Give all parameters at a revision, 0 for the one in force."""
        ...

    def commit(self, backend: str, *, base_revision: int, parameters: Sequence[Parameter], message: str) -> Revision:
        """Make a new revision; refused if others changed one of the parameters since the base."""
        ...
