"""Which daemon a command talks to: the one that was named, the usual one, or one of its own while it runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from qubitd.cli.config import USUAL_ADDRESS
from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient, UnreachableError
from qubitd.compiler.device_file import load_device
from qubitd.provider import QubitdBackend, QubitdProvider

_DEFAULT_DEVICE = "line5"


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose a backend."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--server", metavar="ADDRESS", help="daemon (this machine's, else an emulated one of its own)")
    place.add_argument(
        "--device", metavar="NAME|FILE", help="emulate this device for the occasion, in a daemon of its own"
    )
    parser.add_argument("--backend", metavar="NAME", help="backend of the daemon (its only one)")


@contextmanager
def chosen_backend(address: str | None, name: str | None, device: str | None = None) -> Generator[QubitdBackend]:
    """Give a backend, and say on stderr whose it is.

    Args:
        address: of a daemon; None for the usual one if it answers, otherwise for an emulated one of our own.
        name: of the backend; None for the only one.
        device: a packaged device or a device file, for a daemon of our own whether or not another one answers.

    Raises:
        QubitdError: no daemon answers at the address, it has no such backend, or none could be started.
    """
    if device is not None:
        with _own_daemon(device, why="emulating") as backend:
            yield backend
        return
    if address is None and not _answers(USUAL_ADDRESS):
        with _own_daemon(name or _DEFAULT_DEVICE, why=f"no daemon at {USUAL_ADDRESS}; using an emulated") as backend:
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
def _own_daemon(device: str, *, why: str) -> Generator[QubitdBackend]:
    load_device(device)
    note(f"{why} {device}, in a daemon of its own for this run")
    with (
        tempfile.TemporaryDirectory(prefix="qubitd-") as directory,
        start_daemon(device=device, data_dir=Path(directory)) as daemon,
        QubitdProvider(daemon.address) as provider,
    ):
        yield provider.get_backend(daemon.backend)
