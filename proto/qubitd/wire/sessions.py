"""Sessions <-> messages."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from qubitd.core.ticks import seconds_text
from qubitd.v1 import sessions_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_finite, check_text
from qubitd.wire.specs import MAX_BACKEND_NAME, MAX_KEY

MAX_SECONDS = 604_800.0
"""A week: the most that a session may last."""
DEFAULT_MAX_SECONDS = 28_800.0
MAX_IDLE_SECONDS = 86_400.0
DEFAULT_IDLE_SECONDS = 60.0


class SessionMode(enum.Enum):
    """How a session uses the rack."""

    DEDICATED = "dedicated"
    """It has the rack to itself while it is active."""
    BATCH = "batch"
    """Its jobs go one after another, but the rack is not kept between them."""


class AtExpiry(enum.Enum):
    """What becomes of the jobs that wait when a session's time is over."""

    REQUEUE = "requeue"
    """They wait with everybody's."""
    CANCEL = "cancel"


class SessionState(enum.Enum):
    """Where a session stands."""

    PENDING = "pending"
    """Open; no job of it has started yet."""
    ACTIVE = "active"
    """Its time runs and it takes jobs."""
    CLOSING = "closing"
    """It takes no new jobs; those that wait still run."""
    CLOSED = "closed"


_MODES = {
    SessionMode.DEDICATED: sessions_pb2.SESSION_MODE_DEDICATED,
    SessionMode.BATCH: sessions_pb2.SESSION_MODE_BATCH,
}
_EXPIRIES = {
    AtExpiry.REQUEUE: sessions_pb2.AT_EXPIRY_REQUEUE,
    AtExpiry.CANCEL: sessions_pb2.AT_EXPIRY_CANCEL,
}
_STATES = {
    SessionState.PENDING: sessions_pb2.SESSION_STATE_PENDING,
    SessionState.ACTIVE: sessions_pb2.SESSION_STATE_ACTIVE,
    SessionState.CLOSING: sessions_pb2.SESSION_STATE_CLOSING,
    SessionState.CLOSED: sessions_pb2.SESSION_STATE_CLOSED,
}
_MODE_OF = {number: mode for mode, number in _MODES.items()} | {
    sessions_pb2.SESSION_MODE_UNSPECIFIED: SessionMode.DEDICATED
}
_EXPIRY_OF = {number: expiry for expiry, number in _EXPIRIES.items()} | {
    sessions_pb2.AT_EXPIRY_UNSPECIFIED: AtExpiry.REQUEUE
}
_STATE_OF = {number: state for state, number in _STATES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """What is asked of a session when it is opened."""

    key: str
    """Made by the client, unique among its sessions; 1 to 128 bytes."""
    backend: str
    mode: SessionMode = SessionMode.DEDICATED
    max_seconds: float = DEFAULT_MAX_SECONDS
    """From the start of its first job; 1 to 604 800."""
    idle_seconds: float = DEFAULT_IDLE_SECONDS
    """For which it keeps the rack without a job; 0 to 86 400."""
    at_expiry: AtExpiry = AtExpiry.REQUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session as it stands."""

    session_id: str
    backend: str
    mode: SessionMode
    state: SessionState
    max_seconds: float
    idle_seconds: float
    at_expiry: AtExpiry
    created_ns: int
    """ns since 1970-01-01 UTC."""
    started_ns: int = 0
    """When its first job started; 0 before."""
    closed_ns: int = 0
    """When it was over; 0 before."""
    elapsed_seconds: float = 0.0
    """Of its time."""
    qpu_seconds: float = 0.0
    """For which its jobs had the instruments."""
    holds_rack: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUsage:
    """What a session used."""

    qpu_seconds: float
    elapsed_seconds: float
    jobs: int
    """That were submitted to it."""


def encode_terms(terms: SessionTerms) -> sessions_pb2.OpenRequest:
    """Give the request that opens a session."""
    return sessions_pb2.OpenRequest(
        key=terms.key,
        backend=terms.backend,
        mode=_MODES[terms.mode],
        max_seconds=terms.max_seconds,
        idle_seconds=terms.idle_seconds,
        at_expiry=_EXPIRIES[terms.at_expiry],
    )


def decode_terms(message: sessions_pb2.OpenRequest) -> SessionTerms:
    """Read and check a request that opens a session.

    Raises:
        MalformedMessageError: a field is outside its limits.
    """
    if message.mode not in _MODE_OF:
        raise malformed("mode", f"is {message.mode}; give 1 (dedicated) or 2 (batch)")
    if message.at_expiry not in _EXPIRY_OF:
        raise malformed("at_expiry", f"is {message.at_expiry}; give 1 (requeue) or 2 (cancel)")
    idle = message.idle_seconds if message.HasField("idle_seconds") else DEFAULT_IDLE_SECONDS
    return SessionTerms(
        key=check_text(message.key, where="key", least=1, most=MAX_KEY),
        backend=check_text(message.backend, where="backend", least=1, most=MAX_BACKEND_NAME),
        mode=_MODE_OF[message.mode],
        max_seconds=_seconds(message.max_seconds or DEFAULT_MAX_SECONDS, "max_seconds", 1.0, MAX_SECONDS),
        idle_seconds=_seconds(idle, "idle_seconds", 0.0, MAX_IDLE_SECONDS),
        at_expiry=_EXPIRY_OF[message.at_expiry],
    )


def encode_session(session: SessionInfo) -> sessions_pb2.Session:
    """Give the message of a session."""
    return sessions_pb2.Session(
        session_id=session.session_id,
        backend=session.backend,
        mode=_MODES[session.mode],
        state=_STATES[session.state],
        max_seconds=session.max_seconds,
        idle_seconds=session.idle_seconds,
        at_expiry=_EXPIRIES[session.at_expiry],
        created_ns=session.created_ns,
        started_ns=session.started_ns,
        closed_ns=session.closed_ns,
        elapsed_seconds=session.elapsed_seconds,
        qpu_seconds=session.qpu_seconds,
        holds_rack=session.holds_rack,
        owner=session.owner,
    )


def decode_session(message: sessions_pb2.Session) -> SessionInfo:
    """Read a session.

    Raises:
        MalformedMessageError: it says something that this end does not know, or a number is not finite.
    """
    if message.state not in _STATE_OF or message.mode not in _MODE_OF or message.at_expiry not in _EXPIRY_OF:
        raise malformed(
            "session", "has a state, mode or expiry that this end does not know; the other end may be newer"
        )
    return SessionInfo(
        session_id=message.session_id,
        backend=message.backend,
        mode=_MODE_OF[message.mode],
        state=_STATE_OF[message.state],
        max_seconds=check_finite(message.max_seconds, where="max_seconds"),
        idle_seconds=check_finite(message.idle_seconds, where="idle_seconds"),
        at_expiry=_EXPIRY_OF[message.at_expiry],
        created_ns=message.created_ns,
        started_ns=message.started_ns,
        closed_ns=message.closed_ns,
        elapsed_seconds=check_finite(message.elapsed_seconds, where="elapsed_seconds"),
        qpu_seconds=check_finite(message.qpu_seconds, where="qpu_seconds"),
        holds_rack=message.holds_rack,
        owner=message.owner,
    )


def _seconds(value: float, where: str, least: float, most: float) -> float:
    if not least <= check_finite(value, where=where) <= most:
        limits = f"{seconds_text(least)} and {seconds_text(most)}"
        raise malformed(where, f"is {seconds_text(value)}; the limits are {limits}")
    return value
