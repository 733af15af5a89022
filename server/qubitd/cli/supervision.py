"""Finds out whether a service manager started this process and wants to hear from it."""

from __future__ import annotations

from functools import partial

from qubitd.cli.config import notify_socket, watchdog_seconds
from qubitd.server.posix import send_datagram
from qubitd.server.supervisor import Supervisor, unsupervised


def find_supervisor() -> Supervisor:
    """Give the service manager's ear, or nobody's."""
    socket = notify_socket()
    if socket is None:
        return unsupervised()
    return Supervisor(tell=partial(send_datagram, socket), watchdog=watchdog_seconds())
