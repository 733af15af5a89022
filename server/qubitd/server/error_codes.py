"""One table: which gRPC code each kind of error becomes. An error that is not listed takes the code of its nearest
base.
"""

from __future__ import annotations

import grpc

from qubitd.core.errors import InvalidInputError, OffGridError, Problem, QubitdError
from qubitd.drivers.errors import CapacityError, CeilingError, DriverError
from qubitd.server import errors
from qubitd.server.auth.errors import DeniedError, UnauthenticatedError
from qubitd.wire.errors import Refusal
from qubitd.wire.tables import MissingTablesError

CODES: dict[type[QubitdError], grpc.StatusCode] = {
    QubitdError: grpc.StatusCode.INTERNAL,
    InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    OffGridError: grpc.StatusCode.INVALID_ARGUMENT,
    CapacityError: grpc.StatusCode.INVALID_ARGUMENT,
    CeilingError: grpc.StatusCode.INVALID_ARGUMENT,
    DriverError: grpc.StatusCode.UNAVAILABLE,
    errors.SimulatorError: grpc.StatusCode.UNAVAILABLE,
    errors.UnknownJobError: grpc.StatusCode.NOT_FOUND,
    errors.UnknownBackendError: grpc.StatusCode.NOT_FOUND,
    errors.ServedElsewhereError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.BackendTakenError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnknownRevisionError: grpc.StatusCode.NOT_FOUND,
    errors.UnknownParameterError: grpc.StatusCode.NOT_FOUND,
    errors.OldCursorError: grpc.StatusCode.OUT_OF_RANGE,
    errors.RemovedEventsError: grpc.StatusCode.OUT_OF_RANGE,
    errors.UnknownCursorError: grpc.StatusCode.OUT_OF_RANGE,
    errors.UnknownUploadError: grpc.StatusCode.NOT_FOUND,
    errors.UnknownSessionError: grpc.StatusCode.NOT_FOUND,
    errors.UnknownSlotError: grpc.StatusCode.NOT_FOUND,
    errors.SessionClosedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.SlotTakenError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RevisionGoneError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LabClosedError: grpc.StatusCode.FAILED_PRECONDITION,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    DeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.KeyReusedError: grpc.StatusCode.ALREADY_EXISTS,
    errors.NotEndedError: grpc.StatusCode.FAILED_PRECONDITION,
    MissingTablesError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CommitConflictError: grpc.StatusCode.ABORTED,
    errors.DrainingError: grpc.StatusCode.UNAVAILABLE,
    errors.StoreError: grpc.StatusCode.UNAVAILABLE,
    errors.DiskFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooBusyError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.QuotaExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ExpiredJobError: grpc.StatusCode.NOT_FOUND,
    errors.HelperProcessError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.HelperTooLongError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StoreCorruptError: grpc.StatusCode.DATA_LOSS,
}

_RETRY_AFTER = 1.0
"""Seconds after which it is worth asking again: a daemon that stops may have a successor, a busy one may be free."""


def code_of(error: QubitdError) -> grpc.StatusCode:
    """Give an error's code."""
    bases = type(error).__mro__
    return next(CODES[base] for base in bases if base in CODES)


def refusal_of(error: QubitdError) -> Refusal:
    """Give an error as it travels."""
    number: int = code_of(error).value[0]
    return Refusal(
        code=number,
        message=str(error),
        problems=problems_of(error),
        retry_after=_retry_after(error),
        quota=str(error) if isinstance(error, errors.QuotaExceededError) else "",
        missing_tables=error.hashes if isinstance(error, MissingTablesError) else (),
    )


def _retry_after(error: QubitdError) -> float | None:
    if isinstance(error, errors.QuotaExceededError):
        return error.retry_after
    return _RETRY_AFTER if isinstance(error, errors.DrainingError | errors.TooBusyError) else None


def problems_of(error: BaseException) -> tuple[Problem, ...]:
    """Give the places in the input that an error names, if it names any."""
    if isinstance(error, InvalidInputError):
        return error.problems
    if isinstance(error, OffGridError):
        return (Problem(where=error.what, what=str(error)),)
    if isinstance(error, errors.CommitConflictError):
        what = f"changed since revision {error.base}; the newest is {error.newest}"
        return tuple(Problem(where=name, what=what) for name in error.names)
    return ()
