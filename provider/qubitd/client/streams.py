"""Streams for threads. One that was cut is opened again where it was: nothing is missed, and nothing comes twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from qubitd.client.blocking import Wire
from qubitd.client.course import Course

ValueT = TypeVar("ValueT")


class Stream(Iterator[ValueT]):
    """Values as the daemon pushes them. Ends when the daemon has sent the last one, or when it is cancelled.

    Iterating blocks; `cancel` may be called from any thread. A cut connection is opened again for as long as the
    client's patience lasts. A daemon that sends to as many as it can, and says when to ask again, is asked until it has
    room.
    """

    def __init__(self, wire: Wire, course: Course[ValueT]) -> None:
        self._wire = wire
        self._course = course
        # A stream may be cancelled by a finalizer, which runs in any thread and at any allocation.
        self._lock = threading.RLock()
        self._cancelled = threading.Event()
        self._call: grpc.CallIterator[Any] | None = None
        wire.streams.add(self)

    def __next__(self) -> ValueT:
        """Wait for the next value.

        Raises:
            ClientError: the daemon refused the stream, or was away for too long.
            MalformedMessageError: the daemon sent what this client cannot read.
        """
        course = self._course
        while course.wants_more and (call := self._open()) is not None:
            try:
                message = next(iter(call))
            except grpc.RpcError as error:
                self._interrupted(error)
                continue
            course.take(message)
            if course.is_over:
                self._wire.let_end(call)
        if self._cancelled.is_set() or not course.values:
            raise StopIteration
        return course.values.popleft()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the stream; harmless when it has ended."""
        with self._lock:
            self._cancelled.set()
            if self._call is not None and not self._course.is_over:
                self._call.cancel()  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]  # as stubbed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _open(self) -> grpc.CallIterator[Any] | None:
        with self._lock:
            if self._cancelled.is_set():
                return None
            if self._call is None:
                self._call = self._wire.start(self._course)
            if self._cancelled.is_set():
                self.cancel()
                return None
            return self._call

    def _interrupted(self, error: grpc.RpcError) -> None:
        with self._lock:
            self._call = None
        if not self._cancelled.is_set():
            self._wire.clock.wait(self._cancelled, self._course.after(error))
