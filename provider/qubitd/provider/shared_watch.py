"""One stream for all jobs of a client that somebody follows, in one thread, however many they are.

Beyond `MAX_WATCHED` they wait until one of those has ended.
A job that joins has the stream opened again behind what each job has told so far, so nothing is missed or told twice.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Protocol

from qubitd.client import ClientError, ClosedError, DaemonFaultError, JobEvent, NotFoundError, QubitdClient, Stream
from qubitd.core.errors import QubitdError
from qubitd.wire.jobs import MAX_WATCHED

log = logging.getLogger(__name__)


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
            self._readers = (*(one for one in self._readers if not one.is_over), reader)
            stream, was_running = self._stream, self._is_running
            self._is_running = True
            has_place = len(self._readers) <= MAX_WATCHED
        if stream is not None and has_place:
            stream.cancel()
        if not was_running:
            threading.Thread(target=self._run, name="qubitd-jobs", daemon=True).start()

    def leave(self, reader: Reader) -> None:
        """Feed a reader no longer; the stream ends with the last one, and one that waits takes the place of another."""
        with self._lock:
            others = tuple(one for one in self._readers if one is not reader)
            gives_place = len(others) < len(self._readers) and len(self._readers) > MAX_WATCHED
            self._readers = others
            stream = self._stream if gives_place or _are_over(others) else None
        if stream is not None:
            stream.cancel()

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            log.exception("jobs are no longer followed")
            with self._lock:
                readers, stream = self._readers, self._stream
                self._readers, self._stream, self._is_running = (), None, False
            if stream is not None:
                stream.cancel()
            for one in readers:
                one.fail(DaemonFaultError(f"the events of jobs cannot be followed: {error!r}; ask for the job again"))

    def _follow(self) -> None:
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
            return self._readers[:MAX_WATCHED]

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
            self._stream = client.watch_some(after, outcome=True, stages=False)
            if self._readers[:MAX_WATCHED] != readers:  # somebody joined or left just now
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
                if one not in self._readers:
                    continue
                one.take(event)
                if one.is_over and (len(self._readers) > MAX_WATCHED or _are_over(self._readers)):
                    stream.cancel()
        if not stream.is_cancelled and not _are_over(readers):
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


def _are_over(readers: Iterable[Reader]) -> bool:
    return all(one.is_over for one in readers)


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
