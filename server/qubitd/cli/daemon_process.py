"""Starts a daemon as a process beside ours and says where it serves. It ends with us, even if we are killed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from qubitd.cli.child import Child, ChildError

_SERVING = re.compile(r"serving (?P<backend>\S+) on (?P<address>\S+:[0-9]+)")


class DaemonProcess:
    """A running daemon; leaving the `with` ends it."""

    def __init__(self, child: Child, *, backend: str, address: str) -> None:
        self.backend = backend
        """Name of the backend that it serves."""
        self.address = address
        """Such as `127.0.0.1:50051`."""
        self._child = child

    @property
    def process_id(self) -> int:
        """Its number in the operating system."""
        return self._child.process_id

    def stop(self) -> None:
        """End it in order. Safe to call twice."""
        self._child.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._child.kill()

    def wait(self, timeout: float) -> int:
        """Wait for its end and give its exit code."""
        return self._child.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_daemon(
    *,
    data_dir: Path,
    device: str = "line5",
    rack: Path | None = None,
    port: int = 0,
    options: Sequence[str] = (),
) -> DaemonProcess:
    """Start a daemon and wait until it accepts jobs.

    Args:
        data_dir: where it keeps its store.
        device: name of a packaged device, or a device file.
        rack: a rack file; None for the emulated demo rack.
        port: 0 for any free one.
        options: more options of `qubitd serve`.

    Raises:
        ChildError: it did not start.
    """
    arguments = ["serve", "--device", device, "--port", str(port), "--data-dir", str(data_dir), "--stop-at-eof"]
    if rack is not None:
        arguments += ["--rack", str(rack)]
    child = Child("qubitd.cli", [*arguments, *options], name="the daemon")
    line = child.first_line()
    serving = _SERVING.fullmatch(line)
    if serving is None:
        child.stop()
        raise ChildError(name="the daemon", what=f"said {line!r}")
    return DaemonProcess(child, backend=serving["backend"], address=serving["address"])
