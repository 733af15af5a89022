"""The operator's switch as the store holds it: a lab that was stopped stays so, whatever becomes of its daemon."""

from __future__ import annotations

from qubitd.server.lab import LabSwitch
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Database
from qubitd.wire.lab import LabState


class LabReads:
    """What can be asked about switches."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def find(self, backend: str) -> LabSwitch:
        """Give the switch of a backend as it was left; one that was never used serves."""
        row = self._connection.execute("SELECT state, reason FROM lab WHERE backend = ?", (backend,)).fetchone()
        return LabSwitch() if row is None else LabSwitch(state=LabState(row[0]), reason=row[1])


class LabWrites:
    """What the writer's thread can do to switches."""

    def __init__(self, connection: Database, audit: AuditWrites) -> None:
        self._connection = connection
        self._audit = audit

    def keep(self, backend: str, switch: LabSwitch, *, who: str, what: str, time_ns: int) -> None:
        """Keep how a switch stands, and tell of it in the log of what was done."""
        self._connection.execute(
            "INSERT INTO lab VALUES (?, ?, ?)"
            " ON CONFLICT (backend) DO UPDATE SET state = excluded.state, reason = excluded.reason",
            (backend, switch.state.value, switch.reason),
        )
        self._audit.append(time_ns=time_ns, who=who, what=what)
