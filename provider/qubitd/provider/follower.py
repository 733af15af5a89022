"""Follows one job's events, from when somebody asks to the job's end; one stream feeds all that are followed."""

from __future__ import annotations

import threading

from qubitd.client import DaemonFaultError, Job, JobEvent, Progress, QubitdClient, StatusChange
from qubitd.core.errors import QubitdError
from qubitd.provider.shared_watch import shared_watch
from qubitd.provider.story import JobStory, StatusTime


class Follower:
    """A job's story, kept up to date. It knows nothing of the job's object, so that this can be collected."""

    def __init__(self, client: QubitdClient, job_id: str) -> None:
        self._job_id = job_id
        self._watch = shared_watch(client)
        self._link = client.wire.link
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._over = threading.Condition(lock)
        """Told of the end alone: whoever waits for that is not woken before."""
        self._story = JobStory()
        self._is_fed = False
        self._failure: QubitdError | None = None

    @property
    def job_id(self) -> str:
        """The job."""
        return self._job_id

    @property
    def cursor(self) -> int:
        """Sequence number of the last event that was taken in."""
        return self._story.last_sequence

    @property
    def is_over(self) -> bool:
        """Whether the job's last event has come."""
        return self._story.ended is not None

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
            return self._is_fed and not self._link.is_copied

    def learn(self, job: Job) -> None:
        """Take in a description that was asked for."""
        with self._changed:
            self._story.learn(job)

    def start(self) -> None:
        """Follow the job unless that is being done or the job has ended.

        Raises:
            ClosedError: the client was closed, or is another process's.
        """
        if self.is_over:
            return
        self._link.check_open()
        with self._changed:
            if self._is_fed or self.is_over:
                return
            self._failure = None
            self._is_fed = True
        self._watch.join(self)

    def stop(self) -> None:
        """Follow no longer; whoever waits is told so."""
        self._watch.leave(self)
        self.fail(DaemonFaultError(f"job {self._job_id} is no longer followed; ask for it again"))

    def take(self, event: JobEvent) -> None:
        """Take in an event."""
        with self._changed:
            self._story.apply(event)
            self._is_fed = self._is_fed and not self.is_over
            if isinstance(event.what, StatusChange | Progress):  # what is waited for
                self._changed.notify_all()
                if self.is_over:
                    self._over.notify_all()

    def fail(self, failure: QubitdError) -> None:
        """Hear that nothing more will come, and why."""
        with self._changed:
            self._is_fed = False
            if not self.is_over:
                self._failure = failure
            self._changed.notify_all()
            self._over.notify_all()

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

    def end(self, timeout: float | None) -> bool:
        """Wait for the job's last event; False when the time was up first.

        Raises:
            QubitdError: the job cannot be followed any further.
        """
        self.start()
        with self._changed:
            self._over.wait_for(lambda: self.is_over or self._failure is not None, timeout)
            if not self.is_over and self._failure is not None:
                raise self._failure
            return self.is_over

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
