"""The `qubitd` command: finds out which command is meant and imports that one alone."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from qubitd.core.errors import InvalidInputError, QubitdError, problem_lines

COMMANDS = {
    "serve": "keep a daemon running for one device",
    "worker": "compile for the daemons of a group",
    "accelerate": "compile the loops that a daemon spends its time in",
    "run": "run an OpenQASM or QPY file and print its counts",
    "explain": "say what a circuit would take, without running it",
    "pulses": "draw what a circuit plays on each line",
    "jobs": "list your jobs",
    "job": "show one job",
    "watch": "follow one job to its end",
    "cancel": "end a job",
    "sessions": "list or end sessions",
    "slots": "list, reserve or release time of the rack",
    "lab": "show how the lab is; drain, stop or resume it",
    "store": "check, copy or migrate a daemon's database",
    "conformance": "ask whether a server keeps the wire contract",
    "auth": "make accounts, tokens and certificates",
    "audit": "show or verify the log of what was done",
    "demo": "run a Bell pair and a GHZ circuit through emulated instruments",
}
_FAILED = 1
_INTERRUPTED = 130
_UNREAD = 141
"""As the shell tells of what is ended by a closed pipe."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Of a disk that does not take what stdout, a picture or a copy is written to."""
_LASTING = ("serve", "worker")
"""Commands with pipes to processes of their own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code. What a person can put right is told in lines, not in a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    if sys.stdout is None:  # the process was started with it closed
        sys.stdout = io.StringIO()
    try:
        parsed = _parsed(arguments, chosen)
        with _warnings_as_lines():
            code: int = parsed.run(parsed)
        sys.stdout.flush()
    except InvalidInputError as error:
        _tell(*problem_lines(error.problems))
        return _FAILED
    except QubitdError as error:
        _tell(str(error))
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        if chosen in _LASTING:
            raise
        _leave_unread()
        return _UNREAD
    except OSError as error:
        if error.errno not in _FULL or chosen in _LASTING:
            raise
        _tell(f"cannot write: {error.strerror}")
        _leave_what_is_not_taken()
        return _FAILED
    return code


def _parsed(arguments: Sequence[str], chosen: str) -> argparse.Namespace:
    """Read the arguments by the command that they choose, the only one to be imported."""
    parser = argparse.ArgumentParser(
        prog="qubitd", description="Control of superconducting qubits from the control PC."
    )
    if not chosen:
        from qubitd.server.version import server_version

        parser.add_argument("--version", action="version", version=f"qubitd {server_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if name == chosen:
            module = importlib.import_module(f"qubitd.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands.choices[parsed.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return parsed


def _tell(*lines: str) -> None:
    for line in lines:
        print(f"qubitd: {line}", file=sys.stderr)


@contextmanager
def _warnings_as_lines() -> Generator[None]:
    """What a person is warned of is told once; where in the code is of no use to them."""
    told: set[str] = set()

    def tell(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in told:
            _tell(str(message))
        told.add(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = tell
        yield


def _leave_what_is_not_taken() -> None:
    """Print what a full disk has room for, and nothing at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        _leave_unread()


def _leave_unread() -> None:
    """Whoever read what is printed, such as `head`, has seen enough: what is left in the buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
