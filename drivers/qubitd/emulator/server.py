"""Instruments on TCP: every connection has its own reader; blocks are received straight into their own memory."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import cast

from qubitd.emulator.faults import Fault, FaultKind, FaultPlan
from qubitd.emulator.lifetime import Lifetime
from qubitd.emulator.scpi.reader import MessageReader
from qubitd.emulator.scpi.session import Session

log = logging.getLogger(__name__)

_SHORT = 1 << 17
"""Bytes of an answer that may wait for the next one: who is woken for each of them loses more time than it gains."""

# Closing a socket with this linger setting resets the connection.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ScpiConnection(asyncio.BufferedProtocol):
    """One client of one instrument."""

    def __init__(self, *, session: Session, port: int, faults: FaultPlan, lifetime: Lifetime) -> None:
        self._session = session
        self._port = port
        self._faults = faults
        self._lifetime = lifetime
        self._reader = MessageReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer at once: a delayed acknowledgement would cost 40 ms."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lifetime.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; what it left unfinished goes with it."""
        log.debug("connection lost", extra={"port": self._port, "cause": repr(exc)})
        self._transport = None
        self._lifetime.closed()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the place where the next bytes belong."""
        del sizehint
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Execute what is complete; short answers go out together."""
        self._reader.buffer_updated(nbytes)
        together: list[bytes] = []
        while (message := self._reader.take()) is not None:
            answer = self._session.execute(message)
            fault = self._faults.take(self._port) if answer else None
            if fault is None:
                together.append(answer)
                if len(answer) <= _SHORT:
                    continue
            self._send(together)
            together.clear()
            if fault is not None:
                self._spoil(answer, fault)
        self._send(together)

    def _send(self, answers: list[bytes]) -> None:
        if self._transport is not None and any(answers):
            # What the socket does not take at once is cut off in place.
            self._transport.write(memoryview(b"".join(answers)))

    def _spoil(self, answer: bytes, fault: Fault) -> None:
        log.info("fault", extra={"port": self._port, "kind": fault.kind.value})
        transport = self._transport
        if transport is None:
            return
        match fault.kind:
            case FaultKind.STALL:
                return
            case FaultKind.HALF:
                transport.write(answer[: len(answer) // 2])
            case FaultKind.LATE:
                asyncio.get_running_loop().call_later(fault.seconds, transport.write, answer)
            case FaultKind.CLOSE:
                transport.close()
            case FaultKind.RESET:
                self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                transport.abort()

    def _socket(self) -> socket.socket:
        if self._transport is None:
            raise ConnectionError("the connection is closed")
        return cast(socket.socket, self._transport.get_extra_info("socket"))
