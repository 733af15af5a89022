"""Streams that outlive a cut connection: they are opened again where they were, and nothing comes twice."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc

from qubitd.client.link import FIRST_WAIT, Link, Metadata, Patience
from qubitd.client.refusals import asked_to_wait

log = logging.getLogger(__name__)

MessageT = TypeVar("MessageT")
ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)


class Source(Protocol[MessageT, ValueT_co]):
    """Where a stream's values come from, and where it must go on after a cut."""

    @property
    def is_over(self) -> bool:
        """Whether the last value was read: nothing more is waited for."""
        ...

    def open(self, metadata: Metadata) -> grpc.CallIterator[MessageT]:
        """Start the call behind the last value that was read."""
        ...

    def read(self, message: MessageT) -> Sequence[ValueT_co]:
        """Decode a message and move the cursor; what came before is left out."""
        ...


class Stream(Iterator[ValueT]):
    """Values as the daemon pushes them. Ends when the daemon has sent the last one, or when it is cancelled.

    Iterating blocks; `cancel` may be called from any thread. A cut connection is opened again for as long as the
    client's patience lasts. A daemon that sends to as many as it can, and says when to ask again, is asked until it has
    room.
    """

    def __init__(self, link: Link, source: Source[Any, ValueT], *, doing: str, patience: float) -> None:
        self._link = link
        self._source = source
        self._patience = Patience(link, doing=doing, seconds=patience)
        # A stream may be cancelled by a finalizer, which runs in any thread and at any allocation.
        self._lock = threading.RLock()
        self._cancelled = threading.Event()
        self._call: grpc.CallIterator[Any] | None = None
        self._values: deque[ValueT] = deque()
        """What came with the last message and was not given yet."""

    def __next__(self) -> ValueT:
        """Wait for the next value.

        Raises:
            ClientError: the daemon refused the stream, or was away for too long.
            MalformedMessageError: the daemon sent what this client cannot read.
        """
        while not (self._values or self._source.is_over) and (call := self._open()) is not None:
            try:
                message = next(iter(call))
            except grpc.RpcError as error:
                self._interrupted(error)
                continue
            self._patience.renew()
            self._values.extend(self._source.read(message))
            self._leave_at_the_end(call)
        if self._cancelled.is_set() or not self._values:
            raise StopIteration
        return self._values.popleft()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the stream; harmless when it has ended."""
        with self._lock:
            self._cancelled.set()
            if self._call is not None and not self._source.is_over:
                self._call.cancel()  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]  # as stubbed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _leave_at_the_end(self, call: grpc.CallIterator[Any]) -> None:
        if self._source.is_over:
            self._link.let_end(call)

    def _open(self) -> grpc.CallIterator[Any] | None:
        with self._lock:
            if self._cancelled.is_set():
                return None
            if self._call is None:
                self._call = self._link.start(self._source.open)
            if self._cancelled.is_set():
                self.cancel()
                return None
            return self._call

    def _interrupted(self, error: grpc.RpcError) -> None:
        with self._lock:
            self._call = None
        if self._cancelled.is_set():
            return
        if (seconds := asked_to_wait(error)) is None:
            self._patience.pause(error, self._cancelled)
            return
        seconds = max(seconds, FIRST_WAIT)
        log.info("the daemon has too much to send; asking again", extra={"seconds": seconds})
        self._link.clock.wait(self._cancelled, seconds)
