"""The daemon's configuration: one TOML file, every key optional, an unknown one an error with its dotted path.

What is given on the command line goes before the file, and the file before the defaults.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from qubitd.core.errors import InvalidInputError, Problem
from qubitd.drivers.toml_table import TomlTable
from qubitd.server.front.quotas import Quotas
from qubitd.server.housekeeping.retention import LEAST_TOMBSTONES_DAYS, Retention
from qubitd.server.housekeeping.upkeep import UpkeepRules
from qubitd.server.telemetry.logs import FORMS
from qubitd.wire.sessions import MAX_SECONDS

LEVELS = ("debug", "info", "warning", "error")
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """What a daemon serves, where, and what it tells."""

    device: str = "line5"
    """Name of a packaged device, or a device file."""
    rack: Path | None = None
    """Name of a packaged rack, or a rack file; None for the device's own."""
    data_dir: Path | None = None
    """None for a directory of the user's state."""
    store: str = ""
    """Address of the PostgreSQL database that keeps jobs; empty for one in the data directory."""
    host: str = "127.0.0.1"
    port: int = 50051
    """0 for any free one."""
    client_certificates: bool = False
    """Whether only callers with a certificate of the lab are let in."""
    log_level: str = "warning"
    log_form: str = "text"
    """`text` for people, `json` for machines."""
    metrics_port: int | None = None
    """Of loopback, for Prometheus; None for none."""
    quotas: Quotas = field(default_factory=Quotas)
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of the rack, by project; 1 for one that is not named."""
    retention: Retention = field(default_factory=Retention)
    upkeep: UpkeepRules = field(default_factory=UpkeepRules)


def load_config(path: Path) -> DaemonConfig:
    """Read a file; relative paths in it count from its own folder.

    Raises:
        InvalidInputError: with everything that is wrong in it.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise InvalidInputError([Problem(where=str(path), what=f"cannot be read: {what}")]) from error
    problems: list[Problem] = []
    config = _config(TomlTable(values, path="", problems=problems), path.parent)
    if problems:
        raise InvalidInputError([Problem(where=f"{path}: {one.where}", what=one.what) for one in problems])
    return config


def port_number(text: str) -> int:
    """Read a TCP port from the command line; 0 is any free one.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no TCP port; give 0 to {HIGHEST_PORT}")
    return int(text)


def _config(root: TomlTable, folder: Path) -> DaemonConfig:
    usual = DaemonConfig()
    daemon, log, metrics = (root.table(name, optional=True) for name in ("daemon", "log", "metrics"))
    config = DaemonConfig(
        device=_named(daemon.text("device", default=usual.device), folder),
        rack=Path(_named(daemon.text("rack"), folder)) if "rack" in daemon else None,
        data_dir=folder / daemon.text("data_dir") if "data_dir" in daemon else None,
        store=daemon.text("store", default=usual.store),
        host=daemon.text("host", default=usual.host),
        port=_port(daemon) if "port" in daemon else usual.port,
        client_certificates=daemon.flag("client_certificates", default=usual.client_certificates),
        log_level=log.choice("level", LEVELS) if "level" in log else usual.log_level,
        log_form=log.choice("form", FORMS) if "form" in log else usual.log_form,
        metrics_port=_port(metrics) if "port" in metrics else None,
    )
    quotas, retention, upkeep = (root.table(name, optional=True) for name in ("quotas", "retention", "upkeep"))
    config = replace(config, quotas=_quotas(quotas), retention=_retention(retention), upkeep=_upkeep(upkeep))
    config = replace(config, shares=root.table("shares", optional=True).numbers(least=0.001, most=1_000))
    for table in (quotas, retention, upkeep):
        table.finish()
    for table, known in ((daemon, ("rack", "data_dir", "port")), (log, ("level", "form")), (metrics, ("port",))):
        table.know(*known)
        table.finish()
    root.finish()
    return config


def _quotas(table: TomlTable) -> Quotas:
    usual = Quotas()
    return Quotas(
        jobs=int(table.number("jobs", least=1, most=10**6, default=usual.jobs)),
        bytes=int(table.number("bytes", least=1, most=2**50, default=usual.bytes)),
        sessions=int(table.number("sessions", least=1, most=10**6, default=usual.sessions)),
        session_seconds=table.number("session_seconds", least=1, most=MAX_SECONDS, default=usual.session_seconds),
        submits_per_minute=table.number("submits_per_minute", least=0, most=10**6, default=usual.submits_per_minute),
    )


def _retention(table: TomlTable) -> Retention:
    usual = Retention()
    results, tombstones = (
        table.number(key, least=least, most=36_500, default=default)
        for key, least, default in (
            ("results_days", 0, usual.results_days),
            ("tombstones_days", LEAST_TOMBSTONES_DAYS, usual.tombstones_days),
        )
    )
    return Retention(results_days=results, tombstones_days=tombstones)


def _upkeep(table: TomlTable) -> UpkeepRules:
    usual = UpkeepRules()
    return UpkeepRules(
        backup_hours=table.number("backup_hours", least=0, most=8_760, default=usual.backup_hours),
        backups_kept=int(table.number("backups_kept", least=0, most=1_000, default=usual.backups_kept)),
        check_days=table.number("check_days", least=0, most=366, default=usual.check_days),
    )


def _port(table: TomlTable) -> int:
    return table.integer("port", least=0, most=HIGHEST_PORT)


def _named(name: str, folder: Path) -> str:
    """A name of what is packaged stays; a file is looked for beside the configuration."""
    beside = folder / name
    return str(beside) if name and beside.is_file() else name
