"""Does for asyncio what `Steps` and a `Course` ask for: all waiting is done by the event loop.

gRPC ends what waits on a call that it breaks off as if the task were cancelled; only a task that somebody did cancel
says so here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc
import grpc.aio

from qubitd.client.course import Course
from qubitd.client.credentials import Credentials
from qubitd.client.link import CHANNEL_OPTIONS, Link
from qubitd.client.steps import Pause, Send, Step, Steps, first

ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")


_LAST_WORDS = 1.0
"""Seconds for which the end of a stream that has given everything may come."""


class AsyncClock(Protocol):
    """Time as a client sees it; tests pass their own."""

    def now(self) -> float:
        """Give the monotonic time, seconds."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for the event, at most so long."""
        ...


class LoopClock:
    """The machine's own time."""

    def now(self) -> float:
        """Give the monotonic time, seconds."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for the event, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()


class AsyncWire:
    """One channel to one daemon, shared by all calls and streams of a client."""

    def __init__(self, link: Link, credentials: Credentials, clock: AsyncClock) -> None:
        """Prepare; the connection is made by the first call.

        Raises:
            RuntimeError: no event loop runs here.
        """
        asyncio.get_running_loop()
        shown = credentials.channel_credentials(link.address)
        self.link = link
        self.clock = clock
        self.channel = (
            grpc.aio.insecure_channel(link.address.target, options=CHANNEL_OPTIONS)
            if shown is None
            else grpc.aio.secure_channel(link.address.target, shown, options=CHANNEL_OPTIONS)
        )
        self.streams: weakref.WeakSet[AsyncStream[Any]] = weakref.WeakSet()
        self._closed = asyncio.Event()
        self._ending: set[asyncio.Future[None]] = set()

    async def run(self, steps: Steps[ResultT]) -> ResultT:
        """Do all that is asked for, and give what comes of it.

        Raises:
            ClientError: as the steps say.
        """
        go_on: Callable[[], Step] = partial(first, steps)
        with contextlib.closing(steps):
            while True:
                try:
                    step = go_on()
                except StopIteration as end:
                    result: ResultT = end.value
                    return result
                try:
                    go_on = partial(steps.send, await self._do(step))
                except grpc.RpcError as error:
                    go_on = partial(steps.throw, error)

    def start(self, course: Course[Any]) -> grpc.aio.UnaryStreamCall[Any, Any]:
        """Start a stream.

        Raises:
            ClosedError: the client was closed.
        """
        opened: Any = course.open()
        return opened  # type: ignore[no-any-return]  # a stub's call is that of its channel

    def let_end(self, call: Any) -> None:
        """Let a stream that has given everything end by itself: gRPC cancels one that is dropped before."""
        ended = asyncio.get_running_loop().create_future()
        self._ending.add(ended)

        def note_end(_: object) -> None:
            self._ending.discard(ended)
            ended.set_result(None)

        call.add_done_callback(note_end)

    async def close(self) -> None:
        """End all streams, close the channel; every call in flight ends."""
        for stream in tuple(self.streams):
            stream.cancel()
        self.link.is_closed = True
        self._closed.set()
        # What gRPC has to tell a loop that is closed by then disturbs the other loops of its process.
        if self._ending:
            await asyncio.wait(self._ending, timeout=_LAST_WORDS)
        await self.channel.close(None)

    async def _do(self, step: Step) -> Any:
        match step:
            case Pause(seconds=seconds):
                return await self.clock.wait(self._closed, seconds)
            case Send(method=method, request=request, seconds=seconds):
                try:
                    return await method(request, timeout=seconds, metadata=self.link.metadata)
                except asyncio.CancelledError:
                    if is_cancelled() or not self.link.is_closed:
                        raise
                    raise self.link.closed_error() from None


class AsyncStream(AsyncIterator[ValueT]):
    """Values as the daemon pushes them. Ends when the daemon has sent the last one, or when it is cancelled.

    A wait that is cancelled, such as by a timeout, loses nothing: the next one opens the stream again behind the last
    value that was given, so let each last longer than a call takes. A stream that is dropped hangs up.
    """

    def __init__(self, wire: AsyncWire, course: Course[ValueT]) -> None:
        self._wire = wire
        self._course = course
        self._cancelled = asyncio.Event()
        self._call: grpc.aio.UnaryStreamCall[Any, Any] | None = None
        wire.streams.add(self)

    async def __anext__(self) -> ValueT:
        """Wait for the next value.

        Raises:
            ClientError: the daemon refused the stream, or was away for too long.
            MalformedMessageError: the daemon sent what this client cannot read.
        """
        course = self._course
        while course.wants_more and not self._cancelled.is_set():
            if not await self._read():
                break
        if self._cancelled.is_set() or not course.values:
            raise StopAsyncIteration
        return course.values.popleft()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the stream, and whatever wait is under way; harmless when it has ended."""
        self._cancelled.set()
        if self._call is not None and not self._course.is_over:
            self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def _read(self) -> bool:
        """Take in a message, or wait for the time to open the stream again; False if there is nothing more."""
        call = self._call = self._call or self._wire.start(self._course)
        try:
            message = await call.read()
        except grpc.RpcError as error:
            self._call = None
            if not self._cancelled.is_set():
                await self._wire.clock.wait(self._cancelled, self._course.after(error))
            return True
        except asyncio.CancelledError:
            self._call = None
            if is_cancelled():
                raise
            return True
        if message is grpc.aio.EOF:  # type: ignore[attr-defined]  # the stubs lack it
            return False
        self._course.take(message)
        if self._course.is_over:
            self._wire.let_end(call)
        return True


def is_cancelled() -> bool:
    """Whether somebody cancelled the task that runs."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
