"""Where a Qiskit user begins: a daemon's address gives backends and jobs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from qiskit.providers import JobStatus

from qubitd.client import PATIENCE, NotFoundError, QubitdClient, SessionInfo, SessionMode, find_access
from qubitd.core import job as core
from qubitd.provider.backend import QubitdBackend
from qubitd.provider.connected import Connected
from qubitd.provider.errors import BackendNotFoundError, JobFailedError, ProviderError, SessionNotFoundError
from qubitd.provider.job import QubitdJob
from qubitd.provider.of_qiskit import raises_qiskit_errors
from qubitd.provider.options import whole_of
from qubitd.provider.session import QubitdBatch, QubitdSession

_LATEST = 9.2e9
"""The latest time that can be asked for, seconds since 1970: the year 2261."""


@raises_qiskit_errors
class QubitdProvider(Connected):
    """Access to one daemon.

    Without an address it is found as `qubitd.client.find_access` says: by the profile, by the environment's
    QUBITD_ADDRESS and QUBITD_TOKEN or its QUBITD_PROFILE, or by the profile `default`.

    Args:
        address: `host:port`; plain on this machine, TLS for every other.
        token: sent with every call.
        ca: file with the lab's authority, for TLS; the system's authorities unless given.
        cert: file with one's own certificate, where the daemon wants one.
        key: file with its key.
        profile: a named profile of the file that `qubitd.client.config_file` gives, instead of an address.
        patience: seconds for which a daemon that was there may stay away before a call or a job's wait gives up.

    Raises:
        ConfigError: nothing says where the daemon is, or the profile cannot be used.
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        *,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        profile: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        access = find_access(address, token, ca=ca, cert=cert, key=key, profile=profile)
        self._client = QubitdClient(
            access.address, access.token, ca=access.ca, cert=access.cert, key=access.key, patience=patience
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<QubitdProvider({self._client.address!r})>"

    @property
    def client(self) -> QubitdClient:
        """The plain client, which does what Qiskit has no words for: sweeps, calibrations."""
        return self._client

    def close(self) -> None:
        """End the connection. A second time does nothing."""
        self._client.close()

    def backends(
        self,
        name: str | None = None,
        *,
        filters: Callable[[QubitdBackend], bool] | None = None,
        min_num_qubits: int | None = None,
        operational: bool | None = None,
        **attributes: Any,
    ) -> list[QubitdBackend]:
        """Give the backends of the daemon that fit.

        Args:
            name: of the backend.
            filters: says of a backend whether it fits.
            min_num_qubits: qubits that it must have.
            operational: whether its rack answers and jobs run.
            **attributes: values that attributes of the backend must have.

        Raises:
            ProviderError: no backend has an attribute of this name, or one of these is nothing that can be asked for.
        """
        if name is not None:
            _check_is_text("name", name)
        if filters is not None and not callable(filters):
            raise ProviderError(f"filters is {filters!r}; give a function of a backend that says whether it fits")
        least = 0 if min_num_qubits is None else _whole(min_num_qubits, "min_num_qubits")
        names = [known for known in self._client.backends() if name in (None, known)]
        found = [self._backend(known) for known in names]
        _check_attributes(found, attributes)
        return [
            backend
            for backend in found
            if backend.num_qubits >= least
            and (operational is None or backend.operational == operational)
            and all(getattr(backend, key, None) == value for key, value in attributes.items())
            and (filters is None or filters(backend))
        ]

    def get_backend(self, name: str | None = None) -> QubitdBackend:
        """Give the backend of this name; without a name the only one.

        Raises:
            BackendNotFoundError: there is none, with names that are near; also Qiskit's QiskitBackendNotFoundError.
            ProviderError: the name is no text.
        """
        if name is not None:
            _check_is_text("name", name)
            try:
                return self._backend(name)
            except NotFoundError:
                raise self._not_found(name, self._client.backends()) from None
        names = self._client.backends()
        if len(names) != 1:
            raise BackendNotFoundError(f"{self._client.address} has {', '.join(names) or 'no backend'}; give a name")
        return self._backend(names[0])

    def job(self, job_id: str) -> QubitdJob:
        """Give a job that any process has submitted.

        Raises:
            JobFailedError: the daemon has no such job of yours, or has it no more.
            ProviderError: the id is no text.
        """
        _check_is_text("job_id", job_id)
        try:
            job = self._client.get_job(job_id)
        except NotFoundError as error:
            raise JobFailedError(f"{self._client.address}: {error}", job_id=job_id) from error
        return QubitdJob(self._backend_or_none(job.backend), job_id, self._client, known=job)

    def jobs(
        self,
        limit: int = 10,
        *,
        status: JobStatus | Iterable[JobStatus] | None = None,
        tags: Iterable[str] | None = None,
        since: datetime | None = None,
        backend: str | None = None,
    ) -> list[QubitdJob]:
        """Give your jobs, newest first, whichever process submitted them.

        Args:
            limit: how many at most.
            status: only jobs in this state, or in one of these.
            tags: only jobs that carry all of these.
            since: only jobs that were accepted then or later; a time without a zone is this machine's own.
            backend: only jobs of the backend of this name.

        Raises:
            ProviderError: one of these is nothing that can be asked for.
        """
        if backend is not None:
            _check_is_text("backend", backend)
        found = self._client.list_jobs(
            limit=_whole(limit),
            statuses=_core_statuses(status),
            tags=_tags(tags),
            backend=backend or "",
            since_ns=0 if since is None else _time_ns(since),
        )
        backends = {name: self._backend_or_none(name) for name in {job.backend for job in found}}
        return [QubitdJob(backends[job.backend], job.job_id, self._client, known=job) for job in found]

    def session(self, session_id: str) -> QubitdSession:
        """Give a session that any process opened; one that is closed can still be read.

        Raises:
            SessionNotFoundError: the daemon has no such session of yours.
        """
        info = self.session_info(session_id)
        return self._session(info, self._backend_or_none(info.backend))

    def sessions(self, limit: int = 10, *, open_only: bool = False) -> list[QubitdSession]:
        """Give your sessions, newest first.

        Args:
            limit: how many at most, up to 1000.
            open_only: leave out those that are closed.

        Raises:
            ProviderError: the limit is none.
        """
        if not (most := _whole(limit)):
            return []  # which the daemon takes for as many as it likes
        infos = self._client.sessions.list(limit=most, open_only=open_only)
        backends = {name: self._backend_or_none(name) for name in {info.backend for info in infos}}
        return [self._session(info, backends[info.backend]) for info in infos]

    def session_info(self, session_id: str) -> SessionInfo:
        """Describe a session as the plain client does.

        Raises:
            SessionNotFoundError: the daemon has no such session of yours.
            ProviderError: the id is no text.
        """
        _check_is_text("session_id", session_id)
        try:
            return self._client.sessions.get(session_id)
        except NotFoundError:
            raise SessionNotFoundError(f"{self._client.address} has no session {session_id!r} of yours") from None

    def _session(self, info: SessionInfo, backend: QubitdBackend | None) -> QubitdSession:
        kind = QubitdBatch if info.mode is SessionMode.BATCH else QubitdSession
        return kind.described(info, self, backend)

    def _backend(self, name: str) -> QubitdBackend:
        return QubitdBackend(self, self._client, self._client.backend(name))

    def _backend_or_none(self, name: str) -> QubitdBackend | None:
        """A job and a session outlive the backend that they were for."""
        try:
            return self._backend(name)
        except NotFoundError:
            return None

    def _not_found(self, name: str, names: tuple[str, ...]) -> BackendNotFoundError:
        near = difflib.get_close_matches(name, names)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names) or 'none'}"
        return BackendNotFoundError(f"{self._client.address} has no backend {name!r}; {hint}")


def _core_statuses(status: JobStatus | Iterable[JobStatus] | None) -> list[core.JobStatus]:
    statuses: list[Any] = _items(status) if not isinstance(status, (JobStatus, str)) else [status]
    if not all(isinstance(one, JobStatus) for one in statuses):
        raise ProviderError(f"status is {status!r}; give a JobStatus of Qiskit, or several, such as JobStatus.DONE")
    return [core.JobStatus[entry.name] for entry in statuses]


def _items(given: object) -> list[Any]:
    """Give what several are given in; nothing for None, and what is no such thing as if it were one."""
    if given is None:
        return []
    return list(given) if isinstance(given, Iterable) else [given]


def _tags(tags: Iterable[object] | None) -> tuple[str, ...]:
    given = _items(tags)
    found = [tag for tag in given if isinstance(tag, str)]
    if isinstance(tags, str) or len(found) < len(given):
        raise ProviderError(f"tags is {tags!r}; give a list of texts")
    return tuple(found)


def _check_is_text(what: str, given: object) -> None:
    if not isinstance(given, str):
        raise ProviderError(f"{what} is {given!r}; give a text")


def _whole(given: object, what: str = "limit") -> int:
    number = whole_of(given)
    if number is None or number < 0:
        raise ProviderError(f"{what} is {given!r}; give a whole number, 0 or more")
    return number


def _time_ns(since: object) -> int:
    if not isinstance(since, datetime):
        raise ProviderError(f"since is {since!r}; give a datetime")
    try:
        seconds = since.timestamp()
    except (ValueError, OverflowError):  # the year before year 1, in this machine's zone
        seconds = 0.0
    return int(min(max(seconds, 0.0), _LATEST) * 1e9)


def _check_attributes(backends: list[QubitdBackend], attributes: dict[str, Any]) -> None:
    for name in attributes:
        if backends and not any(hasattr(backend, name) for backend in backends):
            near = difflib.get_close_matches(name, [known for known in dir(backends[0]) if known[0] != "_"])
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ProviderError(f"no backend has an attribute {name!r}{hint}")
