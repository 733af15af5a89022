"""What a daemon serves, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from qubitd.compiler.device_file import DeviceFile
from qubitd.drivers.controller import Controller
from qubitd.drivers.rack import Rack
from qubitd.server.front.quotas import Quotas
from qubitd.server.housekeeping.retention import Retention
from qubitd.server.housekeeping.upkeep import UpkeepRules
from qubitd.server.instruments.rack import not_ours
from qubitd.server.instruments.simulator import Simulator
from qubitd.server.telemetry.supervisor import Supervisor, unsupervised
from qubitd.server.workers.papers import KitFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRack:
    """A rack whose instruments can be reached."""

    rack: Rack
    controller: Controller
    simulator: Simulator | None = None
    """The control socket, if it is emulated."""
    revive: Callable[[], bool] = not_ours
    """Starts it anew if it is emulated by a process of ours that is gone; whether it was. Raises `DriverError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """What a daemon serves, and where."""

    device: DeviceFile
    rack: Callable[[], AbstractContextManager[RunningRack]]
    """Gives the rack for as long as it is needed, and starts what has to run for it."""
    data_dir: Path
    """Its own: jobs, unless they are in `store`; uploads, accounts."""
    host: str
    """An address of this machine; any but loopback needs certificates and accounts."""
    port: int
    """0 for any free one."""
    store: str = ""
    """Address of the PostgreSQL database that keeps jobs; empty for one in the data directory."""
    files: KitFiles | None = None
    """What workers are told of the device and the rack; None has nothing done by workers."""
    wants_certificates: bool = False
    """Whether every caller must come with a certificate of the lab's authority."""
    metrics_port: int | None = None
    """Of loopback, for Prometheus; 0 for any free one, None for none."""
    supervisor: Supervisor = field(default_factory=unsupervised)
    quotas: Quotas = field(default_factory=Quotas)
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of the rack, by project; 1 for one that is not named."""
    retention: Retention = field(default_factory=Retention)
    upkeep: UpkeepRules = field(default_factory=UpkeepRules)
