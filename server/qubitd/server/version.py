"""Which version this is; imports nothing of the daemon, so that the command line can ask at once."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def server_version() -> str:
    """Give the version of the installed package, as it was when it was asked for first."""
    try:
        return version("qubitd")
    except PackageNotFoundError:
        return "0+unknown"
