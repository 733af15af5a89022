"""The plain client for asyncio: every call of `QubitdClient` as a coroutine, every stream as an asynchronous iterator.

It is the same client in threads of its own, so both keep the same promises: what was submitted is not lost, a cut
connection is opened again, nothing comes twice.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from qubitd.client.client import QubitdClient
from qubitd.client.lab import LabCalls
from qubitd.client.link import PATIENCE
from qubitd.client.sessions import SessionCalls
from qubitd.client.slots import SlotCalls
from qubitd.client.streams import Stream

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")
CallsT = TypeVar("CallsT")

_THREADS = 8
"""Calls that are under way at once; more wait."""


class AsyncStream(AsyncIterator[ValueT]):
    """Values as the daemon pushes them; ends as the blocking stream does, or when it is cancelled."""

    def __init__(self, values: Iterator[ValueT]) -> None:
        self._values = values
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qubitd-stream")

    async def __anext__(self) -> ValueT:
        """Wait for the next value; whoever is cancelled while waiting cancels the stream.

        Raises:
            ClientError: the daemon refused the stream, or was away for too long.
        """
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._next)
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not found:
            self.cancel()
            raise StopAsyncIteration
        return found[0]

    def cancel(self) -> None:
        """End the stream; harmless when it has ended."""
        if isinstance(self._values, Stream):
            self._values.cancel()
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _next(self) -> tuple[ValueT] | tuple[()]:
        """A StopIteration cannot pass a future, so the end is an empty tuple."""
        for value in self._values:
            return (value,)
        return ()


class _Threaded(Generic[CallsT]):
    """Blocking calls, and the threads in which they are made."""

    def __init__(self, calls: CallsT, threads: Executor) -> None:
        self.calls = calls
        """What blocks."""
        self.threads = threads
        """Where it does."""


def _awaited(
    method: Callable[Concatenate[CallsT, Parameters], ResultT],
) -> Callable[Concatenate[_Threaded[CallsT], Parameters], Coroutine[Any, Any, ResultT]]:
    @functools.wraps(method)
    async def call(self: _Threaded[CallsT], /, *args: Parameters.args, **fields: Parameters.kwargs) -> ResultT:
        work = functools.partial(method, self.calls, *args, **fields)
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    return call


def _pushed(
    method: Callable[Concatenate[CallsT, Parameters], Iterator[ValueT]],
) -> Callable[Concatenate[_Threaded[CallsT], Parameters], AsyncStream[ValueT]]:
    @functools.wraps(method)
    def call(self: _Threaded[CallsT], /, *args: Parameters.args, **fields: Parameters.kwargs) -> AsyncStream[ValueT]:
        return AsyncStream(method(self.calls, *args, **fields))

    return call


class AsyncSessionCalls(_Threaded[SessionCalls]):
    """The rack for one user between jobs."""

    open = _awaited(SessionCalls.open)
    get = _awaited(SessionCalls.get)
    list = _awaited(SessionCalls.list)
    renew = _awaited(SessionCalls.renew)
    close = _awaited(SessionCalls.close)
    cancel = _awaited(SessionCalls.cancel)
    usage = _awaited(SessionCalls.usage)


class AsyncSlotCalls(_Threaded[SlotCalls]):
    """Time of the rack that is reserved."""

    reserve = _awaited(SlotCalls.reserve)
    list = _awaited(SlotCalls.list)
    release = _awaited(SlotCalls.release)


class AsyncLabCalls(_Threaded[LabCalls]):
    """The rack as its operator sees it, and the switches."""

    instruments = _awaited(LabCalls.instruments)
    health = _awaited(LabCalls.health)
    drain = _awaited(LabCalls.drain)
    stop = _awaited(LabCalls.stop)
    resume = _awaited(LabCalls.resume)


class AsyncQubitdClient(_Threaded[QubitdClient]):
    """A connection to one daemon, for asyncio. Errors are those of `QubitdClient`, and so are the arguments."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        client = QubitdClient(address, token, ca=ca, cert=cert, key=key, patience=patience)
        threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="qubitd-client")
        super().__init__(client, threads)
        self.sessions = AsyncSessionCalls(client.sessions, threads)
        self.slots = AsyncSlotCalls(client.slots, threads)
        self.lab = AsyncLabCalls(client.lab, threads)

    @property
    def address(self) -> str:
        """Where the daemon listens."""
        return self.calls.address

    async def close(self) -> None:
        """End all streams and the connection. A second time does nothing."""
        done = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        def end() -> None:
            self.calls.close()
            self.threads.shutdown(wait=False, cancel_futures=True)
            loop.call_soon_threadsafe(done.set_result, None)

        threading.Thread(target=end, name="qubitd-close").start()
        await done

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    backends = _awaited(QubitdClient.backends)
    standings = _awaited(QubitdClient.standings)
    backend = _awaited(QubitdClient.backend)
    watch_backend = _pushed(QubitdClient.watch_backend)
    submit = _awaited(QubitdClient.submit)
    get_job = _awaited(QubitdClient.get_job)
    list_jobs = _awaited(QubitdClient.list_jobs)
    watch = _pushed(QubitdClient.watch)
    watch_some = _pushed(QubitdClient.watch_some)
    watch_session = _pushed(QubitdClient.watch_session)
    watch_jobs = _pushed(QubitdClient.watch_jobs)
    results = _pushed(QubitdClient.results)
    cancel = _awaited(QubitdClient.cancel)
    explain = _awaited(QubitdClient.explain)
    delete = _awaited(QubitdClient.delete)
    snapshot = _awaited(QubitdClient.snapshot)
    history = _awaited(QubitdClient.history)
    diff = _awaited(QubitdClient.diff)
    commit = _awaited(QubitdClient.commit)
    rollback = _awaited(QubitdClient.rollback)
    watch_calibrations = _pushed(QubitdClient.watch_calibrations)
