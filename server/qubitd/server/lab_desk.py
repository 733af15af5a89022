"""An operator's switches at work: what they do to the rack and the job that runs, and that the store knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from qubitd.server.errors import LabClosedError
from qubitd.server.instruments.rack import RackThread
from qubitd.server.lab import LabSwitch
from qubitd.server.persistence import durable, to_the_end
from qubitd.server.running.runner import Runner, failed
from qubitd.server.store.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabDesk:
    """The switches of one lab."""

    switch: LabSwitch
    backend: str
    store: Store
    rack: RackThread
    runner: Runner
    wall: Callable[[], int]
    """ns since 1970-01-01 UTC."""

    def restore(self) -> None:
        """Leave the lab as an operator left it in an earlier process."""
        self.switch.restore(self.store.lab.find(self.backend))
        if not self.switch.is_open:
            _log.warning("the lab is as an operator left it", extra={"state": self.switch.state.value})

    async def stop(self, reason: str, *, by: str) -> None:
        """Make the rack safe at once, and start nothing until `resume`. The running job ends with the reason.

        It is tried until the instruments answer, though the caller hangs up; the store knows of the stop before that.
        """
        self.switch.stop(reason)
        self.runner.break_off(failed(LabClosedError(state=self.switch.state, reason=reason)))
        kept = self._kept(f"stopped the lab: {reason}", by=by)
        await to_the_end(self.rack.make_safe())
        await kept

    async def drain(self, reason: str, *, by: str) -> None:
        """Take no job and start none until `resume`; the running one ends. Durable on return."""
        self.switch.drain(reason)
        await self._kept(f"drained the lab: {reason}", by=by)

    async def resume(self, *, by: str) -> None:
        """Take and start jobs again; durable on return."""
        self.switch.resume()
        self.runner.wake()
        await self._kept("resumed the lab", by=by)

    def _kept(self, what: str, *, by: str) -> asyncio.Future[None]:
        backend, switch, now = self.backend, replace(self.switch), self.wall()
        return durable(self.store.write(lambda w: w.lab.keep(backend, switch, who=by, what=what, time_ns=now)))
