"""A peer for wire tests: it answers a connection exactly as a test tells it to, and keeps what it received."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest


class Peer:
    """A TCP server on a free port. The test's function handles each connection, in a thread of its own."""

    def __init__(self, behave: Callable[[Peer, socket.socket], None]) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._acceptor = threading.Thread(target=self._serve, daemon=True)
        self._handled: list[tuple[threading.Thread, socket.socket]] = []
        self.received = bytearray()
        self.released = threading.Event()
        """For a behaviour that waits until its test says so."""
        self._acceptor.start()

    @property
    def resource(self) -> str:
        return f"TCPIP0::127.0.0.1::{self._listener.getsockname()[1]}::SOCKET"

    def line(self, connection: socket.socket) -> str:
        """Receive one line."""
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self.take(connection, 1)
        return line.decode()

    def take(self, connection: socket.socket, count: int) -> bytes:
        """Receive so many bytes."""
        data = bytearray()
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise ConnectionError("the driver hung up")
            data += piece
        self.received += data
        return bytes(data)

    def close(self) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for handler, connection in self._handled:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            handler.join()
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            handler = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            self._handled.append((handler, connection))
            handler.start()

    def _handle(self, connection: socket.socket) -> None:
        try:
            self._behave(self, connection)
        except OSError:
            connection.close()


@pytest.fixture
def peer() -> Iterator[Callable[[Callable[[Peer, socket.socket], None]], Peer]]:
    """Start peers that end with the test."""
    started: list[Peer] = []

    def start(behave: Callable[[Peer, socket.socket], None]) -> Peer:
        started.append(Peer(behave))
        return started[-1]

    yield start
    for one in started:
        one.close()
