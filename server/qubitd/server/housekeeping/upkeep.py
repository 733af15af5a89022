"""The upkeep of a store in a data directory: copies, a look for damage, and a write-ahead log that stays short.

`Timetable` says when what is due; `Upkeep` has it done. Nothing of it holds the daemon up or ends it, but what goes
wrong is told: in the log, in the metrics, and as the daemon's trouble until it goes right.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

from qubitd.core.errors import QubitdError
from qubitd.server.clocks import Clocks
from qubitd.server.errors import StoreBrokenError
from qubitd.server.housekeeping.aside import aside
from qubitd.server.persistence import durable
from qubitd.server.store.copies import USUALLY_KEPT, Copies, make_copy
from qubitd.server.store.inspection import inspect_tables
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.upkeep_record import UpkeepRecord, read_record, write_record
from qubitd.server.telemetry.meters import Meters

_log = logging.getLogger(__name__)
_HOUR, _DAY = 3600.0, 86_400.0
RETRY = 600.0
"""Seconds after which what failed is tried again."""
LOOK = 30.0
"""Seconds between two looks at the write-ahead log."""
MOST_WAL_BYTES = 2**24
"""Bytes of the write-ahead log above which it is truncated: SQLite by itself begins it anew from 4 MB on, but not while
somebody reads, and leaves up to 64 MB of it."""


class Chore(enum.Enum):
    """What is to be done now and then."""

    COPY = "copy"
    CHECK = "check"
    TRUNCATE = "truncation"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepRules:
    """How often."""

    backup_hours: float = 6.0
    """From a copy to the next; 0 for copies before migrations alone."""
    backups_kept: int = USUALLY_KEPT
    """Copies that stay, and the newest one from before a migration; 0 for no copies at all."""
    check_days: float = 7.0
    """From a look for damage to the next; 0 for none."""

    @property
    def periods(self) -> Mapping[Chore, float]:
        """Seconds between two of each; what is not done is not among them."""
        copies = self.backup_hours * _HOUR if self.backups_kept else 0.0
        periods = {Chore.COPY: copies, Chore.CHECK: self.check_days * _DAY, Chore.TRUNCATE: LOOK}
        return {chore: period for chore, period in periods.items() if period > 0}


class Timetable:
    """When what is due, in seconds on a clock that never steps."""

    def __init__(self, periods: Mapping[Chore, float], *, now: float, ages: Mapping[Chore, float]) -> None:
        """Begin; `ages` says how long ago each was done by the wall clock, which may have stepped meanwhile."""
        self._periods = periods
        self._due = {
            chore: now + period - min(max(ages.get(chore, 0.0), 0.0), period) for chore, period in periods.items()
        }

    def due(self, now: float) -> list[Chore]:
        """Give what is due, what has waited longest first."""
        return sorted((chore for chore, at in self._due.items() if at <= now), key=self._due.__getitem__)

    def wait(self, now: float) -> float:
        """Give the seconds until something is due."""
        return max(0.0, min(self._due.values(), default=math.inf) - now)

    def ended(self, chore: Chore, now: float, *, well: bool) -> None:
        """Note that something was done, or failed, which is tried again before long."""
        period = self._periods[chore]
        self._due[chore] = now + (period if well else min(period, RETRY))


class Upkeep:
    """Has done what is due."""

    def __init__(self, *, store: SqliteStore, rules: UpkeepRules, clocks: Clocks, meters: Meters) -> None:
        self._store = store
        self._directory = store.path.parent
        self._copies = Copies(self._directory, kept=rules.backups_kept)
        self._rules = rules
        self._clocks = clocks
        self._meters = meters
        self._record = UpkeepRecord()
        self._troubles: dict[Chore, str] = {}
        """What is wrong now, by what found it."""

    @property
    def trouble(self) -> str:
        """What is wrong, for people; empty if nothing is."""
        return "; ".join(self._troubles.values())

    def gauges(self) -> Mapping[str, float]:
        """Say what is now, by name."""
        return {"store_wal_bytes": self._store.wal_bytes(), "store_in_trouble": float(bool(self._troubles))}

    async def serve(self) -> None:
        """Look now and then, for ever."""
        timetable = await asyncio.to_thread(self._begin)
        while True:
            await asyncio.sleep(timetable.wait(self._clocks.steady()))
            for chore in timetable.due(self._clocks.steady()):
                well = await self.do(chore)
                timetable.ended(chore, self._clocks.steady(), well=well)

    async def do(self, chore: Chore) -> bool:
        """Do something now; whether it went well.

        Raises:
            StoreBrokenError: the store cannot be written any more, which ends the daemon.
        """
        try:
            match chore:
                case Chore.COPY:
                    await self._copy()
                case Chore.CHECK:
                    await self._check()
                case Chore.TRUNCATE:
                    await self._truncate()
        except StoreBrokenError:
            raise
        except (QubitdError, OSError) as error:
            self._meters.count("upkeep", f"{chore.value} failed")
            self._troubles[chore] = f"{chore.value} of the store failed: {error}"
            _log.error("upkeep of the store failed", extra={"chore": chore.value, "cause": str(error)})
            return False
        return True

    def _begin(self) -> Timetable:
        now = self._clocks.wall()
        known = read_record(self._directory)
        self._record = known or UpkeepRecord(copied_ns=now, checked_ns=now)
        if known is None:
            with contextlib.suppress(OSError):  # a disk that refuses this much refuses a job, too, and says so then
                self._noted(self._record)
        self._told(self._record.problems)
        ages = {
            Chore.COPY: (now - self._record.copied_ns) * 1e-9,
            # Damage that is remembered may be of files that were exchanged since for a copy's.
            Chore.CHECK: math.inf if self._record.problems else (now - self._record.checked_ns) * 1e-9,
        }
        return Timetable(self._rules.periods, now=self._clocks.steady(), ages=ages)

    async def _copy(self) -> None:
        now = self._clocks.wall()
        name = await asyncio.to_thread(self._copies.next_name, now)
        place = await asyncio.to_thread(self._copies.begin, name)
        end = self._store.audit.end()  # of the copy, too, whatever is written meanwhile
        await aside(make_copy, self._directory, place)
        whole = await asyncio.to_thread(self._copies.finish, name)
        await asyncio.to_thread(self._noted, self._record.copied(now))
        self._troubles.pop(Chore.COPY, None)
        self._meters.count("upkeep", "copied")
        _log.info("copied the store", extra={"copy": str(whole), "audit_line": end.number, "audit_hash": end.hash})

    async def _check(self) -> None:
        problems = await aside(inspect_tables, self._directory)
        await asyncio.to_thread(self._noted, self._record.checked(self._clocks.wall(), problems))
        self._meters.count("upkeep", "damaged" if problems else "whole")
        self._told(tuple(problems))
        if problems:
            _log.critical("the store is damaged", extra={"store": str(self._store.path), "problems": problems})
        else:
            _log.info("the store is whole", extra={"store": str(self._store.path)})

    async def _truncate(self) -> None:
        if self._store.wal_bytes() > MOST_WAL_BYTES:
            is_short = await durable(self._store.truncate_wal())
            self._meters.count("upkeep", "truncated" if is_short else "truncated later")

    def _told(self, problems: tuple[str, ...]) -> None:
        self._troubles.pop(Chore.CHECK, None)
        if problems:
            self._troubles[Chore.CHECK] = f"the store is damaged ({problems[0]}): stop, and go back to a copy"

    def _noted(self, record: UpkeepRecord) -> UpkeepRecord:
        self._record = record
        write_record(self._directory, record)
        return record
