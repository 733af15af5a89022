"""One stream for all jobs of a client that somebody follows, in one thread, however many they are.

A job that joins has the stream opened again behind what each job has told so far, so nothing is missed or told twice.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Protocol

from qubitd.client import ClientError, ClosedError, DaemonFaultError, JobEvent, NotFoundError, QubitdClient, Stream
from qubitd.core.errors import QubitdError

_MOST = 1000
"""Jobs of one watch, which is the daemon's limit; more wait until one of them has ended."""


class Reader(Protocol):
    """Wants the events of one job."""

    @property
    def job_id(self) -> str:
        """The job."""
        ...

    @property
    def cursor(self) -> int:
        """Sequence number of the last event that was taken in."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        ...

    def take(self, event: JobEvent) -> None:
        """Take in an event, unless it was before."""
        ...

    def fail(self, failure: QubitdError) -> None:
        """Hear that nothing more will come, and why."""
        ...


class SharedWatch:
    """The readers of one client's jobs, and the thread that feeds them while there are any."""

    def __init__(self, client: QubitdClient) -> None:
        self._client = weakref.ref(client)
        # Readers leave from finalizers, which run in any thread and at any allocation: whoever holds the lock may take
        # it again, and what it guards is replaced, never changed in place.
        self._lock = threading.RLock()
        self._readers: tuple[Reader, ...] = ()
        self._stream: Stream[JobEvent] | None = None
        self._is_running = False

    def join(self, reader: Reader) -> None:
        """Feed a reader until its job has ended or it leaves."""
        with self._lock:
            self._readers = (*self._readers, reader)
            stream, was_running = self._stream, self._is_running
            self._is_running = True
        if stream is not None:
            stream.cancel()
        if not was_running:
            threading.Thread(target=self._run, name="qubitd-jobs", daemon=True).start()

    def leave(self, reader: Reader) -> None:
        """Feed a reader no longer; the stream ends with the last one."""
        with self._lock:
            self._readers = tuple(one for one in self._readers if one is not reader)
            stream = None if self._readers else self._stream
        if stream is not None:
            stream.cancel()

    def _run(self) -> None:
        while readers := self._next():
            try:
                self._feed(self._open(readers), readers)
            except NotFoundError as error:
                self._drop_missing(readers, error)
            except QubitdError as error:
                self._drop(readers, error)

    def _next(self) -> tuple[Reader, ...]:
        """Give whom to feed now; nobody is the end of the thread."""
        with self._lock:
            self._stream = None
            self._readers = tuple(one for one in self._readers if not one.is_over)
            self._is_running = bool(self._readers)
            return self._readers[:_MOST]

    def _open(self, readers: Sequence[Reader]) -> Stream[JobEvent]:
        """Open the stream behind what the jobs have told so far.

        Raises:
            ClosedError: the client was closed.
        """
        client = self._client()
        if client is None:
            raise ClosedError("the client was closed; make a new one")
        after: dict[str, int] = {}
        for one in readers:
            after[one.job_id] = min(one.cursor, after.get(one.job_id, one.cursor))
        with self._lock:
            self._stream = client.watch_some(after)
            if self._readers[:_MOST] != readers:  # somebody joined or left just now
                self._stream.cancel()
            return self._stream

    def _feed(self, stream: Stream[JobEvent], readers: Sequence[Reader]) -> None:
        """Hand events on until all jobs have ended, or the stream is to be opened again.

        Raises:
            QubitdError: no more events come.
        """
        by_job: dict[str, list[Reader]] = {}
        for one in readers:
            by_job.setdefault(one.job_id, []).append(one)
        for event in stream:
            for one in by_job.get(event.job_id, ()):
                one.take(event)
                if one.is_over and len(self._readers) > len(readers):
                    stream.cancel()
        if not stream.is_cancelled and not all(one.is_over for one in readers):
            raise DaemonFaultError("the events of a job stopped before it ended; ask for the job again")

    def _drop_missing(self, readers: Sequence[Reader], failure: NotFoundError) -> None:
        """Find out which of some jobs is not there; the others are followed on."""
        client = self._client()
        following = [one for one in readers if not one.is_over]
        missing = [one for one in following if client is not None and not _is_there(client, one.job_id)]
        self._drop(missing or (following if len(following) == len(readers) else ()), failure)

    def _drop(self, readers: Sequence[Reader], failure: QubitdError) -> None:
        for one in readers:
            self.leave(one)
            one.fail(failure)


def _is_there(client: QubitdClient, job_id: str) -> bool:
    try:
        client.get_job(job_id)
    except NotFoundError:
        return False
    except ClientError:
        # Whatever this is, the watch of the job will say it.
        return True
    return True


_watches: weakref.WeakKeyDictionary[QubitdClient, SharedWatch] = weakref.WeakKeyDictionary()
_watches_lock = threading.Lock()


def shared_watch(client: QubitdClient) -> SharedWatch:
    """Give the one watch of a client's jobs."""
    with _watches_lock:
        return _watches.setdefault(client, SharedWatch(client))
