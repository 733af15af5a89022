"""When a store was copied and looked at last, in a file beside it: a damaged database is not told of its damage."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

FILE = "upkeep.json"
"""Name of the file in the data directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepRecord:
    """What was done last; times are ns since 1970-01-01 UTC. For a new store all was done when it was made."""

    copied_ns: int = 0
    checked_ns: int = 0
    looked_ns: int = 0
    """When somebody really looked; 0 if nobody did yet."""
    problems: tuple[str, ...] = ()
    """That were found then."""

    def copied(self, now_ns: int) -> UpkeepRecord:
        """Note a copy."""
        return replace(self, copied_ns=now_ns)

    def checked(self, now_ns: int, problems: Iterable[str]) -> UpkeepRecord:
        """Note a look for damage."""
        return replace(self, checked_ns=now_ns, looked_ns=now_ns, problems=tuple(problems))


def read_record(directory: Path) -> UpkeepRecord | None:
    """Give what is known of a store; None for one that nobody looked after yet."""
    try:
        values: dict[str, Any] = json.loads((directory / FILE).read_bytes())
        problems = tuple(map(str, values.pop("problems")))
        return UpkeepRecord(problems=problems, **values)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(directory: Path, record: UpkeepRecord) -> None:
    """Note what was done; half a note is none.

    Raises:
        OSError: the disk refused.
    """
    half = directory / f"{FILE}.part"
    with half.open("w", encoding="utf-8") as file:
        json.dump(asdict(record), file)
        file.flush()
        os.fsync(file.fileno())
    half.rename(directory / FILE)
