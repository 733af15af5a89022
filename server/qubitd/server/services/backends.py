"""qubitd.v1.Backends: what the daemon offers, and each new revision of it as it comes into force."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from qubitd.server.front.rpc import Service, stream, unary
from qubitd.server.group.roster import TOPIC as ROSTER
from qubitd.server.group.roster import Roster
from qubitd.server.instruments.backend import Backend
from qubitd.server.instruments.rack import TOPIC as RACK
from qubitd.server.revisions.calibrations import TOPIC as CALIBRATION
from qubitd.server.version import server_version
from qubitd.server.watching.watches import Watches
from qubitd.v1 import backends_pb2
from qubitd.wire.backends import encode_backend, encode_standing
from qubitd.wire.circuits import WIRE_VERSION


class BackendsService:
    """Its RPCs, named like them."""

    def __init__(self, backend: Backend, roster: Roster, watches: Watches) -> None:
        self._backend = backend
        self._roster = roster
        self._watches = watches

    def service(self) -> Service:
        """Give the handlers."""
        return Service(
            name="qubitd.v1.Backends",
            rpcs={
                "List": unary(backends_pb2.BackendsListRequest, self.List),
                "Get": unary(backends_pb2.BackendsGetRequest, self.Get),
                "Watch": stream(backends_pb2.BackendsWatchRequest, self.Watch),
            },
        )

    async def List(self, _: backends_pb2.BackendsListRequest) -> backends_pb2.BackendsListResponse:
        """List this daemon's backend, and those of the others that share its store."""
        standings = self._roster.standings()
        return backends_pb2.BackendsListResponse(
            names=[standing.name for standing in standings],
            server_version=server_version(),
            wire_versions=[WIRE_VERSION],
            standings=map(encode_standing, standings),
        )

    async def Get(self, request: backends_pb2.BackendsGetRequest) -> backends_pb2.BackendsGetResponse:
        """Describe the backend at a revision."""
        member = self._roster.find(request.name)
        if member is not None:
            info = self._roster.described(member)
            if request.revision not in (0, info.revision):
                self._roster.check_own(request.name, f"calibration revision {request.revision}")
            return backends_pb2.BackendsGetResponse(backend=encode_backend(info))
        snapshot = self._backend.calibrations.snapshot(request.revision)
        return backends_pb2.BackendsGetResponse(backend=encode_backend(self._backend.describe(snapshot)))

    def Watch(self, request: backends_pb2.BackendsWatchRequest) -> AsyncGenerator[bytes]:
        """Send the description now and whenever it changes."""
        sent = b""

        def news() -> Iterator[bytes]:
            nonlocal sent
            answer = self._current(request.name)
            if answer != sent:
                sent = answer
                yield answer

        def bookmark() -> bytes:
            revision = self._revision(request.name)
            return sent + backends_pb2.BackendsWatchResponse(bookmark=revision).SerializeToString()

        return self._watches.of_topics(CALIBRATION, RACK, ROSTER, news=news, bookmark=bookmark)

    def _revision(self, name: str) -> int:
        member = self._roster.find(name)
        return (
            self._backend.calibrations.current.revision if member is None else self._roster.described(member).revision
        )

    def _current(self, name: str) -> bytes:
        member = self._roster.find(name)
        if member is None:
            return self._backend.current()
        info = self._roster.described(member)
        return backends_pb2.BackendsWatchResponse(backend=encode_backend(info)).SerializeToString()
