"""Copies of the store in its own data directory: each is there whole or not at all, and the oldest make room.

A copy is a store that a daemon can serve. Results in files are not written again: a file never changes, so a copy
has a second name for it, which keeps it when the store lets it go.
"""

from __future__ import annotations

import datetime as dt
import logging
import multiprocessing
import re
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
from qubitd.server.jobs.limits import LEAST_FREE_BYTES
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
_NAME = re.compile(r"(?P<when>\d{8}T\d{6}\.\d{6}Z)(-(?P<number>\d+))?(?P<before>-before-migration-from-\d+)?")
"""Whatever else is in the folder is not this program's to count or to remove."""


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
        """Give those that are whole, in the order in which they were made."""
        if not self.folder.is_dir():
            return []
        return sorted((path.name for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), key=_order)

    def next_name(self, now_ns: int, *, before_migration_from: int | None = None) -> str:
        """Give the name of the copy that follows those that are here, whatever the wall clock said when they were made.

        Args:
            now_ns: the time, for people.
            before_migration_from: schema from which a migration will take the store.
        """
        last = max((_order(name)[0] for name in self.names()), default=0)
        return named(now_ns, last + 1, before_migration_from=before_migration_from)

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
            if _NAME.fullmatch(path.stem):
                shutil.rmtree(path, ignore_errors=True)

    def before_migration(self, version: int) -> None:
        """Copy a store before its schema changes. Without room for it the migration goes on: it has its own safety."""
        if not self.kept:
            return
        name = self.next_name(time.time_ns(), before_migration_from=version)
        try:
            make_copy(self.directory, self.begin(name))
            place = self.finish(name)
        except (QubitdError, OSError, sqlite3.Error) as error:
            _log.error("the store is not copied before its migration", extra={"cause": str(error)})
        else:
            _log.warning("copied the store before its migration", extra={"copy": str(place)})


def named(now_ns: int, number: int, *, before_migration_from: int | None = None) -> str:
    """Give a copy's name: when it was made, as which one, and from which schema a migration took the store."""
    when = dt.datetime.fromtimestamp(now_ns * 1e-9, dt.UTC).strftime(_WHEN)
    usual = f"{when}-{number}"
    return usual if before_migration_from is None else f"{usual}-before-migration-from-{before_migration_from}"


def superfluous(names: Iterable[str], *, kept: int) -> list[str]:
    """Say which copies are to go: all but the newest, and the newest from before a migration."""
    newest = sorted(filter(_NAME.fullmatch, names), key=_order, reverse=True)
    before = [name for name in newest if _is_before_migration(name)]
    usual = [name for name in newest if not _is_before_migration(name)]
    return [*usual[kept:], *before[1:]]


def _order(name: str) -> tuple[int, str]:
    """Copies of earlier versions have no number and come before all that have one."""
    found = _NAME.fullmatch(name)
    return (0, name) if found is None else (int(found["number"] or 0), found["when"])


def _is_before_migration(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found["before"] is not None


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
