"""Finds out whether a service manager started this process and wants to hear from it."""

from __future__ import annotations

from functools import partial

from qubitd.cli.config import notify_socket, watchdog_seconds
from qubitd.server.posix import send_datagram
from qubitd.server.telemetry.supervisor import SIGN_OF_LIFE, Supervisor, unsupervised

_NEWS_SECONDS = 2.0
"""What a manager that is not listening just now may hold a daemon up for, at its begin and at its end."""


def find_supervisor() -> Supervisor:
    """Give the service manager's ear, or nobody's."""
    socket = notify_socket()
    if socket is None:
        return unsupervised()
    return Supervisor(tell=partial(_tell, socket), watchdog=watchdog_seconds())


def _tell(socket: str, message: str) -> None:
    """Send a message. A sign of life does not wait for a manager that does not listen, or the daemon stood still."""
    send_datagram(socket, message, longest=0.0 if message == SIGN_OF_LIFE else _NEWS_SECONDS)
