"""Which ends of a call another try may change."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from qubitd.client.errors import LostError
from qubitd.client.refusals import is_passing, reason_of


def ended(code: grpc.StatusCode, details: str) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details=details, debug_error_string="")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ended(grpc.StatusCode.UNAVAILABLE, "Socket closed"), True),
        (ended(grpc.StatusCode.INTERNAL, "Internal error from Core"), True),
        (ended(grpc.StatusCode.INTERNAL, "a mistake of the daemon"), False),
        (ended(grpc.StatusCode.INVALID_ARGUMENT, "Internal error from Core"), False),
    ],
)
def test_what_a_broken_connection_ended_is_tried_again_and_what_the_daemon_refused_is_not(
    error: AioRpcError, passes: bool
) -> None:
    assert is_passing(error) == passes


def test_a_message_that_was_cut_off_is_told_in_words() -> None:
    assert reason_of(ended(grpc.StatusCode.INTERNAL, "Internal error from Core")) == (
        "the connection broke while a message was sent"
    )


def test_a_daemon_that_takes_too_long_is_not_said_to_have_gone() -> None:
    late = reason_of(ended(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    gone = reason_of(ended(grpc.StatusCode.UNAVAILABLE, "Socket closed"))
    told = [str(LostError(address="lab:1", seconds=60.0, doing="explaining a job", reason=r)) for r in (late, gone)]
    assert "has not finished explaining a job in the time that a call may take, and was asked for 60 s" in told[0]
    assert "serve" not in told[0]
    assert "went away during explaining a job and has not come back for 60 s (Socket closed)" in told[1]
