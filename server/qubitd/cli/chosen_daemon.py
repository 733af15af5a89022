"""Which daemon a command talks to: the one that was named, the usual one, or one of its own while it runs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient, UnreachableError
from qubitd.compiler.device_file import load_device
from qubitd.provider import QubitdBackend, QubitdProvider

USUAL_ADDRESS = "localhost:50051"
_DEFAULT_DEVICE = "line5"


@contextmanager
def chosen_backend(address: str | None, name: str | None) -> Generator[QubitdBackend]:
    """Give a backend, and say on stderr whose it is.

    Args:
        address: of a daemon; None for the usual one if it answers, otherwise for an emulated one of our own.
        name: of the backend; None for the only one.

    Raises:
        QubitdError: no daemon answers at the address, it has no such backend, or none could be started.
    """
    if address is None and not _answers(USUAL_ADDRESS):
        with _own_daemon(name or _DEFAULT_DEVICE) as backend:
            yield backend
        return
    with QubitdProvider(address or USUAL_ADDRESS) as provider:
        backend = provider.get_backend(name)
        note(f"using {backend.name} of the daemon at {address or USUAL_ADDRESS}")
        yield backend


def note(text: str) -> None:
    """Tell the person at the terminal something; stdout is for results alone."""
    print(f"qubitd: {text}", file=sys.stderr, flush=True)


def _answers(address: str) -> bool:
    with QubitdClient(address) as client:
        try:
            client.backends()
        except UnreachableError:
            return False
    return True


@contextmanager
def _own_daemon(device: str) -> Generator[QubitdBackend]:
    load_device(device)
    note(f"no daemon at {USUAL_ADDRESS}; using an emulated {device} of its own for this run")
    with (
        tempfile.TemporaryDirectory(prefix="qubitd-") as directory,
        start_daemon(device=device, data_dir=Path(directory)) as daemon,
        QubitdProvider(daemon.address) as provider,
    ):
        yield provider.get_backend(daemon.backend)
