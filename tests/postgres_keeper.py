"""Keeps a PostgreSQL alive for as long as whoever started it holds our stdin open, and leaves nothing behind after.

    python tests/postgres_keeper.py HOME PROGRAMS

HOME gets the cluster (`data`), the socket and the log; it is removed in the end. Each line on stdin is a command,
`start` or `kill` (as a power cut would); each is answered by a line on stdout. It runs by itself, so that a test
process that is killed takes the server with it, and so that no process forks in which gRPC has threads. It imports
nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

_SET_PARENT_DEATH_SIGNAL = 1
_READY = b"ready to accept connections"
_C_LIBRARY = ctypes.CDLL(None)


class Keeper:
    """One server, started and killed as asked."""

    def __init__(self, home: Path, programs: Path) -> None:
        self._home = home
        self._programs = programs
        self._server: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None

    def start(self) -> str:
        """Start the server, for the first time on a new cluster, and wait until it answers or ends."""
        if not (self._home / "data").exists() and not self._initialise():
            return "ended"
        command: list[str | Path] = [
            self._programs / "postgres",
            *("-D", self._home / "data", "-k", self._home),
            *("-c", "listen_addresses=", "-c", "max_connections=40", "-c", "shared_buffers=32MB"),
        ]
        self._server = subprocess.Popen(
            command,
            **_apart(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (one thread alone runs while it is called)
        )
        is_known, is_ready = threading.Event(), threading.Event()
        self._listener = threading.Thread(target=self._listen, args=(self._server.stderr, is_known, is_ready))
        self._listener.start()
        is_known.wait()
        return "ready" if is_ready.is_set() else "ended"

    def kill(self) -> str:
        """Kill the server, and wait until the last of its processes is gone: they hold its stderr."""
        return self._end(signal.SIGKILL)

    def close(self) -> None:
        """End the server, waiting for no client, and remove all that it wrote."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._home, ignore_errors=True)

    def _initialise(self) -> bool:
        with (self._home / "log").open("ab") as log:
            done = subprocess.run(
                [
                    self._programs / "initdb",
                    *("--pgdata", self._home / "data", "--username", "qubitd"),
                    *("--auth", "trust", "--encoding", "UTF8", "-N"),
                ],
                **_apart(),
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode == 0

    def _end(self, number: signal.Signals) -> str:
        if self._server is not None and self._listener is not None:
            self._server.send_signal(number)
            self._server.wait()
            self._listener.join()
        return "ended"

    def _listen(self, told: IO[bytes], is_known: threading.Event, is_ready: threading.Event) -> None:
        with (self._home / "log").open("ab") as log:
            for line in told:
                log.write(line)
                log.flush()
                if _READY in line:
                    is_ready.set()
                    is_known.set()
        is_known.set()


def identity() -> tuple[int | None, int | None, list[int] | None]:
    """User, group and further groups that PostgreSQL's programs run as: `nobody` for root, whom they refuse."""
    if os.geteuid() != 0:
        return None, None, None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid, []


def _apart() -> dict[str, Any]:
    """Give how PostgreSQL's programs run: as that user, with nothing of ours around them."""
    user, group, further = identity()
    around: dict[str, Any] = {"cwd": "/", "env": {"LC_ALL": "C"}, "stdin": subprocess.DEVNULL}
    return {"user": user, "group": group, "extra_groups": further, **around}


def _die_with_parent() -> None:
    """Should we be killed ourselves, the server ends at once and cleanly."""
    _C_LIBRARY.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGQUIT)


def main() -> None:
    """Do what is asked until stdin ends."""
    keeper = Keeper(Path(sys.argv[1]), Path(sys.argv[2]))
    try:
        for line in sys.stdin:
            sys.stdout.write(f"{keeper.start() if line.strip() == 'start' else keeper.kill()}\n")
            sys.stdout.flush()
    finally:
        keeper.close()


if __name__ == "__main__":
    main()
