"""The emulated rack of a daemon that may be killed: it stays, with what it last put out, and the next daemon on the
same data directory finds it again, as it would find real instruments.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from qubitd.cli.rack_process import start_emulator
from qubitd.server.errors import SimulatorError
from qubitd.server.simulator import Simulator

RECORD = "emulator.json"
"""Name of the file in the data directory that says where the rack is."""
LINGER = 600.0
"""Seconds that it waits for a daemon before it ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an emulated rack is, and which one it is."""

    address: str
    control_port: int
    name: str
    """Given at its start, so that another one on the same port is not taken for it."""
    cabling: str
    """Hash of its wiring and chip."""

    @property
    def simulator(self) -> Simulator:
        """Its control socket."""
        return Simulator(self.address, self.control_port)


@contextmanager
def kept_emulator(directory: Path, cabling: Path, *, linger: float = LINGER) -> Generator[Place]:
    """Give the rack that an earlier daemon left, or a new one; it ends with the block, not with a kill of this process.

    Args:
        directory: the data directory, which this process holds.
        cabling: name of a cabling that the emulator knows, or a file.
        linger: seconds that it outlives this process.

    Raises:
        ChildError: a new one did not start.
    """
    record, digest = directory / RECORD, _digest(cabling)
    found, started = _living(record), None
    if found is not None and found.cabling != digest:
        _end(found)
        found = None
    if found is None:
        name = uuid.uuid4().hex
        started = start_emulator(cabling, linger=linger, name=name)
        found = Place(address=started.address, control_port=started.control_port, name=name, cabling=digest)
        record.write_text(json.dumps(asdict(found)))
    try:
        yield found
    finally:
        if started is None:
            _end(found)
        else:
            started.stop()
        record.unlink(missing_ok=True)


def _living(record: Path) -> Place | None:
    """Read where a rack is, and make sure that it is there."""
    with suppress(OSError, ValueError, TypeError, SimulatorError):
        place = Place(**json.loads(record.read_text()))
        if place.simulator.name() == place.name:
            return place
    return None


def _end(place: Place) -> None:
    with suppress(SimulatorError):
        place.simulator.end()


def _digest(cabling: Path) -> str:
    content = cabling.read_bytes() if cabling.is_file() else str(cabling).encode()
    return hashlib.sha256(content).hexdigest()
