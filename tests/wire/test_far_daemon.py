"""A daemon that is far away, or busy, answers a new connection late; it is there all the same."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.canned_daemon import Daemon, serve

from qubitd.client import QubitdClient

LATE = 0.4
"""Seconds until the first byte comes back: a few turns of a TLS handshake over an ocean."""


def _pass_on(source: socket.socket, target: socket.socket, delay: float) -> None:
    time.sleep(delay)
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def far_address() -> Iterator[str]:
    """A network of its own: what the daemon answers first comes late."""
    server, port = serve(Daemon())

    def carry() -> None:
        here, _ = listener.accept()
        with here:
            there_to_here = threading.Thread(target=_pass_on, args=(there, here, LATE))
            there_to_here.start()
            _pass_on(here, there, 0.0)
            there_to_here.join()

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(("127.0.0.1", port)) as there,
    ):
        carrier = threading.Thread(target=carry)
        carrier.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.stop(None).wait()
        carrier.join()


def test_a_connection_may_take_its_time(far_address: str) -> None:
    with QubitdClient(far_address, patience=0.0) as client:
        assert client.backends() == ("line5",)
