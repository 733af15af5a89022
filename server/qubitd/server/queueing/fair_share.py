"""What each project used of this daemon's rack, durable, and of the racks of its group, as they told: who goes first.

Use fades with the time for which its backend is served. So no clock that may step, and no time while a daemon is down,
changes who is owed more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from qubitd.server.clocks import Clocks
from qubitd.server.queueing.served import ServedTime
from qubitd.server.scheduling.shares import Shares
from qubitd.server.store.rows import Usage
from qubitd.server.store.store import Store


class FairShare:
    """The accounts of a backend and, in a group, of the others."""

    def __init__(
        self, *, store: Store, clocks: Clocks, served: ServedTime, backend: str, weights: Mapping[str, float]
    ) -> None:
        self.shares = Shares(weights=weights)
        self._store = store
        self._clocks = clocks
        self._served = served
        self._backend = backend
        for one in store.jobs.usage():
            if one.backend == backend:
                self.shares.add(one.owner, self._faded(one), at=clocks.steady())

    def charge(self, project: str, seconds: float) -> None:
        """Charge a project with seconds for which it just had the rack; durable with the next commit."""
        now = self._clocks.steady()
        self.shares.add(project, seconds, at=now)
        used = Usage(backend=self._backend, owner=project, seconds=self.shares.used(project, at=now), age=0.0)
        served = self._served.now()
        self._store.write(lambda w: w.jobs.note_usage(used, served=served), hurried=False)

    def look(self) -> None:
        """See what the projects used of the other backends of the group."""
        elsewhere: defaultdict[str, float] = defaultdict(float)
        for one in self._store.jobs.usage():
            if one.backend != self._backend:
                elsewhere[one.owner] += self._faded(one)
        self.shares.take_in(elsewhere, at=self._clocks.steady())

    def _faded(self, used: Usage) -> float:
        return used.seconds * math.exp2(-max(0.0, used.age) / self.shares.half_life)
