"""What is wrong with a message, and how a refusal travels: a google.rpc.Status whose details list the problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]  # it has none

from qubitd.core.errors import InvalidInputError, Problem
from qubitd.v1 import circuits_pb2, jobs_pb2

DETAILS_KEY = "grpc-status-details-bin"
"""Key of the trailing metadata in which gRPC carries a google.rpc.Status."""
MAX_DETAILS_BYTES = 5_000
"""gRPC cuts a connection whose metadata exceed 16 KB; these go as base64, and the message goes beside them."""
MAX_TEXT_BYTES = 1_000
"""Longest message of a refusal, and longest text of one problem in it."""


class MalformedMessageError(InvalidInputError):
    """A message breaks the wire contract; `problems` names fields, circuits and operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call was refused, as it travels."""

    code: int
    """gRPC's number, such as 3 for INVALID_ARGUMENT."""
    message: str
    """For a person."""
    problems: tuple[Problem, ...] = ()
    retry_after: float | None = None
    """Seconds after which another try may succeed."""
    quota: str = ""
    """Which quota is used up; empty if it is not that."""
    missing_tables: tuple[bytes, ...] = ()
    """Hashes of tables that are to be sent with their content."""


def encode_refusal(refusal: Refusal) -> bytes:
    """Give the value for the key `DETAILS_KEY`. Problems that would not fit are counted, not listed."""
    status = status_pb2.Status(code=refusal.code, message=clip(refusal.message))
    if refusal.retry_after is not None:
        wait = duration_pb2.Duration()
        wait.FromNanoseconds(round(refusal.retry_after * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=wait))
    if refusal.quota:
        violation = error_details_pb2.QuotaFailure.Violation(subject="project", description=clip(refusal.quota))
        status.details.add().Pack(error_details_pb2.QuotaFailure(violations=[violation]))
    if refusal.missing_tables:
        status.details.add().Pack(circuits_pb2.MissingTables(sha256=refusal.missing_tables))
    if refusal.problems:
        status.details.add().Pack(jobs_pb2.ProblemList(problems=_that_fit(refusal.problems)))
    data: bytes = status.SerializeToString()
    return data


def decode_refusal(data: bytes) -> Refusal:
    """Read what `encode_refusal` wrote.

    Raises:
        MalformedMessageError: the bytes are no google.rpc.Status, or a detail of it is damaged.
    """
    retry_after = None
    quota = ""
    problems: list[Problem] = []
    missing: list[bytes] = []
    try:
        status = status_pb2.Status.FromString(data)
        for detail in status.details:
            if detail.TypeName() == error_details_pb2.RetryInfo.DESCRIPTOR.full_name:
                wait = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                retry_after = wait.seconds + wait.nanos * 1e-9
            elif detail.TypeName() == error_details_pb2.QuotaFailure.DESCRIPTOR.full_name:
                quota = "; ".join(
                    v.description for v in error_details_pb2.QuotaFailure.FromString(detail.value).violations
                )
            elif detail.TypeName() == jobs_pb2.ProblemList.DESCRIPTOR.full_name:
                problems += decode_problems(jobs_pb2.ProblemList.FromString(detail.value).problems)
            elif detail.TypeName() == circuits_pb2.MissingTables.DESCRIPTOR.full_name:
                missing += circuits_pb2.MissingTables.FromString(detail.value).sha256
    except DecodeError as error:
        raise malformed("google.rpc.Status", f"cannot be parsed ({error})") from error
    return Refusal(
        code=status.code,
        message=status.message,
        problems=tuple(problems),
        retry_after=retry_after,
        quota=quota,
        missing_tables=tuple(missing),
    )


def encode_problem(problem: Problem) -> jobs_pb2.Problem:
    """Give the message of one problem."""
    return jobs_pb2.Problem(
        where=clip(problem.where),
        what=clip(problem.what),
        circuit=problem.circuit,
        operation=problem.operation,
    )


def decode_problems(messages: Iterable[jobs_pb2.Problem]) -> tuple[Problem, ...]:
    """Read problems."""
    return tuple(
        Problem(
            where=message.where,
            what=message.what,
            circuit=message.circuit if message.HasField("circuit") else None,
            operation=message.operation if message.HasField("operation") else None,
        )
        for message in messages
    )


def clip(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """Cut a text that takes more than `limit` bytes; what cannot be encoded becomes a question mark."""
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "..."


def malformed(where: str, what: str) -> MalformedMessageError:
    """Give the error for one problem."""
    return MalformedMessageError([Problem(where=where, what=what)])


def _that_fit(problems: Sequence[Problem]) -> list[jobs_pb2.Problem]:
    kept: list[jobs_pb2.Problem] = []
    room = MAX_DETAILS_BYTES
    for problem in problems:
        message = encode_problem(problem)
        room -= message.ByteSize()
        if room < 0:
            kept.append(jobs_pb2.Problem(where="input", what=f"{len(problems) - len(kept)} more problems"))
            break
        kept.append(message)
    return kept
