"""Writes what was refused into the audit log; one who knocks without end fills it with a line a second, no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qubitd.server.store.store import Store

_PERIOD_NS = 1_000_000_000
_KEPT = 1000


@dataclass(slots=True, kw_only=True)
class Denials:
    """What is remembered of refusals."""

    store: Store
    now: Callable[[], int]
    _last: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def __call__(self, who: str, what: str) -> None:
        """Remember that somebody was refused."""
        now = self.now()
        if now - self._last.get((who, what), -_PERIOD_NS) < _PERIOD_NS:
            return
        if len(self._last) >= _KEPT:
            self._last.clear()
        self._last[who, what] = now
        self.store.write(lambda w: w.audit.append(time_ns=now, who=who, what=what))
