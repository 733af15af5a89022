"""The one backend of a daemon: a device, its calibration, and whether its rack answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from qubitd.core.device import Device
from qubitd.core.snapshot import Snapshot
from qubitd.server.calibrations import Calibrations
from qubitd.server.errors import UnknownBackendError
from qubitd.server.limits import limits_of
from qubitd.server.rack import RackThread
from qubitd.v1 import backends_pb2
from qubitd.wire.backends import BackendInfo, Limits, backend_info, encode_backend


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backend:
    """What the daemon offers."""

    calibrations: Calibrations
    rack: RackThread
    _described: dict[tuple[str, bool], bytes] = field(default_factory=dict[tuple[str, bool], bytes])

    @property
    def device(self) -> Device:
        """What the chip is."""
        return self.calibrations.device

    @property
    def limits(self) -> Limits:
        """What one job may ask for."""
        return limits_of(self.device)

    def current(self) -> bytes:
        """Describe it as it stands: the message that watchers get, made once however many they are."""
        key = (self.calibrations.current.digest, self.rack.is_operational)
        if key not in self._described:
            info = self.describe(self.calibrations.current)
            answer = backends_pb2.BackendsWatchResponse(backend=encode_backend(info)).SerializeToString()
            self._described.clear()
            self._described[key] = answer
        return self._described[key]

    def check_name(self, name: str) -> None:
        """Make sure that a request means this backend.

        Raises:
            UnknownBackendError: it means another.
        """
        if name != self.device.name:
            raise UnknownBackendError(name=name, served=self.device.name)

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
            simulated=self.rack.is_simulated,
            server_version=server_version(),
        )


def server_version() -> str:
    """Give the version of the installed package."""
    try:
        return version("qubitd")
    except PackageNotFoundError:
        return "0+unknown"
