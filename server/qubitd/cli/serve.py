"""`qubitd serve`: keeps a daemon running until it is told to stop, and the emulated rack with it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

from qubitd.cli.config import failpoint_to_arm, state_directory
from qubitd.cli.daemon_config import LEVELS, DaemonConfig, load_config, port_number
from qubitd.cli.kept_emulator import LINGER, kept_emulator
from qubitd.cli.supervision import find_supervisor
from qubitd.cli.until_told import stop_when_told
from qubitd.compiler.device_file import device_bytes, read_device
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import EmulatorSettings, Rack, with_address
from qubitd.drivers.rack_file import BUILT_IN, packaged_racks, parse_rack, rack_text
from qubitd.server.daemon import run_daemon
from qubitd.server.daemon_settings import DaemonSettings, RunningRack
from qubitd.server.failpoints import arm
from qubitd.server.instruments.rack import not_ours
from qubitd.server.instruments.simulator import Simulator
from qubitd.server.posix import return_big_blocks
from qubitd.server.telemetry.logs import FORMS, configure
from qubitd.server.workers.papers import KitFiles

_TURN = 0.0005
"""Seconds after which a thread that computes lets another one go on: who waits is the one that answers calls."""
_WITH_US = 10.0
"""Seconds that the emulated rack outlives a daemon which is to end with whoever started it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    usual = DaemonConfig()
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with what is not given here (none)")
    parser.add_argument("--device", metavar="NAME|FILE", help=f"packaged device, or a device file ({usual.device})")
    parser.add_argument(
        "--rack", type=Path, metavar="NAME|FILE", help="packaged rack, or a rack file (the device's own emulated one)"
    )
    parser.add_argument("--port", type=port_number, help=f"TCP port, 0 for any free one ({usual.port})")
    parser.add_argument(
        "--host", help=f"address to serve on; any but loopback needs `qubitd auth init` and accounts ({usual.host})"
    )
    parser.add_argument(
        "--client-certificates",
        action="store_true",
        default=None,
        help="let in only callers with a certificate of the lab (mTLS)",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where jobs are kept (a directory of the user's state)"
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="PostgreSQL database that keeps the jobs, postgresql://USER@HOST:PORT/DATABASE (a file in --data-dir)",
    )
    parser.add_argument("--log-level", choices=LEVELS, help=f"what is logged to stderr ({usual.log_level})")
    parser.add_argument("--log-form", choices=FORMS, help=f"lines for people, or of JSON ({usual.log_form})")
    parser.add_argument(
        "--metrics-port",
        type=port_number,
        metavar="PORT",
        help="loopback port for Prometheus, 0 for any free (none)",
    )
    parser.add_argument(
        "--emulator",
        type=_control_socket,
        metavar="ADDRESS:PORT",
        help="control socket of an emulated rack that runs already (starts one of its own)",
    )
    parser.add_argument("--stop-at-eof", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or, if asked to, the end of stdin."""
    return_big_blocks()
    sys.setswitchinterval(_TURN)
    if point := failpoint_to_arm():
        arm(point)
    config = _config(arguments)
    configure(config.log_level, config.log_form)
    device_file = device_bytes(config.device)
    device = read_device(device_file, where=config.device)
    name = device.device.name
    rack_file = config.rack or _rack_of(name)
    files = KitFiles(device=device_file, rack=rack_text(rack_file))
    rack = parse_rack(files.rack, source=str(rack_file or BUILT_IN))
    data_dir = config.data_dir or state_directory() / name
    # Whoever started us to end with him wants nothing to stay behind.
    linger = _WITH_US if arguments.stop_at_eof else LINGER
    settings = DaemonSettings(
        device=device,
        rack=lambda: _running(rack, rack_file, arguments.emulator, data_dir, linger=linger),
        data_dir=data_dir,
        host=config.host,
        port=config.port,
        store=config.store,
        files=files,
        wants_certificates=config.client_certificates,
        metrics_port=config.metrics_port,
        supervisor=find_supervisor(),
        quotas=config.quotas,
        shares=config.shares,
        retention=config.retention,
        upkeep=config.upkeep,
    )

    def announce(port: int) -> None:
        gc.freeze()  # what is here now stays; to look through it would hold up everybody, for 0.2 s with many jobs
        gc.enable()
        print(f"serving {name} on {_host_in_address(config.host)}:{port}", flush=True)

    gc.disable()  # until it serves: what is read meanwhile stays
    try:
        asyncio.run(_serve(settings, announce_port=announce, stop_at_eof=arguments.stop_at_eof))
    finally:
        gc.enable()
    return 0


def _config(arguments: argparse.Namespace) -> DaemonConfig:
    """Give the file's configuration with what the command line says otherwise."""
    config = DaemonConfig() if arguments.config is None else load_config(arguments.config)
    given = {field.name: getattr(arguments, field.name, None) for field in fields(config)}
    return replace(config, **{name: value for name, value in given.items() if value is not None})


async def _serve(settings: DaemonSettings, *, announce_port: Callable[[int], None], stop_at_eof: bool) -> None:
    stop = stop_when_told(stop_at_eof=stop_at_eof)
    await run_daemon(settings, stop=stop, on_serving=announce_port)


@contextmanager
def _running(
    rack: Rack, file: Path | None, running: tuple[str, int] | None, data_dir: Path, *, linger: float
) -> Generator[RunningRack]:
    """Start the rack's emulator, if it names one and none runs yet."""
    if rack.emulator is None:
        yield RunningRack(rack=rack, controller=open_rack(rack))
    elif running is not None:
        yield _emulated(rack, *running)
    else:
        with kept_emulator(data_dir, _cabling(rack.emulator, file), linger=linger) as kept:
            yield _emulated(rack, kept.place.address, kept.place.control_port, revive=kept.revive)


def _emulated(rack: Rack, address: str, control_port: int, revive: Callable[[], bool] = not_ours) -> RunningRack:
    """Put the emulator's address in place of the file's."""
    moved = with_address(rack, address)
    simulator = Simulator(address, control_port)
    return RunningRack(rack=moved, controller=open_rack(moved), simulator=simulator, revive=revive)


def _rack_of(device: str) -> Path | None:
    """The packaged rack that a packaged device has for itself; None for the demo rack."""
    return Path(device) if device in packaged_racks() else None


def _cabling(settings: EmulatorSettings, rack_file: Path | None) -> Path:
    """The name of a cabling that the emulator knows, or a file, beside the rack file if its path is relative."""
    beside = Path(settings.cabling) if rack_file is None else rack_file.parent / settings.cabling
    return beside if beside.is_file() else Path(settings.cabling)


def _host_in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _control_socket(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, port_number(port)
