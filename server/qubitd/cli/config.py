"""Where things are on this machine. The only place that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """Give the directory in which qubitd keeps what must survive a restart."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "qubitd"


def notify_socket() -> str | None:
    """Give the socket on which a service manager wants to hear from this process (sd_notify(3)); None for nobody."""
    return os.environ.get("NOTIFY_SOCKET") or None


def watchdog_seconds() -> float | None:
    """Give the time after which a service manager takes this very process for dead; None if it does not look."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(microseconds) * 1e-6 if microseconds.isdecimal() and meant == str(os.getpid()) else None


def failpoint_to_arm() -> str:
    """Give the point at which a test wants this process to die; empty for none."""
    return os.environ.get("QUBITD_FAILPOINT", "")
