"""The daemon in plain Python: blocking calls and streams, without Qiskit. One client may be shared by threads."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar

from qubitd.client.addresses import parse_address
from qubitd.client.blocking import Clock, SystemClock, Wire
from qubitd.client.calls import DaemonSteps
from qubitd.client.course import Course
from qubitd.client.credentials import Credentials
from qubitd.client.lab import LabSteps
from qubitd.client.link import PATIENCE, Link
from qubitd.client.sessions import SessionSteps
from qubitd.client.slots import SlotSteps
from qubitd.client.steps import Steps, presented
from qubitd.client.streams import Stream

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")
StepsT = TypeVar("StepsT")


class _Blocking(Generic[StepsT]):
    """Methods whose steps are decided elsewhere."""

    def __init__(self, steps: StepsT, wire: Wire) -> None:
        self.steps = steps
        """What decides."""
        self.wire = wire
        """On which it is done."""


def _called(
    method: Callable[Concatenate[StepsT, Parameters], Steps[ResultT]],
) -> Callable[Concatenate[_Blocking[StepsT], Parameters], ResultT]:
    def call(self: _Blocking[StepsT], /, *args: Parameters.args, **fields: Parameters.kwargs) -> ResultT:
        return self.wire.run(method(self.steps, *args, **fields))

    return presented(call, method)


def _pushed(
    method: Callable[Concatenate[StepsT, Parameters], Course[ValueT]],
) -> Callable[Concatenate[_Blocking[StepsT], Parameters], Stream[ValueT]]:
    def call(self: _Blocking[StepsT], /, *args: Parameters.args, **fields: Parameters.kwargs) -> Stream[ValueT]:
        return Stream(self.wire, method(self.steps, *args, **fields))

    return presented(call, method, "Stream[{}]")


class SessionCalls(_Blocking[SessionSteps]):
    """The rack for one user between jobs; `QubitdClient.sessions`."""

    open = _called(SessionSteps.open)
    get = _called(SessionSteps.get)
    list = _called(SessionSteps.list)
    renew = _called(SessionSteps.renew)
    close = _called(SessionSteps.close)
    cancel = _called(SessionSteps.cancel)
    usage = _called(SessionSteps.usage)


class SlotCalls(_Blocking[SlotSteps]):
    """Time of the rack that is reserved; `QubitdClient.slots`."""

    reserve = _called(SlotSteps.reserve)
    list = _called(SlotSteps.list)
    release = _called(SlotSteps.release)


class LabCalls(_Blocking[LabSteps]):
    """The rack as its operator sees it, and the switches; `QubitdClient.lab`."""

    instruments = _called(LabSteps.instruments)
    health = _called(LabSteps.health)
    drain = _called(LabSteps.drain)
    stop = _called(LabSteps.stop)
    resume = _called(LabSteps.resume)


class QubitdClient(_Blocking[DaemonSteps]):
    """A connection to one daemon.

    Every method raises a `ClientError` of the kind that fits: `UnreachableError` when no daemon answers, `RefusedError`
    with all problems of an input, `NotFoundError`, `LostError` when the daemon went away and stayed away.

    Args:
        address: `host:port` of the daemon; plain on this machine, TLS for every other.
        token: sent with every call.
        ca: file with the lab's authority, for TLS; the system's authorities unless given.
        cert: file with one's own certificate, where the daemon wants one.
        key: file with its key.
        patience: seconds for which a daemon that was there may stay away before a call gives up.
        clock: the time, for tests.
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
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        link = Link(parse_address(address), token=token, patience=patience, now=clock.now)
        wire = Wire(link, Credentials(ca=ca, cert=cert, key=key), clock)
        super().__init__(DaemonSteps(link, wire.channel), wire)
        self.sessions = SessionCalls(SessionSteps(link, wire.channel), wire)
        self.slots = SlotCalls(SlotSteps(link, wire.channel), wire)
        self.lab = LabCalls(LabSteps(link, wire.channel), wire)
        # Runs at the interpreter's exit, too, so that no thread waits in a stream by then.
        self._finalizer = weakref.finalize(self, _close, wire, os.getpid())

    @property
    def address(self) -> str:
        """Where the daemon listens."""
        return str(self.wire.link.address)

    def close(self) -> None:
        """End all streams and the connection. A second time does nothing."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<QubitdClient({self.address!r}){' closed' if self.wire.link.is_closed else ''}>"

    backends = _called(DaemonSteps.backends)
    standings = _called(DaemonSteps.standings)
    backend = _called(DaemonSteps.backend)
    watch_backend = _pushed(DaemonSteps.watch_backend)
    submit = _called(DaemonSteps.submit)
    get_job = _called(DaemonSteps.get_job)
    list_jobs = _called(DaemonSteps.list_jobs)
    watch = _pushed(DaemonSteps.watch)
    watch_some = _pushed(DaemonSteps.watch_some)
    watch_session = _pushed(DaemonSteps.watch_session)
    watch_jobs = _pushed(DaemonSteps.watch_jobs)
    results = _pushed(DaemonSteps.results)
    cancel = _called(DaemonSteps.cancel)
    explain = _called(DaemonSteps.explain)
    delete = _called(DaemonSteps.delete)
    snapshot = _called(DaemonSteps.snapshot)
    history = _called(DaemonSteps.history)
    diff = _called(DaemonSteps.diff)
    commit = _called(DaemonSteps.commit)
    rollback = _called(DaemonSteps.rollback)
    watch_calibrations = _pushed(DaemonSteps.watch_calibrations)


def _close(wire: Wire, owner: int) -> None:
    """Close in the process that opened: a forked child shares neither threads nor connection."""
    if os.getpid() == owner:
        wire.close()
