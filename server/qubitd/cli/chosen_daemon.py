"""Which daemon a command talks to: the one that was named, the usual one, or one of its own while it runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import Access, ClientError, ConfigError, QubitdClient, UnreachableError
from qubitd.client.options import add_access, configured_access, usual_access
from qubitd.compiler.device_file import load_device
from qubitd.provider import QubitdBackend, QubitdProvider

_DEFAULT_DEVICE = "line5"


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose a backend."""
    add_access(parser)
    parser.add_argument(
        "--device", metavar="NAME|FILE", help="emulate this device for the occasion, in a daemon of its own"
    )
    parser.add_argument("--backend", metavar="NAME", help="backend of the daemon (its only one)")


@contextmanager
def chosen_backend(arguments: argparse.Namespace) -> Generator[QubitdBackend]:
    """Give the backend that the options of `add_choice` mean, and say on stderr whose it is.

    It is one of a device that was named, else of the daemon that an option, the environment or a profile names. If
    none does, it is this machine's usual daemon, or an emulated one of our own if nobody listens there.

    Raises:
        QubitdError: no daemon answers where one was named, it has no such backend, or none could be started.
    """
    if arguments.device is not None:
        _check_names_no_daemon(arguments)
        with _own_daemon(arguments.device, why="emulating") as backend:
            yield backend
        return
    access, usual = configured_access(arguments), usual_access(arguments)
    if access is None and _is_bare(usual) and not _listens(usual.address):
        why = f"no daemon at {usual.address}; using an emulated"
        with _own_daemon(arguments.backend or _DEFAULT_DEVICE, why=why) as backend:
            yield backend
        return
    access = access or usual
    with QubitdProvider(access.address, access.token, ca=access.ca, cert=access.cert, key=access.key) as provider:
        backend = provider.get_backend(arguments.backend)
        note(f"using {backend.name} of the daemon at {access.address}")
        yield backend


def note(text: str) -> None:
    """Tell the person at the terminal something; stdout is for results alone."""
    print(f"qubitd: {text}", file=sys.stderr, flush=True)


def _check_names_no_daemon(arguments: argparse.Namespace) -> None:
    names = [name for name in ("server", "profile", "token", "ca") if getattr(arguments, name) is not None]
    if names:
        options = ", ".join(f"--{name}" for name in names)
        raise ConfigError(f"--device emulates a device in a daemon of its own; leave it out, or leave out {options}")


def _is_bare(access: Access) -> bool:
    """Whether nothing was typed that only a daemon needs."""
    return access == Access(address=access.address)


def _listens(address: str) -> bool:
    """Whether somebody is there, be it one who refuses us: that is for the caller to be told."""
    with QubitdClient(address) as client:
        try:
            client.backends()
        except UnreachableError as error:
            return not error.nobody_listens
        except ClientError:
            return True
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
