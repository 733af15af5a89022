"""Brings a store up to date once for each statement that this takes, and dies before that statement.

`python -m tests.system.migration_deaths STORE FOLDER` leaves one copy of the store for each death in the folder, by
number. It is a process of its own since it forks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from qubitd.server.store.connections import open_writer
from qubitd.server.store.schema import migrate
from qubitd.server.store.sqlite_store import DATABASE


def main() -> int:
    """Die before the first statement, then before the second, until a migration comes to its end."""
    whole, folder = Path(sys.argv[1]), Path(sys.argv[2])
    number = 0
    while True:
        number += 1
        data = folder / str(number)
        shutil.copytree(whole, data)
        child = os.fork()
        if child == 0:
            _migrate(data / DATABASE, most=number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)


def _migrate(path: Path, *, most: int) -> None:
    connection = open_writer(path)
    left = most

    def before(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(before)
    migrate(connection, path=path)


if __name__ == "__main__":
    sys.exit(main())
