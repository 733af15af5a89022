"""The emulated rack of a daemon that may be killed: it stays, with what it last put out, and the next daemon on the
same data directory finds it again, as it would find real instruments. One that died is started anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from qubitd.cli.child import ChildError
from qubitd.cli.rack_process import Emulator, start_emulator
from qubitd.drivers.errors import InstrumentNotFoundError
from qubitd.server.errors import SimulatorError
from qubitd.server.instruments.simulator import Simulator

RECORD = "emulator.json"
"""Name of the file in the data directory that says where the rack is."""
LINGER = 600.0
"""Seconds that it waits for a daemon before it ends by itself."""
REST = 30.0
"""Seconds from a start that failed to the next one."""
_log = logging.getLogger(__name__)


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


class KeptEmulator:
    """The rack that an earlier daemon left, or a new one. Used by one thread at a time."""

    def __init__(self, directory: Path, cabling: Path, *, linger: float) -> None:
        """Find it, or start it.

        Args:
            directory: the data directory, which this process holds.
            cabling: name of a cabling that the emulator knows, or a file.
            linger: seconds that it outlives this process.

        Raises:
            ChildError: a new one did not start.
        """
        self._record, self._cabling, self._linger = directory / RECORD, cabling, linger
        self._started: Emulator | None = None
        self._rests_until = -math.inf
        digest = _digest(cabling)
        found = _living(self._record)
        if found is not None and found.cabling != digest:
            _end(found)
            found = None
        self.place = self._start_new(digest) if found is None else found
        """Where it is, for as long as this process lives."""

    def revive(self) -> bool:
        """Start it anew where it was, if it is gone; whether it was.

        Raises:
            InstrumentNotFoundError: it did not start, now or within the last `REST` seconds.
        """
        if not self.place.simulator.is_gone():
            return False
        if time.monotonic() < self._rests_until:
            raise self._not_started
        self._rests_until = time.monotonic() + REST
        try:
            self._start_again()
        except (ChildError, OSError) as error:
            _log.warning("the emulated rack does not start anew", extra={"cause": str(error)})
            raise self._not_started from error
        self._rests_until = -math.inf
        return True

    @property
    def _not_started(self) -> InstrumentNotFoundError:
        what = f"the emulated rack does not answer; it did not start anew, the next try is within {REST:g} s"
        return InstrumentNotFoundError(resource=self.place.address, what=what)

    def end(self) -> None:
        """End it, and leave nothing for the next daemon to find."""
        if self._started is None:
            _end(self.place)
        else:
            self._started.stop()
        self._record.unlink(missing_ok=True)

    def _start_new(self, digest: str) -> Place:
        name = uuid.uuid4().hex
        self._started = started = start_emulator(self._cabling, linger=self._linger, name=name)
        place = Place(address=started.address, control_port=started.control_port, name=name, cabling=digest)
        keep(self._record, place)
        return place

    def _start_again(self) -> None:
        """Start it with the name that it had: whoever knew it finds it."""
        if self._started is not None:
            self._started.stop()
        self.place = replace(self.place, cabling=_digest(self._cabling))
        keep(self._record, self.place)
        where = self.place.address, self.place.control_port
        _log.warning("the emulated rack was gone; starting it anew", extra={"address": self.place.address})
        self._started = start_emulator(self._cabling, linger=self._linger, name=self.place.name, at=where)


@contextmanager
def kept_emulator(directory: Path, cabling: Path, *, linger: float = LINGER) -> Generator[KeptEmulator]:
    """Give the rack as `KeptEmulator` finds or starts it; it ends with the block, not with a kill of this process.

    Raises:
        ChildError: a new one did not start.
    """
    kept = KeptEmulator(directory, cabling, linger=linger)
    try:
        yield kept
    finally:
        kept.end()


def keep(record: Path, place: Place) -> None:
    """Write down where a rack is; whoever is killed meanwhile leaves the record as it was, or as it is to be."""
    half = record.with_suffix(".half")
    half.write_text(json.dumps(asdict(place)))
    half.replace(record)


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
