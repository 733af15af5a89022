"""qubitd.v1.Calibrations: dated parameters, and every revision that they went through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from qubitd.server.auth.identity import caller
from qubitd.server.errors import UnknownRevisionError
from qubitd.server.front.rpc import Service, stream, unary
from qubitd.server.group.roster import Roster
from qubitd.server.instruments.backend import Backend
from qubitd.server.revisions.calibrations import MAX_PARAMETERS, TOPIC, Proposal
from qubitd.server.watching.watches import Watches
from qubitd.v1 import calibrations_pb2
from qubitd.wire.calibrations import (
    decode_parameters,
    encode_changes,
    encode_history,
    encode_revision,
    encode_snapshot,
    revision_of,
)
from qubitd.wire.parsing import check_count, check_text

_USUAL_HISTORY = 100
_LONGEST_HISTORY = 10_000
_MAX_NAME = 128
_MAX_BYTES = 16 * 2**20
"""Of a request that carries parameters or names."""
_MAX_MESSAGE = 1_024


class CalibrationsService:
    """Its RPCs, named like them."""

    def __init__(self, backend: Backend, roster: Roster, watches: Watches) -> None:
        self._roster = roster
        self._calibrations = backend.calibrations
        self._watches = watches

    def service(self) -> Service:
        """Give the handlers."""
        return Service(
            name="qubitd.v1.Calibrations",
            rpcs={
                "Snapshot": unary(calibrations_pb2.SnapshotRequest, self.Snapshot),
                "History": unary(calibrations_pb2.HistoryRequest, self.History),
                "Diff": unary(calibrations_pb2.DiffRequest, self.Diff),
                "Commit": unary(calibrations_pb2.CommitRequest, self.Commit, most=_MAX_BYTES),
                "Rollback": unary(calibrations_pb2.RollbackRequest, self.Rollback, most=_MAX_BYTES),
                "Watch": stream(calibrations_pb2.CalibrationsWatchRequest, self.Watch),
            },
        )

    async def Snapshot(self, request: calibrations_pb2.SnapshotRequest) -> calibrations_pb2.SnapshotResponse:
        """Give all parameters at a revision."""
        self._roster.check_own(request.backend, "the calibration")
        return encode_snapshot(self._calibrations.snapshot(request.revision))

    async def History(self, request: calibrations_pb2.HistoryRequest) -> calibrations_pb2.HistoryResponse:
        """Give the values that a parameter had."""
        self._roster.check_own(request.backend, "the calibration")
        name = check_text(request.name, where="name", least=1, most=_MAX_NAME)
        limit = check_count(request.limit, where="limit", most=_LONGEST_HISTORY) or _USUAL_HISTORY
        return encode_history(self._calibrations.history(name, limit=limit))

    async def Diff(self, request: calibrations_pb2.DiffRequest) -> calibrations_pb2.DiffResponse:
        """Give what differs between two revisions."""
        self._roster.check_own(request.backend, "the calibration")
        return encode_changes(self._calibrations.differences(request.from_revision, request.to_revision))

    async def Commit(self, request: calibrations_pb2.CommitRequest) -> calibrations_pb2.CommitResponse:
        """Make a new revision."""
        self._roster.check_own(request.backend, "the calibration")
        check_count(len(request.parameters), where="parameters", least=1, most=MAX_PARAMETERS)
        parameters = decode_parameters(request.parameters)
        proposal = Proposal(
            author=caller().name,
            message=check_text(request.message, where="message", most=_MAX_MESSAGE),
            parameters=parameters,
            base=request.base_revision,
        )
        made = await self._calibrations.commit(proposal)
        return calibrations_pb2.CommitResponse(revision=encode_revision(revision_of(made)))

    async def Rollback(self, request: calibrations_pb2.RollbackRequest) -> calibrations_pb2.RollbackResponse:
        """Make a new revision with older values."""
        self._roster.check_own(request.backend, "the calibration")
        check_count(len(request.names), where="names", most=MAX_PARAMETERS)
        made = await self._calibrations.rollback(
            to_revision=request.to_revision,
            names=tuple(check_text(name, where="names", most=_MAX_NAME) for name in request.names),
            author=caller().name,
            message=check_text(request.message, where="message", most=_MAX_MESSAGE),
        )
        return calibrations_pb2.RollbackResponse(revision=encode_revision(revision_of(made)))

    def Watch(self, request: calibrations_pb2.CalibrationsWatchRequest) -> AsyncGenerator[bytes]:
        """Send the revisions after the cursor, or the one in force, then each that follows."""
        self._roster.check_own(request.backend, "the calibration")
        newest = self._calibrations.current.revision
        if not 0 <= request.after_revision <= newest:
            raise UnknownRevisionError(revision=request.after_revision, newest=newest)
        last = request.after_revision or newest - 1

        def news() -> Iterator[bytes]:
            nonlocal last
            while last < self._calibrations.current.revision:
                last += 1
                yield self._response(last)

        def bookmark() -> bytes:
            return calibrations_pb2.CalibrationsWatchResponse(bookmark=last).SerializeToString()

        return self._watches.of_topics(TOPIC, news=news, bookmark=bookmark)

    def _response(self, revision: int) -> bytes:
        return calibrations_pb2.CalibrationsWatchResponse(
            revision=encode_revision(self._calibrations.revision(revision)),
            changed=self._calibrations.changed_by(revision),
        ).SerializeToString()
