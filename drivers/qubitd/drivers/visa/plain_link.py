"""Any other VISA resource, or any other VISA library, through pyvisa as it is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pyvisa
from pyvisa.constants import StatusCode
from pyvisa.resources import MessageBasedResource

from qubitd.drivers.errors import LinkClosedError, LinkTimeoutError, MalformedAnswerError
from qubitd.drivers.visa.link import Bytes, Link


class PlainLink(Link):
    """HiSLIP, VXI-11, serial, or a raw socket under another VISA library."""

    def __init__(self, *, resource: str, timeout: float, visa: MessageBasedResource) -> None:
        super().__init__(resource=resource, timeout=timeout)
        self._visa = visa
        visa.timeout = timeout * 1000
        visa.read_termination = "\n"

    def _send(self, parts: Sequence[Bytes]) -> None:
        with self._translated("it did not take the message"):
            self._visa.write_raw(b"".join(parts))

    def _line(self) -> str:
        while (end := self._received.find(b"\n")) < 0:
            self._read_more()
        return self._take(end + 1).rstrip(b"\r\n").decode("utf-8", errors="replace")

    def _receive(self, count: int, room: bytearray | None) -> memoryview:
        del room
        self._await_bytes(count)
        return memoryview(self._take(count))

    def _await_bytes(self, count: int, *, like: bytes | None = None) -> None:
        while len(self._received) < count and (like is None or like.startswith(self._received)):
            self._read_more()

    def _read_more(self) -> None:
        with self._translated("it did not answer"):
            self._received.extend(self._visa.read_raw())

    def _refuse_leftovers(self) -> None:
        if self._received:
            raise MalformedAnswerError(
                resource=self.resource, what=f"it sent {bytes(self._received[:80])!r} that nobody asked for"
            )

    def _hang_up(self) -> None:
        self._visa.close()

    @contextmanager
    def _translated(self, what: str) -> Generator[None, None, None]:
        try:
            yield
        except pyvisa.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                raise LinkTimeoutError(resource=self.resource, what=what, timeout=self.timeout) from error
            raise LinkClosedError(resource=self.resource, what=f"{error.description}; connect again") from error
        except (pyvisa.Error, OSError) as error:
            raise LinkClosedError(resource=self.resource, what=f"{error}; connect again") from error
