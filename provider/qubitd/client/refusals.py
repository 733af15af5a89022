"""gRPC's errors become the client's own; nothing of gRPC leaves this package."""

from __future__ import annotations

from typing import cast

import grpc

from qubitd.client.errors import (
    CONNECTION_REFUSED,
    NO_ANSWER,
    BusyError,
    ClientError,
    ConflictError,
    DaemonFaultError,
    DeniedError,
    ForgottenTablesError,
    KeyReusedError,
    NotFoundError,
    RefusedError,
    StateError,
)
from qubitd.wire.errors import DETAILS_KEY, MalformedMessageError, Refusal, clip, decode_refusal

_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
_NOT_SENT = "Internal error from Core"
"""What gRPC's own client for asyncio says, as INTERNAL, of a message that was on its way when the connection broke."""
_UNKNOWN_NAME = "no such host name"
_LOOKUP_FAILED = ("dns resolution failed", "address lookup failed")
"""What gRPC says of a name that it finds no address of, lower case."""
_START = "start one with `qubitd serve`, or check the address"
_ADVICE = {
    _UNKNOWN_NAME: "check how it is spelt and whether this machine can look names up, or give its IP address",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not of an authority trusted here: give the lab's as ca "
    "(auth/ca.pem of the daemon's data directory)",
    "Hostname Verification": "its certificate is for other names: use one of them, or let the operator make one for "
    "this name (qubitd auth init --host NAME)",
    "WRONG_VERSION_NUMBER": "what listens there speaks no TLS: a daemon that serves on loopback is called without ca, "
    "cert and key",
    "Socket closed": "something listens there and hangs up: a daemon that serves TLS wants ca, and one that was "
    "started with --client-certificates also cert and key",
}
"""What to do, by a word of what gRPC says of a connection that failed."""


def is_passing(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed later: no daemon, one that stops, a broken connection, or no answer in time."""
    return code_of(error) in _PASSING or _was_not_sent(error)


def asked_to_wait(error: grpc.RpcError) -> float | None:
    """Give the seconds after which a daemon that has too much to do wants to be asked again; None if it said none."""
    return _refusal(error).retry_after if code_of(error) is grpc.StatusCode.RESOURCE_EXHAUSTED else None


def busy_for(error: grpc.RpcError) -> float | None:
    """Give the seconds after which a daemon that had no room just now may take the same call; None for any other end.

    Who has used up a quota of theirs has to wait for their own jobs or sessions, not for the daemon.
    """
    return None if _refusal(error).quota else asked_to_wait(error)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Give the status code of a call that ended."""
    return _call(error).code()


def reason_of(error: grpc.RpcError) -> str:
    """Say in a few words why a call ended."""
    details = _details(error)
    if CONNECTION_REFUSED in details.lower():
        return CONNECTION_REFUSED
    if any(words in details.lower() for words in _LOOKUP_FAILED):
        return _UNKNOWN_NAME
    if code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NO_ANSWER
    if _was_not_sent(error):
        return "the connection broke while a message was sent"
    return clip(details or code_of(error).name, 300)


def advice_on(reason: str) -> str:
    """Say what to do about a daemon that was never reached."""
    return next((advice for word, advice in _ADVICE.items() if word in reason), _START)


def to_error(error: grpc.RpcError, *, doing: str) -> ClientError:
    """Translate the end of a call that another try would not change."""
    refusal = _refusal(error)
    message = refusal.message
    match code_of(error):
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
            return RefusedError(message=message, problems=refusal.problems)
        case grpc.StatusCode.NOT_FOUND:
            return NotFoundError(message)
        case grpc.StatusCode.ALREADY_EXISTS:
            return KeyReusedError(message)
        case grpc.StatusCode.ABORTED:
            return ConflictError(message=message, problems=refusal.problems)
        case grpc.StatusCode.FAILED_PRECONDITION if refusal.missing_tables:
            return ForgottenTablesError(message=message, hashes=refusal.missing_tables)
        case grpc.StatusCode.FAILED_PRECONDITION:
            return StateError(message)
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return DeniedError(message)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return BusyError(message=f"{doing}: {message}", retry_after=refusal.retry_after)
        case code:
            return DaemonFaultError(f"{doing} failed in the daemon ({code.name}): {message}; its log says more")


def _was_not_sent(error: grpc.RpcError) -> bool:
    return code_of(error) is grpc.StatusCode.INTERNAL and _details(error) == _NOT_SENT


def _refusal(error: grpc.RpcError) -> Refusal:
    plain = Refusal(code=int(code_of(error).value[0]), message=_details(error))
    for key, value in _call(error).trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return decode_refusal(value)
            except MalformedMessageError:
                return plain
    return plain


def _details(error: grpc.RpcError) -> str:
    return _call(error).details() or ""


def _call(error: grpc.RpcError) -> grpc.Call:
    """Every error that a synchronous call or stream raises is that call."""
    return cast(grpc.Call, error)
