"""Which version this is; imports nothing of the daemon, so that the command line can ask at once."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def server_version() -> str:
    """Give the version of the installed package."""
    try:
        return version("qubitd")
    except PackageNotFoundError:
        return "0+unknown"
