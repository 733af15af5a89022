"""Which ends of a call another try may change."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

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
