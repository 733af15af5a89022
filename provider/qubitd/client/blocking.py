"""Does for threads what `Steps` ask for: waits are waits."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import grpc

from qubitd.client.course import Course
from qubitd.client.credentials import Credentials
from qubitd.client.link import CHANNEL_OPTIONS, Link
from qubitd.client.steps import Pause, Send, Step, Steps, first

ResultT = TypeVar("ResultT")


class Clock(Protocol):
    """Time as a client sees it; tests pass their own."""

    def now(self) -> float:
        """Give the monotonic time, seconds."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, at most so long; give whether it is set."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Give the monotonic time, seconds."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, at most so long; give whether it is set."""
        return event.wait(seconds)


class Cancellable(Protocol):
    """What ends with its client."""

    def cancel(self) -> None:
        """End it."""
        ...


class Wire:
    """One channel to one daemon, shared by all calls and streams of a client."""

    def __init__(self, link: Link, credentials: Credentials, clock: Clock) -> None:
        shown = credentials.channel_credentials(link.address)
        self.link = link
        self.clock = clock
        self.channel = (
            grpc.insecure_channel(link.address.target, options=CHANNEL_OPTIONS)
            if shown is None
            else grpc.secure_channel(link.address.target, shown, options=CHANNEL_OPTIONS)
        )
        self.streams: weakref.WeakSet[Cancellable] = weakref.WeakSet()
        self._closed = threading.Event()
        self._ending: set[object] = set()

    def run(self, steps: Steps[ResultT]) -> ResultT:
        """Do all that is asked for, and give what comes of it.

        Raises:
            ClientError: as the steps say.
        """
        go_on: Callable[[], Step] = partial(first, steps)
        while True:
            try:
                step = go_on()
            except StopIteration as end:
                result: ResultT = end.value
                return result
            try:
                go_on = partial(steps.send, self._do(step))
            except grpc.RpcError as error:
                go_on = partial(steps.throw, error)

    def start(self, course: Course[Any]) -> grpc.CallIterator[Any]:
        """Start a stream.

        Raises:
            ClosedError: the client was closed.
        """
        try:
            return course.open()
        except ValueError as error:
            raise self.link.closed_error() from error

    def let_end(self, call: Any) -> None:
        """Let a stream that has given everything end by itself: gRPC cancels one that is dropped before."""
        self._ending.add(call)
        call.add_done_callback(self._ending.discard)

    def close(self) -> None:
        """End all streams, close the channel; every call in flight ends."""
        for stream in tuple(self.streams):
            stream.cancel()
        self.link.is_closed = True
        self._closed.set()
        self.channel.close()

    def _do(self, step: Step) -> Any:
        match step:
            case Pause(seconds=seconds):
                return self.clock.wait(self._closed, seconds)
            case Send(method=method, request=request, seconds=seconds):
                try:
                    return method(request, timeout=seconds, metadata=self.link.metadata)
                except ValueError as error:
                    raise self.link.closed_error() from error
