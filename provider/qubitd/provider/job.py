"""A job as Qiskit users know it. Nothing is polled: the daemon pushes every change of state."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from qiskit.providers import JobStatus, JobV1
from qiskit.result import Result

from qubitd.client import BusyError, ExecutionSpan, Job, LostError, Progress, QubitdClient, StageTime
from qubitd.core import job as core
from qubitd.core.errors import Problem, QubitdError, problem_lines
from qubitd.core.snapshot import Snapshot
from qubitd.provider.connected import Connected
from qubitd.provider.deadline import Deadline
from qubitd.provider.errors import JobFailedError, JobUnfinishedError, ProviderError
from qubitd.provider.follower import Follower
from qubitd.provider.headers import JobHeader, read_header
from qubitd.provider.job_table import as_html
from qubitd.provider.of_qiskit import raises_qiskit_errors
from qubitd.provider.partial import PartialResult, PartialResults
from qubitd.provider.results import Ended, build_result, packed_rows
from qubitd.provider.story import StatusTime
from qubitd.provider.sweep import SweepResult, labelled

log = logging.getLogger(__name__)

StatusCallback = Callable[[str, JobStatus, "QubitdJob"], object]
"""Takes the job's id, its state and the job, as Qiskit's own callbacks do."""
_NO_HURRY = Deadline(None)


@raises_qiskit_errors
class QubitdJob(JobV1, Connected):
    """A job that a daemon has taken. It survives this object, this process, and a crash of the daemon."""

    def __init__(
        self,
        backend: Any,
        job_id: str,
        client: QubitdClient,
        header: JobHeader | None = None,
        *,
        known: Job | None = None,
    ) -> None:
        super().__init__(backend, job_id)
        self._backend_name: str = known.backend if known is not None else backend.name
        self._client = client
        self._header = header
        self._result: Result | None = None
        self._result_lock = threading.Lock()
        self._follower = Follower(client, job_id)
        if known is not None:
            self._follower.learn(known)
        weakref.finalize(self, self._follower.stop)

    def __repr__(self) -> str:
        now = self._follower.now
        status = "" if now is None else f", status={now.status.value}"
        return f"<QubitdJob({self.job_id()!r}, backend={self._backend_name!r}{status})>"

    def backend(self) -> Any:
        """Give the backend that the job was sent to.

        Raises:
            ProviderError: the daemon no longer offers it.
        """
        if self._backend is None:
            raise ProviderError(f"job {self.job_id()} ran on {self._backend_name!r}, which the daemon no longer offers")
        return self._backend

    def _repr_html_(self) -> str:
        """Give the job as a notebook shows it."""
        story = self._follower.story
        return as_html(self.job_id(), self._backend_name, story.now, story.statuses, story.progress)

    def submit(self) -> None:
        """Refuse: `backend.run` has submitted the job.

        Raises:
            JobFailedError: always.
        """
        raise JobFailedError(f"job {self.job_id()} was already submitted, when it was made", job_id=self.job_id())

    def status(self) -> JobStatus:
        """Give the state, from the stream that the daemon pushes; only the first question is one to the daemon."""
        now = self._follower.now
        if now is None or not (now.status.is_final or self._follower.is_following):
            self._follower.learn(self._client.get_job(self.job_id()))
            now = self._follower.now
        if now is None or not now.status.is_final:
            self._follower.start()
        return JobStatus.INITIALIZING if now is None else _qiskit_status(now)

    def statuses(self, timeout: float | None = None) -> Iterator[JobStatus]:
        """Give every change of state once and in order, from the first to the final one, as they come.

        Raises:
            JobUnfinishedError: the time is up.
            JobFailedError: the job cannot be followed any further.
        """
        return map(_qiskit_status, self._changes(Deadline(timeout)))

    def on_status(self, callback: StatusCallback) -> None:
        """Call back, in a thread of its own, for every change of state once and in order, past ones included.

        What a call raises is logged, and the next change is told all the same.

        Raises:
            ProviderError: the callback cannot be called.
        """
        if not callable(callback):
            raise ProviderError(f"callback is {callback!r}; give a function of the job's id, its state and the job")

        def tell() -> None:
            for status in self._statuses_until_lost():
                try:
                    callback(self.job_id(), status, self)
                except Exception:
                    log.exception("a callback failed", extra={"job": self.job_id(), "status": status.name})

        threading.Thread(target=tell, name=f"qubitd-callback-{self.job_id()}", daemon=True).start()

    def wait_for_final_state(
        self, timeout: float | None = None, wait: float = 5, callback: StatusCallback | None = None
    ) -> None:
        """Wait until the job has ended.

        Args:
            timeout: seconds; None waits for as long as it takes, 0 does not wait.
            wait: unused, since nothing is polled.
            callback: called for every change of state once and in order.

        Raises:
            JobUnfinishedError: the time is up.
            JobFailedError: the job cannot be followed any further.
        """
        del wait
        if callback is None:
            self._await_end(Deadline(timeout))
            return
        for status in self.statuses(timeout):
            callback(self.job_id(), status, self)

    def result(self, timeout: float | None = None, wait: float = 5) -> Result:
        """Wait for the end and give the result.

        Args:
            timeout: seconds; None waits for as long as it takes, 0 does not wait.
            wait: unused, since nothing is polled.

        Raises:
            JobUnfinishedError: the time is up; it is also a TimeoutError.
            JobFailedError: the job failed or was cancelled, with the daemon's own text; it is also Qiskit's JobError.
        """
        del wait
        deadline = Deadline(timeout)
        self._await_end(deadline)
        with self._result_lock:
            if self._result is None:
                self._result = self._fetch(deadline)
            return self._result

    def packed_bits(self, timeout: float | None = None) -> list[NDArray[np.uint8]]:
        """Wait for the end and give each circuit's outcomes as a BitArray packs them: (shots, bytes), bit 0 last.

        What becomes durable earlier is read while the rest still runs.

        Raises:
            JobUnfinishedError: the time is up.
            JobFailedError: the job failed or was cancelled, or has IQ points and no bits.
        """
        deadline = Deadline(timeout)
        early = self._early_pieces(deadline)
        with self._job_errors("has a result that cannot be read", deadline):
            job, pieces = self._outcome(deadline, early)
            return packed_rows(job, self._headers(deadline), pieces)

    def sweep(self) -> SweepResult:
        """Give what has come so far of a sweep, as an array with labelled axes; it grows while the job runs.

        Raises:
            JobFailedError: the job is no sweep, or its result cannot be read.
        """
        with self._job_errors("has a result that cannot be read"):
            header = self._headers()
            if not header.axes:
                raise JobFailedError(f"job {self.job_id()} is no sweep", job_id=self.job_id())
            slots = int(header.circuits[0].fields["memory_slots"])
            return labelled(header.axes, slots, self._client.results(self.job_id()))

    def stream(self, timeout: float | None = None) -> Iterator[PartialResult]:
        """Give the parts of the result as they become durable, each once, until the job has ended.

        Args:
            timeout: seconds for all of it; None for as long as it takes.

        Raises:
            JobUnfinishedError: the time is up.
            JobFailedError: the job failed or was cancelled; what it gave before was given.
        """
        deadline = Deadline(timeout)
        with self._job_errors("has a result that cannot be read", deadline):
            parts = PartialResults(self._client, self.job_id(), self._headers(deadline))
        done, is_over = 0, False
        while not is_over:
            is_over, progress = self._news(done, deadline)
            with self._job_errors("has a result that cannot be read", deadline):
                yield from parts.new(progress, self._patience(deadline))
            done = progress.done if progress is not None else done
        if self.status() is not JobStatus.DONE:
            raise self._failure(self._client.get_job(self.job_id()))

    def show_progress(self, timeout: float | None = None) -> Self:
        """Wait for the end behind a bar that shows state and shots, on a terminal or in a notebook; give the job.

        Raises:
            JobUnfinishedError: the time is up.
            JobFailedError: the job cannot be followed any further.
        """
        from qubitd.provider.progress_line import ProgressLine

        deadline = Deadline(timeout)
        is_over, done = False, -1
        with ProgressLine(self.job_id()) as line:
            for status in self.statuses(timeout):
                line.show(status.name, self.progress)
                while status is JobStatus.RUNNING and not is_over:
                    is_over, progress = self._news(done, deadline)
                    done = progress.done if progress is not None else done
                    line.show(status.name, progress)
        return self

    def cancel(self, *, force: bool = False) -> bool:
        """Ask for the job to end; give whether it is or will be CANCELLED. A second time changes nothing.

        Args:
            force: whether a running chunk is broken off at once; else it has most of a second to end in.
        """
        status = self._client.cancel(self.job_id(), force=force)
        return status not in (core.JobStatus.DONE, core.JobStatus.ERROR)

    def error_message(self) -> str | None:
        """Say why the job ended without a result; None where it has one or has not ended."""
        if self.status() not in (JobStatus.ERROR, JobStatus.CANCELLED):
            return None
        return self._told(self._client.get_job(self.job_id()))[0]

    @property
    def timeline(self) -> tuple[StageTime, ...]:
        """What the job passed through so far, with times."""
        return self._client.get_job(self.job_id()).timeline

    @property
    def progress(self) -> Progress | None:
        """How far the running job has come, as last pushed; None before anything was."""
        return self._follower.story.progress

    @property
    def queue_position(self) -> int | None:
        """How many jobs are expected to start before this one; None unless it is queued."""
        place = self._client.get_job(self.job_id()).queue
        return None if place is None else place.position

    @property
    def forecast(self) -> datetime | None:
        """When it is expected to start, UTC; None unless it is queued, or where that cannot be told."""
        place = self._client.get_job(self.job_id()).queue
        if place is None or not place.expected_start_ns:
            return None
        return datetime.fromtimestamp(place.expected_start_ns * 1e-9, tz=UTC)

    def usage(self) -> float:
        """Give the instrument time that the job has used so far, seconds."""
        return self._client.get_job(self.job_id()).instrument_seconds

    def properties(self) -> Snapshot | None:
        """Give the calibration that the job runs or ran under; None before it starts."""
        revision = self._client.get_job(self.job_id()).revision
        return self._client.snapshot(self._backend_name, revision) if revision else None

    def logs(self, timeout: float | None = None) -> tuple[str, ...]:
        """Wait for the end and give the daemon's lines for the job's owner, such as a rounded delay.

        Args:
            timeout: seconds; None waits for as long as it takes, 0 does not wait.

        Raises:
            JobUnfinishedError: the time is up.
            JobFailedError: the job cannot be followed any further.
        """
        deadline = Deadline(timeout)
        self._await_end(deadline)
        lines = self._follower.story.log
        with self._job_errors("has lines that cannot be read", deadline):
            return tuple(map(self._headers(deadline).told_line, lines)) if lines else ()

    @property
    def execution_spans(self) -> tuple[ExecutionSpan, ...]:
        """Which shots of which circuits were played when, as far as they are durable and were pushed."""
        return tuple(self._follower.story.spans)

    def metrics(self) -> dict[str, Any]:
        """Give times as clients of Qiskit ask for them: `timestamps` with `created`, `running` and `finished`.

        `spent` says where the time went, in seconds by activity, of which `compile` and `assemble` may come before the
        job started; `idle` is what the controller lost between chunks.
        """
        if self.in_final_state():
            self.wait_for_final_state()
        story = self._follower.story
        job = self._client.get_job(self.job_id())
        times = {
            "created": job.created_ns,
            "running": story.time_of(core.JobStatus.RUNNING),
            "finished": None if story.ended is None else story.ended.time_ns,
        }
        return {
            "timestamps": {name: None if ns is None else _iso(ns) for name, ns in times.items()},
            "usage": {"seconds": job.instrument_seconds},
            "spent": {spent.activity: spent.seconds for spent in job.spent},
        }

    def _statuses_until_lost(self) -> Iterator[JobStatus]:
        """For a thread that nobody waits for: whoever waits for the result is told why it cannot be had."""
        try:
            yield from self.statuses()
        except JobFailedError as error:
            log.info("job is no longer followed", extra={"job": self.job_id(), "reason": error.message})

    def _news(self, done: int, deadline: Deadline) -> tuple[bool, Progress | None]:
        """Wait for more durable shots; give whether the job has ended, and its progress."""
        with self._job_errors("cannot be followed", deadline):
            in_time = self._follower.progress(done, deadline.left())
        if not in_time:
            raise self._unfinished(deadline)
        story = self._follower.story
        return story.ended is not None, story.progress

    def _unfinished(self, deadline: Deadline) -> JobUnfinishedError:
        if self._backend is not None:
            self._backend.follow()
        trouble = "" if self._backend is None else self._backend.trouble
        why = f" ({self._backend_name} runs no jobs now: {trouble})" if trouble else ""
        text = f"job {self.job_id()} has not ended within {deadline.timeout:g} s{why}; it goes on, ask again"
        return JobUnfinishedError(text)

    def _headers(self, deadline: Deadline = _NO_HURRY) -> JobHeader:
        if self._header is None:
            self._header = _header_of(self._client.get_job(self.job_id(), patience=self._patience(deadline)))
        return self._header

    def _changes(self, deadline: Deadline) -> Iterator[StatusTime]:
        index = 0
        while True:
            with self._job_errors("cannot be followed", deadline):
                entry = self._follower.status(index, self._left(deadline))
            if entry is None:
                raise self._unfinished(deadline)
            yield entry
            if entry.status.is_final:
                return
            index += 1

    def _await_end(self, deadline: Deadline) -> None:
        with self._job_errors("cannot be followed", deadline):
            is_over = self._follower.end(self._left(deadline))
        if not is_over:
            raise self._unfinished(deadline)

    def _left(self, deadline: Deadline) -> float | None:
        """Give the seconds to wait; events of a job that is known to have ended are there already: reading them is no
        waiting, once the daemon has shown that it is there.
        """
        now = self._follower.now
        if now is None or not now.status.is_final:
            return deadline.left()
        if deadline.timeout is not None and not self._follower.is_over:
            self._client.get_job(self.job_id(), patience=self._patience(deadline))
        return None

    def _patience(self, deadline: Deadline) -> float:
        """Give the seconds for which the daemon may stay away: as the client says, and no longer than the caller."""
        most, left = self._client.wire.link.patience, deadline.left()
        return most if left is None else min(most, left)

    def _fetch(self, deadline: Deadline) -> Result:
        with self._job_errors("has a result that cannot be read", deadline):
            job, pieces = self._outcome(deadline)
            story = self._follower.story
            finished = story.ended.time_ns if story.ended else 0
            began = story.time_of(core.JobStatus.RUNNING) or finished
            return build_result(
                job,
                self._headers(deadline),
                pieces,
                backend_version="" if self._backend is None else self._backend.backend_version,
                finished_ns=finished,
                time_taken=(finished - began) * 1e-9,
                spans=tuple(story.spans),
            )

    def _early_pieces(self, deadline: Deadline) -> list[core.ProgramResult]:
        """Wait for the end, and read meanwhile all pieces but those that become durable with it."""
        pieces: list[core.ProgramResult] = []
        done, is_over = 0, False
        while not is_over:
            is_over, progress = self._news(done, deadline)
            if progress is None:
                continue
            done = progress.done
            if not is_over and done < progress.total:
                with self._job_errors("has a result that cannot be read", deadline):
                    patience = self._patience(deadline)
                    pieces += self._client.results(self.job_id(), skip=len(pieces), patience=patience)
        return pieces

    def _outcome(
        self, deadline: Deadline, early: Sequence[core.ProgramResult] = ()
    ) -> tuple[Ended, Iterable[core.ProgramResult]]:
        """Give what an ended job's stream told of it, or ask for that; `early` are the pieces that were read before.

        Raises:
            JobFailedError: it failed or was cancelled.
        """
        told = self._follower.story.outcome
        if told is not None:
            return told, told.results
        job = self._client.get_job(self.job_id(), patience=self._patience(deadline))
        if job.status is not core.JobStatus.DONE:
            raise self._failure(job)
        self._header = self._header or _header_of(job)
        rest = self._client.results(self.job_id(), skip=len(early), patience=self._patience(deadline))
        return job, itertools.chain(early, rest)

    def _failure(self, job: Job) -> JobFailedError:
        how = "was cancelled" if job.status is core.JobStatus.CANCELLED else "failed"
        message, problems = self._told(job)
        lines = [f"job {job.job_id} {how}: {message}" if message else f"job {job.job_id} {how}"]
        untold = problem_lines(problem for problem in problems if str(problem) not in message)
        lines += (line for line in untold if line not in message)
        return JobFailedError("\n".join(lines), job_id=job.job_id, problems=problems)

    def _told(self, job: Job) -> tuple[str, tuple[Problem, ...]]:
        """Give the daemon's message and problems with the places of operations in the user's circuits."""
        if not job.problems:
            return job.message, ()
        problems = self._headers().told(job.problems)
        if _says_only(job.message, job.problems):
            return "; ".join(problem_lines(problems)), problems
        places = {sent.where: own.where for sent, own in zip(job.problems, problems, strict=True)}
        sent = re.compile("|".join(map(re.escape, sorted(places, key=len, reverse=True))))
        return sent.sub(lambda match: places[match[0]], job.message), problems

    @contextlib.contextmanager
    def _job_errors(self, what: str, deadline: Deadline = _NO_HURRY) -> Generator[None]:
        """Make what goes wrong on the way to the daemon an error of this job, or of the time that it was given."""
        try:
            yield
        except ProviderError:
            raise
        except QubitdError as error:
            if isinstance(error, (BusyError, LostError)) and deadline.is_over:
                late = f"job {self.job_id()} {what} within {deadline.timeout:g} s: {error}"
                raise JobUnfinishedError(late) from error
            problems: tuple[Problem, ...] = getattr(error, "problems", ())
            message = f"job {self.job_id()} {what}: {error}"
            raise JobFailedError(message, job_id=self.job_id(), problems=problems) from error


def _qiskit_status(entry: StatusTime) -> JobStatus:
    status: JobStatus = JobStatus[entry.status.name]
    return status


def _says_only(message: str, problems: Sequence[Problem]) -> bool:
    """Whether a message, be it cut, is nothing but the text of problems."""
    texts = ("; ".join(lines) for lines in (problem_lines(problems), map(str, problems)))
    return any(message == text or (message[-3:] == "..." and text.startswith(message[:-3])) for text in texts)


def _header_of(job: Job) -> JobHeader:
    return read_header(job.client_data, num_programs=job.num_programs)


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns * 1e-9, tz=UTC).isoformat()
