"""Copies of the store in its own data directory: each is there whole or not at all, and the oldest make room.

A copy is a store that a daemon can serve. Results in files are not written again: a file never changes, so a copy
has a second name for it, which keeps it when the store lets it go.
"""

from __future__ import annotations

import datetime as dt
import logging
import multiprocessing
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from qubitd.core.errors import QubitdError
from qubitd.server.errors import StoreCorruptError, StoreError
from qubitd.server.failpoints import failpoint
from qubitd.server.limits import LEAST_FREE_BYTES
from qubitd.server.store.backup import copy_store, empty_target, linked
from qubitd.server.store.blobs import sync_folder
from qubitd.server.store.sqlite_store import DATABASE

_log = logging.getLogger(__name__)
FOLDER = "backups"
"""Name of the folder in the data directory."""
UNFINISHED = ".part"
"""How the name of a copy ends that is not whole yet."""
USUALLY_KEPT = 4
"""Copies that stay."""
_MOST_TOLD = 3
"""Problems of a damaged copy that are told."""
_WHEN = "%Y%m%dT%H%M%S.%fZ"
_BEFORE = "-before-migration-from-"


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies of the store in one data directory."""

    directory: Path
    """Of the data."""
    kept: int = USUALLY_KEPT
    """Copies that stay, and the newest one from before a migration; 0 for no copies at all."""

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.directory / FOLDER

    def names(self) -> list[str]:
        """Give those that are whole, the oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.suffix != UNFINISHED)

    def begin(self, name: str) -> Path:
        """Make sure that there is room, and give the place for a copy that is not whole yet.

        Raises:
            StoreError: the copy would take what the daemon needs to go on.
        """
        self.clear()
        check_room(self.directory, _size(self.directory))
        place = self.folder / f"{name}{UNFINISHED}"
        empty_target(place)
        return place

    def finish(self, name: str) -> Path:
        """Give a whole copy its name, and remove those that are too many."""
        failpoint("copy.made")
        place = self.folder / name
        (self.folder / f"{name}{UNFINISHED}").rename(place)
        sync_folder(self.folder)
        failpoint("copy.named")
        for old in superfluous(self.names(), kept=self.kept):
            shutil.rmtree(self.folder / old, ignore_errors=True)
        return place

    def clear(self) -> None:
        """Remove what was never finished."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        for path in self.folder.glob(f"*{UNFINISHED}"):
            shutil.rmtree(path, ignore_errors=True)

    def before_migration(self, version: int) -> None:
        """Copy a store before its schema changes. Without room for it the migration goes on: it has its own safety."""
        if not self.kept:
            return
        name = named(time.time_ns(), before_migration_from=version)
        try:
            make_copy(self.directory, self.begin(name))
            place = self.finish(name)
        except (QubitdError, OSError, sqlite3.Error) as error:
            _log.error("the store is not copied before its migration", extra={"cause": str(error)})
        else:
            _log.warning("copied the store before its migration", extra={"copy": str(place)})


def named(now_ns: int, *, before_migration_from: int | None = None) -> str:
    """Give a new copy's name: when it is made, and from which schema a migration will take the store."""
    when = dt.datetime.fromtimestamp(now_ns * 1e-9, dt.UTC).strftime(_WHEN)
    return when if before_migration_from is None else f"{when}{_BEFORE}{before_migration_from}"


def superfluous(names: Iterable[str], *, kept: int) -> list[str]:
    """Say which copies are to go: all but the newest, and the newest from before a migration."""
    ordered = sorted(names, reverse=True)
    before = [name for name in ordered if _BEFORE in name]
    usual = [name for name in ordered if _BEFORE not in name]
    return [*usual[kept:], *before[1:]]


def make_copy(directory: Path, place: Path) -> None:
    """Copy a store beside its writer, as long as the disk keeps what the daemon needs, and read the copy's tables.

    Raises:
        StoreCorruptError: they are damaged, as the store's must be; the copies from before stay.
        StoreError: it does not, or results were deleted as fast as they were copied.
        OSError: the disk refused.
        sqlite3.Error: as well.
    """
    copy_store(directory, place, place=linked, between=lambda: _look_around(directory))
    with closing(sqlite3.connect(place / DATABASE)) as copy:
        found = [row[0] for row in copy.execute(f"PRAGMA integrity_check({_MOST_TOLD})")]
    if found != ["ok"]:
        raise StoreCorruptError(path=directory / DATABASE, what="; ".join(found))


def check_room(directory: Path, needed: int) -> None:
    """Make sure that the disk takes so many bytes and a reserve.

    Raises:
        StoreError: it does not.
    """
    free = shutil.disk_usage(directory).free
    if free < needed + LEAST_FREE_BYTES:
        raise StoreError(
            f"the disk of {directory} has {free} bytes left; a copy of the store takes {needed} and the daemon keeps "
            f"{LEAST_FREE_BYTES} for its jobs: free space, or have no copies made ([upkeep] backups_kept = 0)"
        )


def _look_around(directory: Path) -> None:
    daemon = multiprocessing.parent_process()
    if daemon is not None and not daemon.is_alive():
        raise StoreError("the daemon that wanted this copy is gone")
    check_room(directory, 0)


def _size(directory: Path) -> int:
    paths = (directory / DATABASE, directory / f"{DATABASE}-wal")
    return sum(path.stat().st_size for path in paths if path.exists())
