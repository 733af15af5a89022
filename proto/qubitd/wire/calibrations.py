"""Calibration parameters, snapshots and revisions <-> messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qubitd.core.errors import InvalidCalibrationError
from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.v1 import calibrations_pb2
from qubitd.wire.errors import MalformedMessageError, malformed
from qubitd.wire.parsing import check_text

MAX_NAME = 128
MAX_TEXT = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A snapshot without its parameters."""

    revision: int
    """Counts up from 1."""
    parent: int
    """The revision it was made from; 0 for the first."""
    author: str
    """`file` for the device file."""
    message: str
    created_at: int
    """ns since 1970-01-01 UTC."""
    digest: str
    """SHA-256 over every field of every parameter, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One value that a parameter had."""

    revision: Revision
    """The revision that brought it."""
    parameter: Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChange:
    """One parameter that differs between two revisions."""

    name: str
    before: Parameter | None
    """None if it was added."""
    after: Parameter | None
    """None if it was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionChange:
    """A revision that came into force."""

    revision: Revision
    changed: tuple[str, ...]
    """Names of the parameters that it changed."""


def revision_of(snapshot: Snapshot) -> Revision:
    """Leave the parameters out."""
    return Revision(
        revision=snapshot.revision,
        parent=snapshot.parent,
        author=snapshot.author,
        message=snapshot.message,
        created_at=snapshot.created_at,
        digest=snapshot.digest,
    )


def encode_parameter(parameter: Parameter) -> calibrations_pb2.Parameter:
    """Give the message of a parameter."""
    return calibrations_pb2.Parameter(
        name=parameter.name,
        value=parameter.value,
        unit=parameter.unit,
        stderr=parameter.stderr,
        measured_at_ns=parameter.measured_at,
        run=parameter.run,
        source=parameter.source,
    )


def decode_parameter(message: calibrations_pb2.Parameter) -> Parameter:
    """Read and check a parameter.

    Raises:
        MalformedMessageError: a text is too long, or a number is not finite.
    """
    name = check_text(message.name, where="name of a parameter", least=1, most=MAX_NAME)
    try:
        return Parameter(
            name=name,
            value=message.value,
            unit=check_text(message.unit, where=f"{name}, unit", most=MAX_NAME),
            stderr=message.stderr if message.HasField("stderr") else None,
            measured_at=message.measured_at_ns if message.HasField("measured_at_ns") else None,
            run=check_text(message.run, where=f"{name}, run", most=MAX_TEXT),
            source=check_text(message.source, where=f"{name}, source", most=MAX_TEXT),
        )
    except InvalidCalibrationError as error:
        raise MalformedMessageError(error.problems) from error


def decode_parameters(messages: Iterable[calibrations_pb2.Parameter]) -> dict[str, Parameter]:
    """Read parameters by name.

    Raises:
        MalformedMessageError: one of them is invalid, or a name stands twice.
    """
    parameters: dict[str, Parameter] = {}
    for message in messages:
        parameter = decode_parameter(message)
        if parameter.name in parameters:
            raise malformed(parameter.name, "stands twice")
        parameters[parameter.name] = parameter
    return parameters


def encode_revision(revision: Revision) -> calibrations_pb2.Revision:
    """Give the message of a revision."""
    return calibrations_pb2.Revision(
        revision=revision.revision,
        parent=revision.parent,
        author=revision.author,
        message=revision.message,
        created_ns=revision.created_at,
        digest=revision.digest,
    )


def decode_revision(message: calibrations_pb2.Revision) -> Revision:
    """Read a revision."""
    return Revision(
        revision=message.revision,
        parent=message.parent,
        author=message.author,
        message=message.message,
        created_at=message.created_ns,
        digest=message.digest,
    )


def encode_snapshot(snapshot: Snapshot) -> calibrations_pb2.SnapshotResponse:
    """Give the message of a snapshot."""
    return calibrations_pb2.SnapshotResponse(
        revision=encode_revision(revision_of(snapshot)),
        parameters=[encode_parameter(parameter) for parameter in snapshot.parameters.values()],
    )


def decode_snapshot(message: calibrations_pb2.SnapshotResponse) -> Snapshot:
    """Read a snapshot and compare its digest.

    Raises:
        MalformedMessageError: a parameter is invalid, or the parameters are not those that the revision had.
    """
    revision = decode_revision(message.revision)
    snapshot = Snapshot(
        revision=revision.revision,
        parent=revision.parent,
        author=revision.author,
        message=revision.message,
        created_at=revision.created_at,
        parameters=decode_parameters(message.parameters),
    )
    if snapshot.digest != revision.digest:
        what = f"parameters hash to {snapshot.digest}, the revision says {revision.digest}"
        raise malformed(f"revision {revision.revision}", what)
    return snapshot


def encode_history(entries: Iterable[HistoryEntry]) -> calibrations_pb2.HistoryResponse:
    """Give the message of a parameter's values."""
    return calibrations_pb2.HistoryResponse(
        entries=[
            calibrations_pb2.HistoryEntry(
                revision=encode_revision(entry.revision), parameter=encode_parameter(entry.parameter)
            )
            for entry in entries
        ]
    )


def decode_history(message: calibrations_pb2.HistoryResponse) -> tuple[HistoryEntry, ...]:
    """Read a parameter's values.

    Raises:
        MalformedMessageError: a value is invalid.
    """
    return tuple(
        HistoryEntry(revision=decode_revision(entry.revision), parameter=decode_parameter(entry.parameter))
        for entry in message.entries
    )


def encode_changes(changes: Iterable[ParameterChange]) -> calibrations_pb2.DiffResponse:
    """Give the message of what differs."""
    return calibrations_pb2.DiffResponse(
        changes=[
            calibrations_pb2.ParameterChange(
                name=change.name,
                before=None if change.before is None else encode_parameter(change.before),
                after=None if change.after is None else encode_parameter(change.after),
            )
            for change in changes
        ]
    )


def decode_changes(message: calibrations_pb2.DiffResponse) -> tuple[ParameterChange, ...]:
    """Read what differs.

    Raises:
        MalformedMessageError: a value is invalid.
    """
    return tuple(
        ParameterChange(
            name=change.name,
            before=decode_parameter(change.before) if change.HasField("before") else None,
            after=decode_parameter(change.after) if change.HasField("after") else None,
        )
        for change in message.changes
    )
