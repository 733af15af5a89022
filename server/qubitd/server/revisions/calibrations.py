"""One backend's calibration: the revision in force, and the only ways to a new one. Each is decided in the writer's
thread, where nothing can come between the look and the commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from qubitd.compiler.device_file import DeviceFile
from qubitd.compiler.resolve import calibration_problems
from qubitd.core.device import Device
from qubitd.core.errors import InvalidCalibrationError, Problem
from qubitd.core.plausibility import implausible, quantity
from qubitd.core.properties import target_properties
from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.server.errors import CommitConflictError, UnknownParameterError, UnknownRevisionError
from qubitd.server.failpoints import failpoint
from qubitd.server.persistence import to_the_end
from qubitd.server.revisions.revision_rules import (
    FILE_AUTHOR,
    Edit,
    apply,
    differences,
    file_edit,
    not_come,
    rollback_edit,
)
from qubitd.server.store.revisions import RememberedFile, RevisionReads
from qubitd.server.store.store import Store, Writes
from qubitd.server.watching.announcer import Announcer
from qubitd.wire.calibrations import HistoryEntry, ParameterChange, Revision

_log = logging.getLogger(__name__)

TOPIC = "calibration"
"""Announced when another revision is in force."""
MAX_PARAMETERS = 20_000
"""Parameters of a revision: a snapshot is read, checked and sent as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A revision that somebody wants."""

    author: str
    message: str
    parameters: Mapping[str, Parameter]
    base: int
    """The revision that the values were measured against."""


class Calibrations:
    """The revisions of one backend."""

    def __init__(self, *, store: Store, device: Device, announcer: Announcer, now: Callable[[], int]) -> None:
        self.device = device
        self._store = store
        self._announcer = announcer
        self._now = now
        self._current: Snapshot | None = None

    @property
    def current(self) -> Snapshot:
        """The revision in force."""
        if self._current is None:
            raise UnknownRevisionError(revision=1, newest=0)
        return self._current

    async def load(self, file: DeviceFile) -> None:
        """Take in the device file and whatever the store holds: the first thing to do.

        Raises:
            InvalidCalibrationError: the file's values break the gates of the device.
        """
        values = {parameter.name: parameter for parameter in file.first_values}
        remembered = RememberedFile(digest=file.digest, parameters=values)
        self._current = await asyncio.wrap_future(self._store.write(lambda w: self._take_file(w, remembered)))

    async def commit(self, proposal: Proposal) -> Snapshot:
        """Make a new revision.

        Raises:
            UnknownRevisionError: there is no such base.
            CommitConflictError: others changed the same parameters since.
            InvalidCalibrationError: a value is outside what physics, units or the device allow.
        """
        return await to_the_end(self._make(lambda w: self._commit(w, proposal)))

    async def rollback(self, *, to_revision: int, names: Collection[str], author: str, message: str) -> Snapshot:
        """Make a new revision with older values.

        Raises:
            UnknownRevisionError: there is no such revision.
            UnknownParameterError: neither revision has the parameter.
            InvalidCalibrationError: together with what stays, the values break the device.
        """
        return await to_the_end(
            self._make(
                lambda w: self._rollback(w, to_revision=to_revision, names=names, author=author, message=message)
            )
        )

    def snapshot(self, revision: int = 0) -> Snapshot:
        """Give a revision; 0 for the one in force.

        Raises:
            UnknownRevisionError: there is no such revision.
        """
        if revision in (0, self.current.revision):
            return self.current
        return self._reads().snapshot(revision)

    def history(self, name: str, *, limit: int) -> list[HistoryEntry]:
        """Give the values that a parameter had, newest first.

        Raises:
            UnknownParameterError: there never was such a parameter.
        """
        entries = self._reads().history(name, limit=limit)
        if not entries:
            raise UnknownParameterError(name=name, known=self.current.parameters)
        return entries

    def differences(self, older: int, newer: int) -> list[ParameterChange]:
        """Give the parameters that differ between two revisions.

        Raises:
            UnknownRevisionError: there is no such revision.
        """
        return differences(self.snapshot(older), self.snapshot(newer))

    def revision(self, revision: int) -> Revision:
        """Give a revision without its parameters.

        Raises:
            UnknownRevisionError: there is no such revision.
        """
        return self._reads().row(revision)

    def changed_by(self, revision: int) -> list[str]:
        """Give the names that a revision changed."""
        return self._reads().changed_by(revision)

    def _reads(self) -> RevisionReads:
        return self._store.revisions(self.device.name)

    async def _make(self, command: Callable[[Writes], Snapshot]) -> Snapshot:
        """Goes on when the caller is gone: what is in the store must be in force."""
        made = await asyncio.wrap_future(self._store.write(command))
        failpoint("revision.committed")
        if made.revision > self.current.revision:
            self._current = made
        self._announcer.announce(TOPIC)
        return made

    def _take_file(self, writes: Writes, file: RememberedFile) -> Snapshot:
        reads = writes.revisions.reads(self.device.name)
        remembered = reads.device_file()
        if remembered is None:
            first = Snapshot(
                revision=1,
                parent=0,
                author=FILE_AUTHOR,
                message="first values",
                created_at=self._now(),
                parameters=file.parameters,
            )
            writes.revisions.insert(self.device.name, first, changed=tuple(first.parameters))
            writes.revisions.remember_file(self.device.name, file)
            return first
        current = reads.snapshot(reads.newest())
        if remembered.digest == file.digest:
            return current
        return self._take_changed_file(writes, current, remembered=remembered, file=file)

    def _take_changed_file(
        self, writes: Writes, current: Snapshot, *, remembered: RememberedFile, file: RememberedFile
    ) -> Snapshot:
        edit = file_edit(before=remembered.parameters, after=file.parameters, current=current.parameters)
        writes.revisions.remember_file(self.device.name, file)
        kept = [p.name for p in current.parameters.values() if p.measured_at is not None and p.name not in edit.values]
        _log.info(
            "the device file changed",
            extra={"replaced": sorted(edit.values), "removed": edit.removed, "kept_as_measured": kept},
        )
        if edit.is_empty:
            return current
        return self._insert(writes, current, edit, author=FILE_AUTHOR, message="the device file changed")

    def _commit(self, writes: Writes, proposal: Proposal) -> Snapshot:
        reads = writes.revisions.reads(self.device.name)
        current = reads.snapshot(reads.newest())
        if not 1 <= proposal.base <= current.revision:
            raise UnknownRevisionError(revision=proposal.base, newest=current.revision)
        conflicts = reads.changed_since(proposal.base, proposal.parameters)
        if conflicts:
            raise CommitConflictError(names=conflicts, base=proposal.base, newest=current.revision)
        unknown = [name for name in proposal.parameters if name not in current and not self._could_have(name)]
        if unknown:
            what = "no such parameter, and nothing in the device that it could describe; a snapshot lists the names"
            raise InvalidCalibrationError([Problem(where=name, what=what) for name in unknown])
        if untimely := not_come(proposal.parameters.values(), now=self._now()):
            raise InvalidCalibrationError(untimely)
        edit = Edit(values=proposal.parameters)
        return self._insert(writes, current, edit, author=proposal.author, message=proposal.message)

    def _rollback(
        self, writes: Writes, *, to_revision: int, names: Collection[str], author: str, message: str
    ) -> Snapshot:
        reads = writes.revisions.reads(self.device.name)
        current = reads.snapshot(reads.newest())
        older = reads.snapshot(to_revision)
        for name in names:
            if name not in older and name not in current:
                raise UnknownParameterError(name=name, known=current.parameters)
        edit = rollback_edit(older=older, current=current, names=names)
        return self._insert(writes, current, edit, author=author, message=message)

    def _insert(self, writes: Writes, current: Snapshot, edit: Edit, *, author: str, message: str) -> Snapshot:
        made = apply(edit, current, author=author, message=message, created_at=self._now())
        if len(made.parameters) > MAX_PARAMETERS:
            what = f"would hold {len(made.parameters)} parameters; the limit is {MAX_PARAMETERS}"
            raise InvalidCalibrationError([Problem(where=f"revision {made.revision}", what=what)])
        problems = implausible(made.parameters, changed=edit.values.keys()) or calibration_problems(self.device, made)
        if problems:
            raise InvalidCalibrationError(problems)
        target_properties(self.device, made)
        writes.revisions.insert(self.device.name, made, changed=tuple(sorted(edit.values)), removed=edit.removed)
        what = f"calibration revision {made.revision} of {self.device.name}: {message}"
        writes.audit.append(time_ns=made.created_at, who=author, what=what)
        return made

    def _could_have(self, name: str) -> bool:
        operands = {*self.device.qubits, *(self.device.operand_name(c.qubits) for c in self.device.couplers)}
        return name.partition(".")[0] in operands and quantity(name) is not None
