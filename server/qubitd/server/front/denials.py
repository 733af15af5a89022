"""Writes what was refused into the audit log; one who knocks without end fills it with a line a second, no more."""

from __future__ import annotations

from dataclasses import dataclass, field

from qubitd.server.clocks import Clocks
from qubitd.server.store.store import Store

_PERIOD = 1.0
"""Seconds."""
_KEPT = 1000


@dataclass(slots=True, kw_only=True)
class Denials:
    """What is remembered of refusals."""

    store: Store
    clocks: Clocks
    _last: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])

    def __call__(self, who: str, what: str) -> None:
        """Remember that somebody was refused."""
        now = self.clocks.steady()
        if (who, what) in self._last and now - self._last[who, what] < _PERIOD:
            return
        if len(self._last) >= _KEPT:
            self._last.clear()
        self._last[who, what] = now
        time_ns = self.clocks.wall()
        self.store.write(lambda w: w.audit.append(time_ns=time_ns, who=who, what=what))
