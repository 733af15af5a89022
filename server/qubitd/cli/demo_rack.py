"""What the demo works with: an emulated rack, a daemon with a data directory of its own, and what the rack played."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qubitd.cli.daemon_process import start_daemon
from qubitd.cli.rack_process import Emulator, start_emulator
from qubitd.core.errors import QubitdError
from qubitd.emulator.events import EventTable
from qubitd.emulator.played import from_document

_TIMEOUT = 10.0


class NothingPlayedError(QubitdError):
    """The emulated rack cannot say what it played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRack:
    """Both processes, running."""

    emulator: Emulator
    server: str
    """The daemon's address."""

    def last_played(self) -> EventTable:
        """Give the newest table of what left the rack's connectors.

        Raises:
            NothingPlayedError: nothing was played yet, or the rack does not answer.
        """
        tables = _ask(self.emulator, {"command": "events"}).get("tables")
        if not isinstance(tables, list) or not tables:
            raise NothingPlayedError("the emulated rack has played nothing yet; run a job first")
        return from_document(tables[-1])


@contextmanager
def start_demo_rack(device: str = "line5") -> Generator[DemoRack]:
    """Start both on free addresses; leaving ends them and removes the data."""
    with tempfile.TemporaryDirectory(prefix="qubitd-demo-") as data, start_emulator() as emulator:
        options = ["--emulator", f"{emulator.address}:{emulator.control_port}"]
        with start_daemon(device=device, data_dir=Path(data), options=options) as daemon:
            yield DemoRack(emulator=emulator, server=daemon.address)


def _ask(emulator: Emulator, request: dict[str, object]) -> dict[str, object]:
    where = (emulator.address, emulator.control_port)
    try:
        with socket.create_connection(where, timeout=_TIMEOUT) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, object] = json.loads(lines.readline() or b"{}")
    except OSError as error:
        raise NothingPlayedError(f"the emulated rack at {where[0]}:{where[1]} does not answer: {error}") from error
    return answer
