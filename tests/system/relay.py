"""A network between a client and a daemon that a test can cut, silence and mend."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes on between a port of its own and a daemon, unless it is cut."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._daemon = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._is_cut = False
        self._is_silent = False
        self._open: set[socket.socket] = set()
        self._refused = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and each that is tried from now on."""
        with self._lock:
            self._is_cut = True
            self._refused.clear()
            for end in self._open:
                _shut(end)

    def silence(self) -> None:
        """Keep connections open, and swallow what is sent through them from now on."""
        with self._lock:
            self._is_silent = True

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_cut = self._is_silent = False

    def wait_for_try(self, timeout: float) -> bool:
        """Wait until somebody has tried to connect since the cut."""
        return self._refused.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cut()
        # A blocked accept() ends with shutdown(), not with close().
        _shut(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = self._connect(near)
            if far is not None:
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _connect(self, near: socket.socket) -> socket.socket | None:
        with self._lock:
            if self._is_cut:
                near.close()
                self._refused.set()
                return None
            far = socket.create_connection(self._daemon)
            self._open |= {near, far}
            return far

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                if not self._is_silent:
                    sink.sendall(data)
        except OSError:
            # The cut, or an end that went away: both show as the end of the other side.
            pass
        finally:
            _shut(source)
            _shut(sink)
            with self._lock:
                self._open.discard(source)
            source.close()


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It is shut already.
        return
