"""The one backend of a daemon: a device, its calibration, and whether its rack answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from qubitd.core.device import Device
from qubitd.core.snapshot import Snapshot
from qubitd.server.instruments.rack import RackThread
from qubitd.server.jobs.limits import limits_of
from qubitd.server.revisions.calibrations import Calibrations
from qubitd.server.version import server_version
from qubitd.v1 import backends_pb2
from qubitd.wire.backends import BackendInfo, Limits, backend_info, encode_backend


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backend:
    """What the daemon offers."""

    calibrations: Calibrations
    rack: RackThread
    _described: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])

    @property
    def device(self) -> Device:
        """What the chip is."""
        return self.calibrations.device

    @property
    def limits(self) -> Limits:
        """What one job may ask for."""
        return limits_of(self.device)

    @property
    def trouble(self) -> str:
        """Why jobs do not run now; empty if they do."""
        return "" if self.rack.is_operational else self.rack.fault or "its rack does not answer yet"

    def current(self) -> bytes:
        """Describe it as it stands: the message that watchers get, made once however many they are."""
        key = (self.calibrations.current.digest, self.trouble)
        if key not in self._described:
            info = self.describe(self.calibrations.current)
            answer = backends_pb2.BackendsWatchResponse(backend=encode_backend(info)).SerializeToString()
            self._described.clear()
            self._described[key] = answer
        return self._described[key]

    def describe(self, snapshot: Snapshot) -> BackendInfo:
        """Describe it at a revision.

        Raises:
            InvalidCalibrationError: a duration is missing at that revision.
        """
        return backend_info(
            self.device,
            snapshot,
            limits=self.limits,
            operational=self.rack.is_operational,
            trouble=self.trouble,
            simulated=self.rack.is_simulated,
            server_version=server_version(),
        )
