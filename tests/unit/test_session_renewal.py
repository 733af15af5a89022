"""A session is renewed for as long as the daemon may still have it, however long the daemon was away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qubitd.client import BusyError, ClientError, DaemonFaultError, LostError, NotFoundError, UnreachableError
from qubitd.provider import session


def answers(*errors: ClientError) -> tuple[Any, Iterator[ClientError]]:
    """Give what stands for a client whose daemon answers so, and the answers that were not asked for."""
    left = iter(errors)

    def renew(_: str) -> None:
        raise next(left)

    return cast("Any", SimpleNamespace(sessions=SimpleNamespace(renew=renew))), left


@pytest.mark.parametrize(
    "passing",
    [
        LostError(address="lab:1", seconds=60.0, doing="renewing s", reason="connection refused"),
        UnreachableError(address="lab:1", reason="connection refused", advice="start it"),
        BusyError(message="full", retry_after=None),
        DaemonFaultError("failed"),
    ],
)
def test_a_daemon_that_was_away_hears_of_the_session_again(
    passing: ClientError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HEARTBEAT", 0.0)
    client, left = answers(passing, passing, NotFoundError("no such session"))
    session._renew(client, "s", threading.Event())
    assert not list(left)


def test_a_session_that_is_gone_is_renewed_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HEARTBEAT", 0.0)
    client, left = answers(NotFoundError("no such session"), ClientError("never asked"))
    session._renew(client, "s", threading.Event())
    assert len(list(left)) == 1
