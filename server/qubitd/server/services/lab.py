"""qubitd.v1.Lab: the operator's view of the rack, and the switches."""

from __future__ import annotations

from qubitd.server.auth.identity import caller
from qubitd.server.engine import Engine
from qubitd.server.errors import DiskFullError
from qubitd.server.front.rpc import Service, unary
from qubitd.server.housekeeping.upkeep import Upkeep
from qubitd.server.instruments.rack import RackThread
from qubitd.server.queueing.dispatch import Dispatch
from qubitd.server.store.store import Store
from qubitd.server.version import server_version
from qubitd.v1 import lab_pb2
from qubitd.wire.lab import MAX_REASON, InstrumentInfo, LabHealth, encode_health, encode_instrument
from qubitd.wire.parsing import check_text


class LabService:
    """Its RPCs, named like them."""

    def __init__(
        self,
        *,
        engine: Engine,
        dispatch: Dispatch,
        rack: RackThread,
        store: Store,
        started_ns: int,
        upkeep: Upkeep | None,
    ) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._rack = rack
        self._store = store
        self._started_ns = started_ns
        self._upkeep = upkeep

    def service(self) -> Service:
        """Give the handlers."""
        return Service(
            name="qubitd.v1.Lab",
            rpcs={
                "Instruments": unary(lab_pb2.InstrumentsRequest, self.Instruments),
                "Health": unary(lab_pb2.HealthRequest, self.Health),
                "Drain": unary(lab_pb2.DrainRequest, self.Drain),
                "Stop": unary(lab_pb2.StopRequest, self.Stop),
                "Resume": unary(lab_pb2.ResumeRequest, self.Resume),
            },
        )

    async def Instruments(self, _: lab_pb2.InstrumentsRequest) -> lab_pb2.InstrumentsResponse:
        """List the instruments."""
        infos = (
            InstrumentInfo(
                name=name,
                kind="cluster",
                resource=instrument.resource,
                answers=self._rack.is_operational,
                fault=self._rack.fault,
            )
            for name, instrument in self._rack.file.instruments.items()
        )
        return lab_pb2.InstrumentsResponse(instruments=map(encode_instrument, infos))

    async def Health(self, _: lab_pb2.HealthRequest) -> lab_pb2.HealthResponse:
        """Say how the daemon is."""
        lab = self._engine.lab
        health = LabHealth(
            state=lab.state,
            queued=len(self._dispatch),
            running=self._dispatch.running,
            operational=self._rack.is_operational,
            reason=lab.reason or self._rack.fault or self._store_trouble(),
            started_ns=self._started_ns,
            server_version=server_version(),
            sessions=len(self._dispatch.sessions),
        )
        return encode_health(health)

    def _store_trouble(self) -> str:
        if self._upkeep is not None and self._upkeep.trouble:
            return self._upkeep.trouble
        try:
            self._store.check_room(0)
        except DiskFullError as error:
            return error.told
        return ""

    async def Drain(self, request: lab_pb2.DrainRequest) -> lab_pb2.DrainResponse:
        """Start nothing more."""
        reason = check_text(request.reason, where="reason", most=MAX_REASON)
        await self._engine.desk.drain(reason, by=caller().name)
        return lab_pb2.DrainResponse()

    async def Stop(self, request: lab_pb2.StopRequest) -> lab_pb2.StopResponse:
        """Make the rack safe at once."""
        reason = check_text(request.reason, where="reason", most=MAX_REASON)
        await self._engine.desk.stop(reason, by=caller().name)
        return lab_pb2.StopResponse()

    async def Resume(self, _: lab_pb2.ResumeRequest) -> lab_pb2.ResumeResponse:
        """Go on."""
        await self._engine.desk.resume(by=caller().name)
        return lab_pb2.ResumeResponse()
