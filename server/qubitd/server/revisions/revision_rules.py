"""How a new calibration revision follows from the one in force: pure functions of snapshots.

A device file states first values. A value of it replaces what is in force only if the file itself changed it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from qubitd.core.errors import Problem
from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.wire.calibrations import ParameterChange

FILE_AUTHOR = "file"
"""Author of what the device file says."""
_DAY = 86_400 * 10**9
"""ns; by one the clock of whoever measured may be ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a new revision does to the one in force."""

    values: Mapping[str, Parameter]
    """Parameters that it sets, by name."""
    removed: tuple[str, ...] = ()
    """Names that it removes, sorted."""

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.values and not self.removed


def apply(edit: Edit, current: Snapshot, *, author: str, message: str, created_at: int) -> Snapshot:
    """Give the snapshot that follows."""
    kept = {name: parameter for name, parameter in current.parameters.items() if name not in edit.removed}
    return Snapshot(
        revision=current.revision + 1,
        parent=current.revision,
        author=author,
        message=message,
        created_at=created_at,
        parameters={**kept, **edit.values},
    )


def not_come(parameters: Iterable[Parameter], *, now: int) -> list[Problem]:
    """Find what says that it was measured at a time that has not come; `now` is ns since 1970-01-01 UTC."""
    ahead = {parameter.name: ((parameter.measured_at or 0) - now) / _DAY for parameter in parameters}
    what = "measured_at is {:.3g} days ahead of the daemon's clock; it is ns since 1970-01-01 UTC"
    return [Problem(where=name, what=what.format(days)) for name, days in ahead.items() if days > 1]


def file_edit(
    *, before: Mapping[str, Parameter], after: Mapping[str, Parameter], current: Mapping[str, Parameter]
) -> Edit:
    """Find what a changed device file replaces.

    Args:
        before: first values when the file was last read.
        after: first values now.
        current: the parameters in force.
    """
    values = {
        name: parameter
        for name, parameter in after.items()
        if name not in current or (_is_changed(parameter, before.get(name)) and _is_changed(parameter, current[name]))
    }
    gone = before.keys() - after.keys()
    removed = tuple(sorted(name for name in gone if name in current and current[name].measured_at is None))
    return Edit(values=values, removed=removed)


def rollback_edit(*, older: Snapshot, current: Snapshot, names: Collection[str] = ()) -> Edit:
    """Find what brings back the values of an older revision, for some names or for all."""
    concerned = set(names) or older.parameters.keys() | current.parameters.keys()
    values = {
        name: older.parameters[name]
        for name in sorted(concerned & older.parameters.keys())
        if current.parameters.get(name) != older.parameters[name]
    }
    gone = (concerned & current.parameters.keys()) - older.parameters.keys()
    return Edit(values=values, removed=tuple(sorted(gone)))


def differences(older: Snapshot, newer: Snapshot) -> list[ParameterChange]:
    """Give the parameters that differ, sorted by name."""
    names = sorted(older.parameters.keys() | newer.parameters.keys())
    changes = [
        ParameterChange(name=name, before=older.parameters.get(name), after=newer.parameters.get(name))
        for name in names
    ]
    return [change for change in changes if change.before != change.after]


def _is_changed(parameter: Parameter, other: Parameter | None) -> bool:
    return other is None or (parameter.value, parameter.unit) != (other.value, other.unit)
