"""The operator's calls; `QubitdClient.lab`."""

from __future__ import annotations

from typing import Any

from qubitd.client.link import Link
from qubitd.client.steps import Steps
from qubitd.v1 import lab_pb2, lab_pb2_grpc
from qubitd.wire.lab import InstrumentInfo, LabHealth, decode_health, decode_instrument


class LabSteps:
    """The rack as its operator sees it, and the switches."""

    def __init__(self, link: Link, channel: Any) -> None:
        self._link = link
        self._stub: lab_pb2_grpc.LabStub = lab_pb2_grpc.LabStub(channel)

    def instruments(self) -> Steps[tuple[InstrumentInfo, ...]]:
        """List the instruments."""
        answer = yield from self._link.call(
            self._stub.Instruments, lab_pb2.InstrumentsRequest(), doing="listing instruments"
        )
        return tuple(map(decode_instrument, answer.instruments))

    def health(self) -> Steps[LabHealth]:
        """Say how the daemon is."""
        answer = yield from self._link.call(self._stub.Health, lab_pb2.HealthRequest(), doing="asking for its health")
        return decode_health(answer)

    def drain(self, reason: str = "") -> Steps[None]:
        """Take no new jobs and start none; the running one ends."""
        yield from self._link.call(self._stub.Drain, lab_pb2.DrainRequest(reason=reason), doing="draining the lab")

    def stop(self, reason: str = "") -> Steps[None]:
        """Make the rack safe at once; the running job ends with the reason. Nothing starts until `resume`."""
        yield from self._link.call(self._stub.Stop, lab_pb2.StopRequest(reason=reason), doing="stopping the lab")

    def resume(self) -> Steps[None]:
        """Take and start jobs again."""
        yield from self._link.call(self._stub.Resume, lab_pb2.ResumeRequest(), doing="resuming the lab")
