"""The plain client for asyncio: every call of `QubitdClient` as a coroutine, every stream as an asynchronous iterator.

Both clients decide alike, so both keep the same promises: what was submitted is not lost, a cut connection is opened
again, nothing comes twice. Here all waiting is done by the event loop; a watch has no thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from qubitd.client.addresses import parse_address
from qubitd.client.aio_wire import AsyncClock, AsyncStream, AsyncWire, LoopClock
from qubitd.client.calls import DaemonSteps
from qubitd.client.course import Course
from qubitd.client.credentials import Credentials
from qubitd.client.lab import LabSteps
from qubitd.client.link import PATIENCE, Link
from qubitd.client.sessions import SessionSteps
from qubitd.client.slots import SlotSteps
from qubitd.client.steps import Steps, presented

__all__ = ["AsyncLabCalls", "AsyncQubitdClient", "AsyncSessionCalls", "AsyncSlotCalls", "AsyncStream"]

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")
StepsT = TypeVar("StepsT")


class _Awaitable(Generic[StepsT]):
    """Methods whose steps are decided elsewhere."""

    def __init__(self, steps: StepsT, wire: AsyncWire) -> None:
        self.steps = steps
        """What decides."""
        self.wire = wire
        """On which it is done."""


def _awaited(
    method: Callable[Concatenate[StepsT, Parameters], Steps[ResultT]],
) -> Callable[Concatenate[_Awaitable[StepsT], Parameters], Coroutine[Any, Any, ResultT]]:
    async def call(self: _Awaitable[StepsT], /, *args: Parameters.args, **fields: Parameters.kwargs) -> ResultT:
        return await self.wire.run(method(self.steps, *args, **fields))

    return presented(call, method)


def _pushed(
    method: Callable[Concatenate[StepsT, Parameters], Course[ValueT]],
) -> Callable[Concatenate[_Awaitable[StepsT], Parameters], AsyncStream[ValueT]]:
    def call(self: _Awaitable[StepsT], /, *args: Parameters.args, **fields: Parameters.kwargs) -> AsyncStream[ValueT]:
        return AsyncStream(self.wire, method(self.steps, *args, **fields))

    return presented(call, method, "AsyncStream[{}]")


class AsyncSessionCalls(_Awaitable[SessionSteps]):
    """The rack for one user between jobs; `AsyncQubitdClient.sessions`."""

    open = _awaited(SessionSteps.open)
    get = _awaited(SessionSteps.get)
    list = _awaited(SessionSteps.list)
    renew = _awaited(SessionSteps.renew)
    close = _awaited(SessionSteps.close)
    cancel = _awaited(SessionSteps.cancel)
    usage = _awaited(SessionSteps.usage)


class AsyncSlotCalls(_Awaitable[SlotSteps]):
    """Time of the rack that is reserved; `AsyncQubitdClient.slots`."""

    reserve = _awaited(SlotSteps.reserve)
    list = _awaited(SlotSteps.list)
    release = _awaited(SlotSteps.release)


class AsyncLabCalls(_Awaitable[LabSteps]):
    """The rack as its operator sees it, and the switches; `AsyncQubitdClient.lab`."""

    instruments = _awaited(LabSteps.instruments)
    health = _awaited(LabSteps.health)
    drain = _awaited(LabSteps.drain)
    stop = _awaited(LabSteps.stop)
    resume = _awaited(LabSteps.resume)


class AsyncQubitdClient(_Awaitable[DaemonSteps]):
    """A connection to one daemon, for asyncio; it belongs to the event loop in which it is made.

    Errors are those of `QubitdClient`, and so are the arguments. A call that is cancelled is broken off; what it had
    asked for may have been done.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        patience: float = PATIENCE,
        clock: AsyncClock | None = None,
    ) -> None:
        clock = clock or LoopClock()
        link = Link(parse_address(address), token=token, patience=patience, now=clock.now)
        wire = AsyncWire(link, Credentials(ca=ca, cert=cert, key=key), clock)
        super().__init__(DaemonSteps(link, wire.channel), wire)
        self.sessions = AsyncSessionCalls(SessionSteps(link, wire.channel), wire)
        self.slots = AsyncSlotCalls(SlotSteps(link, wire.channel), wire)
        self.lab = AsyncLabCalls(LabSteps(link, wire.channel), wire)

    @property
    def address(self) -> str:
        """Where the daemon listens."""
        return str(self.wire.link.address)

    async def close(self) -> None:
        """End all streams and the connection. A second time does nothing."""
        await self.wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncQubitdClient({self.address!r}){' closed' if self.wire.link.is_closed else ''}>"

    backends = _awaited(DaemonSteps.backends)
    standings = _awaited(DaemonSteps.standings)
    backend = _awaited(DaemonSteps.backend)
    watch_backend = _pushed(DaemonSteps.watch_backend)
    submit = _awaited(DaemonSteps.submit)
    get_job = _awaited(DaemonSteps.get_job)
    list_jobs = _awaited(DaemonSteps.list_jobs)
    watch = _pushed(DaemonSteps.watch)
    watch_some = _pushed(DaemonSteps.watch_some)
    watch_session = _pushed(DaemonSteps.watch_session)
    watch_jobs = _pushed(DaemonSteps.watch_jobs)
    results = _pushed(DaemonSteps.results)
    cancel = _awaited(DaemonSteps.cancel)
    explain = _awaited(DaemonSteps.explain)
    delete = _awaited(DaemonSteps.delete)
    snapshot = _awaited(DaemonSteps.snapshot)
    history = _awaited(DaemonSteps.history)
    diff = _awaited(DaemonSteps.diff)
    commit = _awaited(DaemonSteps.commit)
    rollback = _awaited(DaemonSteps.rollback)
    watch_calibrations = _pushed(DaemonSteps.watch_calibrations)
