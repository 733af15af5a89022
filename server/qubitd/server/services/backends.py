"""qubitd.v1.Backends: what the daemon offers, and each new revision of it as it comes into force."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from qubitd.server.announcer import Announcer
from qubitd.server.backend import Backend, server_version
from qubitd.server.calibrations import TOPIC as CALIBRATION
from qubitd.server.rack import TOPIC as RACK
from qubitd.server.rpc import Service, stream, unary
from qubitd.v1 import backends_pb2
from qubitd.wire.backends import encode_backend
from qubitd.wire.circuits import WIRE_VERSION


class BackendsService:
    """Its RPCs, named like them."""

    def __init__(self, backend: Backend, announcer: Announcer) -> None:
        self._backend = backend
        self._announcer = announcer

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
        """List the one backend."""
        return backends_pb2.BackendsListResponse(
            names=[self._backend.device.name], server_version=server_version(), wire_versions=[WIRE_VERSION]
        )

    async def Get(self, request: backends_pb2.BackendsGetRequest) -> backends_pb2.BackendsGetResponse:
        """Describe the backend at a revision."""
        self._backend.check_name(request.name)
        snapshot = self._backend.calibrations.snapshot(request.revision)
        return backends_pb2.BackendsGetResponse(backend=encode_backend(self._backend.describe(snapshot)))

    async def Watch(self, request: backends_pb2.BackendsWatchRequest) -> AsyncGenerator[bytes]:
        """Send the description now and whenever it changes."""
        self._backend.check_name(request.name)
        sent = b""
        with self._announcer.listen(CALIBRATION, RACK) as listener:
            while True:
                listener.clear()
                answer = self._backend.current()
                if answer != sent:
                    yield answer
                sent = answer
                await listener.wait()
