"""A session as Qiskit users know it: the rack for oneself between jobs. Its names and words are IBM's."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from qiskit.circuit import QuantumCircuit

from qubitd.client import (
    AtExpiry,
    BusyError,
    ClientError,
    DaemonFaultError,
    LostError,
    QubitdClient,
    RefusedError,
    SessionInfo,
    SessionMode,
    SessionState,
    SessionTerms,
    StateError,
    UnreachableError,
)
from qubitd.provider.backend import QubitdBackend
from qubitd.provider.connected import Connected
from qubitd.provider.deadline import seconds_of
from qubitd.provider.errors import ProviderError, SessionClosedError
from qubitd.provider.job import QubitdJob
from qubitd.provider.of_qiskit import raises_qiskit_errors

log = logging.getLogger(__name__)

HEARTBEAT = 30.0
"""Seconds between two signs of life; a session whose client is silent for four of them gives the rack back."""
_PASSING = (BusyError, DaemonFaultError, LostError, UnreachableError)
"""What may be over at the next sign of life."""
_GIVEN_AS = {"max_seconds": "max_time", "idle_seconds": "idle_time"}
"""What the plain client's terms are called here."""
_STATUS = {
    SessionState.PENDING: "Pending",
    SessionState.ACTIVE: "In progress, accepting new jobs",
    SessionState.CLOSING: "In progress, not accepting new jobs",
    SessionState.CLOSED: "Closed",
}
_TIME = re.compile(r"(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s?)?", re.IGNORECASE)


class SessionService(Protocol):
    """What a session needs of a `QubitdProvider`."""

    @property
    def client(self) -> QubitdClient:
        """The plain client."""
        ...

    def session(self, session_id: str) -> QubitdSession:
        """Give a session that any process opened."""
        ...


@raises_qiskit_errors
class QubitdSession(Connected):
    """The rack for oneself between jobs.

    It is open at once, its time runs from the start of its first job, and a context manager closes it at its end. While
    this object lives, the daemon hears of it every half minute; a client that died is noticed.

    Args:
        backend: where its jobs run.
        max_time: seconds, or a text such as `2h 30m`, from the start of the first job; 8 hours unless given. A job
            that would hold the rack for longer ends with an error.
        idle_time: seconds, or a text, for which the rack is kept without a job; a minute unless given.
        at_expiry: what becomes of jobs that wait when its time is over: `requeue` (with everybody's) or `cancel`.

    Raises:
        ProviderError: a time cannot be read.
        ClientError: the daemon cannot be reached, or refuses it.
    """

    _mode: ClassVar[SessionMode] = SessionMode.DEDICATED

    def __init__(
        self,
        backend: QubitdBackend,
        max_time: float | str | None = None,
        idle_time: float | str | None = None,
        *,
        at_expiry: str = "requeue",
    ) -> None:
        if not isinstance(backend, QubitdBackend):  # pyright: ignore[reportUnnecessaryIsInstance]  # IBM's take names
            raise ProviderError(f"backend is {backend!r}; give one that provider.get_backend() gives")
        asked = SessionTerms(
            key=secrets.token_hex(16), backend=backend.name, mode=self._mode, at_expiry=_at_expiry(at_expiry)
        )
        terms = replace(
            asked,
            max_seconds=asked.max_seconds if max_time is None else _max_seconds(max_time),
            idle_seconds=asked.idle_seconds if idle_time is None else _seconds(idle_time),
        )
        provider: SessionService = backend.provider
        self._take(provider, backend, _opened(provider.client, terms))
        self._beat()

    @classmethod
    def from_id(cls, session_id: str, service: SessionService) -> Self:
        """Give a session that any process opened, a batch as a `QubitdBatch`; one that is closed can still be read.

        Raises:
            ProviderError: the daemon has no such session of yours, or it is no batch where one was asked for.
        """
        if not hasattr(service, "session"):
            raise ProviderError(f"service is {service!r}; give a QubitdProvider")
        found = service.session(session_id)
        if not isinstance(found, cls):
            found._finalizer()  # a traceback may keep it, and nobody wants it renewed
            raise ProviderError(f"session {session_id} is no batch; take QubitdSession.from_id")
        return found

    @classmethod
    def described(cls, info: SessionInfo, service: SessionService, backend: QubitdBackend | None) -> Self:
        """Give a session that the plain client has described; `backend` is None where it is offered no longer."""
        session = cls.__new__(cls)
        session._take(service, backend, info)
        if info.state is not SessionState.CLOSED:
            session._beat()
        return session

    def _take(self, provider: SessionService, backend: QubitdBackend | None, info: SessionInfo) -> None:
        self._provider = provider
        self._backend = backend
        self._backend_name = info.backend
        self._session_id = info.session_id
        self._over = threading.Event()
        self._finalizer = weakref.finalize(self, self._over.set)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._session_id!r}, backend={self._backend_name!r})>"

    @property
    def service(self) -> SessionService:
        """The provider that it was opened with."""
        return self._provider

    @property
    def session_id(self) -> str:
        """Its id, by which any process finds it again."""
        return self._session_id

    def backend(self) -> str:
        """Give the name of its backend."""
        return self._backend_name

    @property
    def device(self) -> QubitdBackend:
        """The backend itself: its Target, for the transpiler, and its limits.

        Raises:
            ProviderError: the daemon no longer offers it.
        """
        if self._backend is None:
            name = self._backend_name
            raise ProviderError(f"session {self._session_id} is of {name!r}, which the daemon no longer offers")
        return self._backend

    def run(
        self,
        run_input: QuantumCircuit | Iterable[QuantumCircuit],
        *,
        parameter_values: Any = None,
        sweep: Mapping[Any, Any] | None = None,
        **options: Any,
    ) -> QubitdJob:
        """Send circuits as one job of this session; as `QubitdBackend.run`.

        Raises:
            SessionClosedError: it is closed.
            ProviderError: the daemon no longer offers its backend.
        """
        try:
            return self.device.run_in_session(
                run_input, self._session_id, options, parameter_values=parameter_values, sweep=sweep
            )
        except StateError:
            if self._info().state in (SessionState.CLOSING, SessionState.CLOSED):
                raise SessionClosedError(self._session_id) from None
            raise

    def status(self) -> str:
        """Say where it stands, in IBM's words."""
        return _STATUS[self._info().state]

    def usage(self) -> float:
        """Give the seconds for which its jobs had the instruments."""
        return self._client.sessions.usage(self._session_id).qpu_seconds

    def details(self) -> dict[str, Any]:
        """Describe it under IBM's keys. Times are ISO 8601 in UTC; one that has not come yet is an empty text."""
        info = self._info()
        states = {SessionState.PENDING: "open", SessionState.CLOSED: "closed"}
        return {
            "id": info.session_id,
            "backend_name": info.backend,
            "interactive_timeout": info.idle_seconds,
            "max_time": info.max_seconds,
            "active_timeout": info.max_seconds,
            "state": states.get(info.state, "active" if info.holds_rack else "inactive"),
            "accepting_jobs": info.state in (SessionState.PENDING, SessionState.ACTIVE),
            "created_at": _iso(info.created_ns),
            "started_at": _iso(info.started_ns),
            "closed_at": _iso(info.closed_ns),
            "mode": info.mode.value,
            "usage_time": info.qpu_seconds,
            "elapsed_time": info.elapsed_seconds,
        }

    def close(self) -> None:
        """Take no more jobs; those that wait still run. A second time does nothing."""
        self._finalizer()
        self._client.sessions.close(self._session_id)

    def cancel(self) -> None:
        """Close it and cancel its jobs that have not ended."""
        self._finalizer()
        self._client.sessions.cancel(self._session_id)

    @property
    def _client(self) -> QubitdClient:
        return self._provider.client

    def _info(self) -> SessionInfo:
        return self._client.sessions.get(self._session_id)

    def _beat(self) -> None:
        """Renew it for as long as this object lives; the thread knows the client and the id, not the object."""
        arguments = (self._client, self._session_id, self._over)
        name = f"qubitd-session-{self._session_id}"
        threading.Thread(target=_renew, args=arguments, name=name, daemon=True).start()


class QubitdBatch(QubitdSession):
    """Jobs that belong together. They go one after another, and others may run in between: the rack is not kept."""

    _mode = SessionMode.BATCH


def _renew(client: QubitdClient, session_id: str, over: threading.Event) -> None:
    while not over.wait(HEARTBEAT):
        try:
            client.sessions.renew(session_id)
        except _PASSING as error:
            # A session that was not renewed loses the rack: a daemon that comes back late must hear of this client.
            log.info("session is not renewed", extra={"session": session_id, "reason": str(error)})
        except ClientError:
            return


def _opened(client: QubitdClient, terms: SessionTerms) -> SessionInfo:
    """Open a session; what is refused of its terms is told by the names that they were given by."""
    try:
        return client.sessions.open(terms)
    except RefusedError as error:
        told = [replace(problem, where=_GIVEN_AS.get(problem.where, problem.where)) for problem in error.problems]
        raise RefusedError(message=error.message, problems=told) from error


def _max_seconds(time: float | str) -> float:
    seconds = _seconds(time)
    if seconds == 0:  # to the daemon, 0 is whatever it gives to those who do not say
        raise ProviderError(f"max_time is {time!r}, in which no job can run; give more than 0")
    return seconds


def _seconds(time: object) -> float:
    if (given := seconds_of(time)) is not None:
        return given
    match = _TIME.fullmatch(time.strip()) if isinstance(time, str) else None
    if match is None or not any(match.groups()):
        raise ProviderError(f"{time!r} is no time; give seconds, or a text such as '2h 30m'")
    days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _at_expiry(text: str) -> AtExpiry:
    try:
        return AtExpiry(text)
    except ValueError:
        raise ProviderError(f"at_expiry is {text!r}; give 'requeue' or 'cancel'") from None


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns * 1e-9, tz=UTC).isoformat() if time_ns else ""
