"""A daemon's client in plain Python: no Qiskit, no instruments."""

from qubitd.client import quiet as quiet  # before anything that imports gRPC
from qubitd.client.aio import AsyncQubitdClient
from qubitd.client.client import QubitdClient
from qubitd.client.config import Access, config_file, find_access
from qubitd.client.errors import (
    AddressError,
    BusyError,
    ClientError,
    ClosedError,
    ConfigError,
    ConflictError,
    DaemonFaultError,
    DeniedError,
    KeyReusedError,
    LostError,
    NotFoundError,
    OlderDaemonError,
    ProgramError,
    RefusedError,
    StateError,
    UnconfiguredError,
    UnreachableError,
)
from qubitd.client.link import PATIENCE
from qubitd.client.streams import Stream
from qubitd.core.native import cache_directory
from qubitd.core.plan import JobPlan, ProgramPlan
from qubitd.wire.backends import BackendInfo, BackendStanding, GateSignature, Limits
from qubitd.wire.calibrations import HistoryEntry, ParameterChange, Revision, RevisionChange
from qubitd.wire.jobs import (
    Bookmark,
    ExecutionSpan,
    Job,
    JobEvent,
    LogLine,
    Outcome,
    Progress,
    QueuePlace,
    StageTime,
    StatusChange,
    TimeSpent,
)
from qubitd.wire.lab import InstrumentInfo, LabHealth, LabState
from qubitd.wire.sessions import AtExpiry, SessionInfo, SessionMode, SessionState, SessionTerms, SessionUsage
from qubitd.wire.slots import Reservation, SlotInfo, SlotKind
from qubitd.wire.terms import JobTerms, RevisionPolicy, Urgency

__all__ = [
    "PATIENCE",
    "Access",
    "AddressError",
    "AsyncQubitdClient",
    "AtExpiry",
    "BackendInfo",
    "BackendStanding",
    "Bookmark",
    "BusyError",
    "ClientError",
    "ClosedError",
    "ConfigError",
    "ConflictError",
    "DaemonFaultError",
    "DeniedError",
    "ExecutionSpan",
    "GateSignature",
    "HistoryEntry",
    "InstrumentInfo",
    "Job",
    "JobEvent",
    "JobPlan",
    "JobTerms",
    "KeyReusedError",
    "LabHealth",
    "LabState",
    "Limits",
    "LogLine",
    "LostError",
    "NotFoundError",
    "OlderDaemonError",
    "Outcome",
    "ParameterChange",
    "ProgramError",
    "ProgramPlan",
    "Progress",
    "QubitdClient",
    "QueuePlace",
    "RefusedError",
    "Reservation",
    "Revision",
    "RevisionChange",
    "RevisionPolicy",
    "SessionInfo",
    "SessionMode",
    "SessionState",
    "SessionTerms",
    "SessionUsage",
    "SlotInfo",
    "SlotKind",
    "StageTime",
    "StateError",
    "StatusChange",
    "Stream",
    "TimeSpent",
    "UnconfiguredError",
    "UnreachableError",
    "Urgency",
    "cache_directory",
    "config_file",
    "find_access",
]
