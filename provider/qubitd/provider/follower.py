"""Follows one job's events in a thread of its own, which begins when somebody asks and ends with the job."""

from __future__ import annotations

import threading

from qubitd.client import ClientError, DaemonFaultError, Job, JobEvent, QubitdClient, Stream
from qubitd.core.errors import QubitdError
from qubitd.provider.story import JobStory, StatusTime


class Follower:
    """A job's story, kept up to date. It knows nothing of the job's object, so that this can be collected."""

    def __init__(self, client: QubitdClient, job_id: str) -> None:
        self._client = client
        self._job_id = job_id
        self._changed = threading.Condition()
        self._story = JobStory()
        self._stream: Stream[JobEvent] | None = None
        self._failure: QubitdError | None = None

    @property
    def story(self) -> JobStory:
        """The story so far; it only grows."""
        return self._story

    @property
    def now(self) -> StatusTime | None:
        """The newest state that is known; None before anything is."""
        with self._changed:
            return self._story.now

    @property
    def is_following(self) -> bool:
        """Whether news come by themselves."""
        with self._changed:
            return self._stream is not None

    def learn(self, job: Job) -> None:
        """Take in a description that was asked for."""
        with self._changed:
            self._story.learn(job)

    def start(self) -> None:
        """Follow the job unless that is being done or the job has ended."""
        with self._changed:
            if self._stream is not None or self._story.ended is not None:
                return
            self._failure = None
            stream = self._client.watch(self._job_id, self._story.last_sequence)
            self._stream = stream
        name = f"qubitd-job-{self._job_id}"
        threading.Thread(target=self._follow, args=(stream,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Follow no longer; whoever waits is told so."""
        with self._changed:
            stream = self._stream
        if stream is not None:
            stream.cancel()

    def status(self, index: int, timeout: float | None) -> StatusTime | None:
        """Wait for the change of state with this number, counting from 0; None when the time was up first.

        Raises:
            QubitdError: the job cannot be followed any further.
        """
        self.start()
        with self._changed:
            statuses = self._story.statuses
            self._changed.wait_for(lambda: len(statuses) > index or self._failure is not None, timeout)
            if len(statuses) > index:
                return statuses[index]
            if self._failure is not None:
                raise self._failure
            return None

    def progress(self, done: int, timeout: float | None) -> bool:
        """Wait until more than so many shots are durable or the job has ended; False when the time was up first.

        Raises:
            QubitdError: the job cannot be followed any further.
        """
        self.start()
        with self._changed:
            story = self._story

            def has_news() -> bool:
                return story.ended is not None or (story.progress is not None and story.progress.done > done)

            self._changed.wait_for(lambda: has_news() or self._failure is not None, timeout)
            if not has_news() and self._failure is not None:
                raise self._failure
            return has_news()

    def _follow(self, stream: Stream[JobEvent]) -> None:
        failure: QubitdError | None = None
        try:
            for event in stream:
                with self._changed:
                    self._story.apply(event)
                    self._changed.notify_all()
        except QubitdError as error:
            failure = error
        with self._changed:
            self._stream = None
            if self._story.ended is None:
                self._failure = failure or self._ended_early()
            self._changed.notify_all()

    def _ended_early(self) -> ClientError:
        return DaemonFaultError(f"the events of job {self._job_id} stopped before it ended; ask for the job again")
