"""Daemons that pass on to each other all that they may receive at once do not wait for each other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import grpc.aio

from qubitd.server.auth.gate import Gate
from qubitd.server.errors import ServedElsewhereError
from qubitd.server.front.receiving import MOST_AT_ONCE, Parcel
from qubitd.server.front.rpc import Door, Service, whole
from qubitd.server.front.serving import Front, open_front
from qubitd.server.group.forwarding import Forwarding
from qubitd.v1 import jobs_pb2

RPC = "qubitd.v1.Jobs/Explain"
PAIR = ("north", "south")
BIG = b"\n" * 100_000
"""Of a request that keeps its turn until it was read."""


class Daemon:
    """Answers what names it, and passes on what names the other, as soon as both have received all that they may."""

    def __init__(self, name: str, addresses: dict[str, str], all_are_here: asyncio.Barrier) -> None:
        self.name = name
        self._addresses = addresses
        self._all_are_here = all_are_here

    async def explain(self, parcel: Parcel) -> jobs_pb2.ExplainResponse:
        wanted = parcel.data[len(BIG) :].decode()
        if wanted != self.name:
            await self._all_are_here.wait()
            raise ServedElsewhereError(backend=wanted, address=self._addresses[wanted], what="explaining")
        return jobs_pb2.ExplainResponse(queue_length=len(parcel.data))

    async def serve(self) -> Front:
        service = Service(
            name="qubitd.v1.Jobs", rpcs={"Explain": whole(jobs_pb2.ExplainRequest, self.explain, most=2**20)}
        )
        gate = Gate(accounts=None, remember=lambda *_: None)
        forward = Forwarding(grpc.ssl_channel_credentials(), wants_certificates=False)
        return await open_front([service], host="127.0.0.1", port=0, door=Door(gate=gate, forward=forward))


async def test_two_daemons_that_pass_on_to_each_other_all_that_they_may_receive_both_answer() -> None:
    addresses: dict[str, str] = {}
    all_are_here = asyncio.Barrier(2 * MOST_AT_ONCE)
    async with AsyncExitStack() as stack:
        for name in PAIR:
            front = await Daemon(name, addresses, all_are_here).serve()
            stack.push_async_callback(front.close)
            addresses[name] = f"127.0.0.1:{front.port}"
        north, south = [await stack.enter_async_context(grpc.aio.insecure_channel(addresses[name])) for name in PAIR]
        answers = [
            channel.unary_unary(f"/{RPC}", None, None)(BIG + wanted)
            for channel, wanted in ((north, b"south"), (south, b"north"))
            for _ in range(MOST_AT_ONCE)
        ]
        sizes = [jobs_pb2.ExplainResponse.FromString(await answer).queue_length for answer in answers]
    assert sizes == [len(BIG) + 5] * 2 * MOST_AT_ONCE
