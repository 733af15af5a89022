"""The operator's view of a lab <-> messages."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from qubitd.v1 import lab_pb2
from qubitd.wire.errors import malformed

MAX_REASON = 256


class LabState(enum.Enum):
    """Whether jobs are taken and started."""

    SERVING = "serving"
    DRAINED = "drained"
    """None is taken or started, by order of an operator."""
    STOPPED = "stopped"
    """The rack was stopped by an operator."""


_STATES = {
    LabState.SERVING: lab_pb2.LAB_STATE_SERVING,
    LabState.DRAINED: lab_pb2.LAB_STATE_DRAINED,
    LabState.STOPPED: lab_pb2.LAB_STATE_STOPPED,
}
_STATE_OF = {number: state for state, number in _STATES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentInfo:
    """One instrument of a rack."""

    name: str
    kind: str
    """Such as `cluster`."""
    resource: str
    """VISA resource string."""
    answers: bool
    """Whether it answered when it was last asked."""
    fault: str = ""
    """The last one; empty if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHealth:
    """How a daemon is."""

    state: LabState
    queued: int
    """Jobs that wait."""
    running: str
    """Id of the job that has the rack; empty if none has."""
    operational: bool
    """Whether the rack answers."""
    reason: str
    """Why it does not, or why the lab was stopped."""
    started_ns: int
    """When the daemon was started, ns since 1970-01-01 UTC."""
    server_version: str
    sessions: int
    """That are open."""


def encode_instrument(instrument: InstrumentInfo) -> lab_pb2.Instrument:
    """Give the message of an instrument."""
    return lab_pb2.Instrument(
        name=instrument.name,
        kind=instrument.kind,
        resource=instrument.resource,
        answers=instrument.answers,
        fault=instrument.fault,
    )


def decode_instrument(message: lab_pb2.Instrument) -> InstrumentInfo:
    """Read an instrument."""
    return InstrumentInfo(
        name=message.name,
        kind=message.kind,
        resource=message.resource,
        answers=message.answers,
        fault=message.fault,
    )


def encode_health(health: LabHealth) -> lab_pb2.HealthResponse:
    """Give the message of a daemon's health."""
    return lab_pb2.HealthResponse(
        state=_STATES[health.state],
        queued=health.queued,
        running=health.running,
        operational=health.operational,
        reason=health.reason,
        started_ns=health.started_ns,
        server_version=health.server_version,
        sessions=health.sessions,
    )


def decode_health(message: lab_pb2.HealthResponse) -> LabHealth:
    """Read a daemon's health.

    Raises:
        MalformedMessageError: its state is unknown.
    """
    state = _STATE_OF.get(message.state)
    if state is None:
        raise malformed("state", f"is {message.state}, which names no state; the other end may be newer")
    return LabHealth(
        state=state,
        queued=message.queued,
        running=message.running,
        operational=message.operational,
        reason=message.reason,
        started_ns=message.started_ns,
        server_version=message.server_version,
        sessions=message.sessions,
    )
