"""The operator's calls; `QubitdClient.lab`."""

from __future__ import annotations

from qubitd.client.link import Link
from qubitd.v1 import lab_pb2, lab_pb2_grpc
from qubitd.wire.lab import InstrumentInfo, LabHealth, decode_health, decode_instrument


class LabCalls:
    """The rack as its operator sees it, and the switches."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._stub: lab_pb2_grpc.LabStub = lab_pb2_grpc.LabStub(link.channel)

    def instruments(self) -> tuple[InstrumentInfo, ...]:
        """List the instruments."""
        answer = self._link.call(self._stub.Instruments, lab_pb2.InstrumentsRequest(), doing="listing instruments")
        return tuple(map(decode_instrument, answer.instruments))

    def health(self) -> LabHealth:
        """Say how the daemon is."""
        return decode_health(self._link.call(self._stub.Health, lab_pb2.HealthRequest(), doing="asking for its health"))

    def drain(self, reason: str = "") -> None:
        """Take no new jobs and start none; the running one ends."""
        self._link.call(self._stub.Drain, lab_pb2.DrainRequest(reason=reason), doing="draining the lab")

    def stop(self, reason: str = "") -> None:
        """Make the rack safe at once; the running job ends with the reason. Nothing starts until `resume`."""
        self._link.call(self._stub.Stop, lab_pb2.StopRequest(reason=reason), doing="stopping the lab")

    def resume(self) -> None:
        """Take and start jobs again."""
        self._link.call(self._stub.Resume, lab_pb2.ResumeRequest(), doing="resuming the lab")
