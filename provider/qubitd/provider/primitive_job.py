"""The jobs behind one call of a primitive: their ids, states and cancelling stay with the user, not behind a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus

from qubitd.provider.deadline import Deadline
from qubitd.provider.errors import JobUnfinishedError
from qubitd.provider.job import QubitdJob
from qubitd.provider.runner import Runner


class QubitdPrimitiveJob(BasePrimitiveJob[PrimitiveResult[Any], JobStatus]):
    """One call of a sampler or estimator. It is made with its first jobs sent, so that what cannot run was refused."""

    def __init__(self, runner: Runner, work: Callable[[], PrimitiveResult[Any]]) -> None:
        jobs = runner.jobs
        super().__init__(jobs[0].job_id() if jobs else "")
        self._runner = runner
        self._work = work
        self._result: PrimitiveResult[Any] | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._finish, name=f"qubitd-primitive-{self.job_id()}", daemon=True)
        self._thread.start()

    @property
    def jobs(self) -> tuple[QubitdJob, ...]:
        """The backend's jobs so far; an estimator may add some until its precision is reached."""
        return self._runner.jobs

    def result(self, timeout: float | None = None) -> PrimitiveResult[Any]:
        """Wait for the end and give the result.

        Args:
            timeout: seconds; None waits for as long as it takes, 0 does not wait.

        Raises:
            JobUnfinishedError: the time is up; it is also a TimeoutError.
            JobFailedError: one of the jobs failed or was cancelled.
        """
        self._thread.join(Deadline(timeout).left())
        if self._failure is not None:
            raise self._failure
        if self._result is None:
            raise JobUnfinishedError(f"job {self.job_id()} has not ended within {timeout} s; it goes on, ask again")
        return self._result

    def status(self) -> JobStatus:
        """Give the state of all jobs together: the worst that ended one, else the earliest."""
        statuses = {job.status() for job in self.jobs}
        for status in (JobStatus.ERROR, JobStatus.CANCELLED):
            if status in statuses:
                return status
        if not self._thread.is_alive():
            return JobStatus.DONE if self._failure is None else JobStatus.ERROR
        waiting = (JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED)
        return next((status for status in waiting if statuses == {status}), JobStatus.RUNNING)

    def done(self) -> bool:
        """Say whether the result is there."""
        return self.status() is JobStatus.DONE

    def running(self) -> bool:
        """Say whether a job runs, or others are to follow."""
        return self.status() is JobStatus.RUNNING

    def cancelled(self) -> bool:
        """Say whether a job was cancelled."""
        return self.status() is JobStatus.CANCELLED

    def in_final_state(self) -> bool:
        """Say whether nothing more will happen."""
        return self.status() in (JobStatus.DONE, JobStatus.CANCELLED, JobStatus.ERROR)

    def cancel(self) -> None:
        """Give up all jobs that have not ended. A second time changes nothing."""
        self._runner.cancel()

    def _finish(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  # raised again where the result is asked for
            self._failure = error
