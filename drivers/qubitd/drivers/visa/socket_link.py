"""Raw sockets that pyvisa-py opened, driven by us: no delayed small packets, whole buffers, a deadline on both ways.

Why not pyvisa-py's own read and write: docs/explanation/decisions/0007-visa-session.md.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

from qubitd.drivers.errors import InstrumentNotFoundError, LinkClosedError, LinkTimeoutError, MalformedAnswerError
from qubitd.drivers.visa.link import Bytes, Link

CHUNK = 1 << 20
"""Bytes handed to the kernel at once: larger ones gain nothing."""
LONGEST_LINE = 1 << 24
"""Bytes after which an answer without a line end is no line."""
SLOWEST = 10e6
"""Bytes per second that a big transfer must reach: its deadline grows with its size. A standstill ends it earlier."""


class SocketLink(Link):
    """A `TCPIP::<host>::<port>::SOCKET` resource."""

    def __init__(self, *, resource: str, timeout: float, visa: Any, connection: socket.socket) -> None:
        super().__init__(resource=resource, timeout=timeout)
        self._visa = visa
        """The pyvisa resource that owns the connection."""
        self._socket = connection
        self._piece = memoryview(bytearray(1 << 16))
        self._read_poll = select.poll()
        self._read_poll.register(connection, select.POLLIN)
        self._write_poll = select.poll()
        self._write_poll.register(connection, select.POLLOUT)
        refuse_failed_connection(connection, resource)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)

    def _send(self, parts: Sequence[Bytes]) -> None:
        total = sum(map(len, parts))
        deadline = self._deadline(total)
        if total <= CHUNK:
            parts = [b"".join(parts)]
        for part in parts:
            self._send_all(memoryview(part).cast("B"), deadline)

    def _send_all(self, rest: memoryview, deadline: float) -> None:
        while rest:
            try:
                sent = self._socket.send(rest[:CHUNK])
            except BlockingIOError:
                self._await_room(deadline)
                continue
            except OSError as error:
                raise self._lost(error) from error
            rest = rest[sent:]

    def _line(self) -> str:
        end = self._received.find(b"\n")
        if end < 0:
            end = self._await_line_end()
        return self._take(end + 1).rstrip(b"\r\n").decode("utf-8", errors="replace")

    def _await_line_end(self) -> int:
        """Receive until a line feed has come; give its place."""
        deadline = self._deadline(0)
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > LONGEST_LINE:
                raise MalformedAnswerError(resource=self.resource, what=f"no line end in {searched} bytes of answer")
            self._receive_more(deadline)
        return end

    def _await_bytes(self, count: int, *, like: bytes | None = None) -> None:
        deadline = self._deadline(count)
        while len(self._received) < count and (like is None or like.startswith(self._received)):
            self._receive_more(deadline)

    def _receive_more(self, deadline: float) -> None:
        """Receive a piece of the answers."""
        count = self._some_into(self._piece, deadline)
        self._received.extend(self._piece[:count])

    def _receive(self, count: int, room: bytearray | None) -> memoryview:
        if count <= len(self._piece):
            self._await_bytes(count)
            return memoryview(self._take(count))
        deadline = self._deadline(count)
        whole = room if room is not None and len(room) == count else bytearray(count)
        ahead = min(count, len(self._received))
        whole[:ahead] = self._take(ahead)
        rest = memoryview(whole)[ahead:]
        while rest:
            rest = rest[self._some_into(rest, deadline) :]
        if self._taken is not None:
            self._taken += memoryview(whole)[ahead:]
        return memoryview(whole)

    def _some_into(self, room: memoryview, deadline: float) -> int:
        """Receive what comes next. It is seldom there already, so that it is waited for first; by `poll`, after which
        a signal does not make the wait begin anew."""
        while True:
            left = min(deadline - time.monotonic(), self.timeout)
            if not self._read_poll.poll(max(0.0, left) * 1000):
                raise self._late("it did not answer")
            try:
                count = self._socket.recv_into(room)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost(error) from error
            if count == 0:
                raise LinkClosedError(
                    resource=self.resource, what="the instrument closed the connection; connect again"
                )
            return count

    def _refuse_leftovers(self) -> None:
        if not self._received and self._read_poll.poll(0):
            self._receive_more(self._deadline(0))
        if self._received:
            raise MalformedAnswerError(
                resource=self.resource, what=f"it sent {bytes(self._received[:80])!r} that nobody asked for"
            )

    def _deadline(self, count: int) -> float:
        return time.monotonic() + self.timeout + count / SLOWEST

    def _await_room(self, deadline: float) -> None:
        left = min(deadline - time.monotonic(), self.timeout)
        if left <= 0 or not self._write_poll.poll(left * 1000):
            raise self._late("it did not take the message")

    def _late(self, what: str) -> LinkTimeoutError:
        return LinkTimeoutError(resource=self.resource, what=what, timeout=self.timeout)

    def _lost(self, error: OSError) -> LinkClosedError:
        return LinkClosedError(
            resource=self.resource, what=f"the connection broke ({error.strerror or error}); connect again"
        )

    def _hang_up(self) -> None:
        self._visa.close()


def refuse_failed_connection(connection: socket.socket, resource: str) -> None:
    """Raise if the connection did not come about: pyvisa-py takes a refused one for open.

    Raises:
        InstrumentNotFoundError: nobody listens there.
    """
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == 0:
        try:
            connection.getpeername()
        except OSError as error:
            code = error.errno or errno.ENOTCONN
    if code:
        raise InstrumentNotFoundError(
            resource=resource,
            what=f"no instrument answers ({os.strerror(code)}); check its power and the address in the rack file",
        )
