"""Clients of every release at the daemon of today: they speak by the messages of their own time alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from tests.rpcs import rpc_of

from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
IMAGES = sorted((Path(__file__).parents[3] / "tests" / "golden" / "wire").glob("*.binpb"))
UNHEARD = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
DONE = 5


class OldClient:
    """What a release knew of the wire."""

    def __init__(self, image: Path, channel: grpc.aio.Channel) -> None:
        files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
        pool = DescriptorPool()
        waiting = list(files)
        while waiting:
            file = waiting.pop(0)
            if any(one.name in file.dependency for one in waiting):
                waiting.append(file)
            else:
                pool.Add(file)
        found = [pool.FindFileByName(file.name) for file in files]
        self.methods = {
            rpc_of(method): method
            for file in found
            for service in file.services_by_name.values()
            for method in service.methods
        }
        self._channel = channel

    def request(self, rpc: str, data: bytes) -> Message:
        """Give a request with what was known then."""
        kind = message_factory.GetMessageClass(self.methods[rpc].input_type)
        message = kind.FromString(data)
        message.DiscardUnknownFields()
        return message

    async def answers(self, rpc: str, data: bytes = b"") -> list[Any]:
        """Call, and give the answers as they were understood then; the end of a stream that goes on is not awaited."""
        method: MethodDescriptor = self.methods[rpc]
        kind = message_factory.GetMessageClass(method.output_type)
        request = self.request(rpc, data).SerializeToString()
        if method.client_streaming:
            said = await self._channel.stream_unary(f"/{rpc}", bytes, bytes)(iter([request]), timeout=5.0)
            return [kind.FromString(said)]
        if method.server_streaming:
            stream = self._channel.unary_stream(f"/{rpc}", bytes, bytes)(request, timeout=5.0)
            return [kind.FromString(said) async for said in stream]
        return [kind.FromString(await self._channel.unary_unary(f"/{rpc}", bytes, bytes)(request, timeout=5.0))]


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
async def test_a_client_of_a_release_submits_watches_and_reads(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: Callable[..., jobs_pb2.SubmitRequest], image: Path
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        old = OldClient(image, daemon.channel)
        (accepted,) = await old.answers("qubitd.v1.Jobs/Submit", request_of(key="old").SerializeToString())
        named = jobs_pb2.JobsGetRequest(job_id=accepted.job_id).SerializeToString()
        events = await old.answers("qubitd.v1.Jobs/Watch", named)
        (described,) = await old.answers("qubitd.v1.Jobs/Get", named)
        results = await old.answers("qubitd.v1.Jobs/Results", named)
        current = await daemon.results(accepted.job_id)
    told = [event for message in events for event in message.events]
    assert [event.status.status for event in told if event.HasField("status")][-1] == DONE
    assert (described.job.job_id, described.job.status, described.job.shots) == (accepted.job_id, DONE, 100)
    old_bits = b"".join(result.bits for message in results for result in message.results)
    assert old_bits == b"".join(result.bits.tobytes() for result in current)


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
async def test_every_rpc_of_a_release_is_still_there(
    serve: Serve, open_rack_of: Callable[..., Any], image: Path
) -> None:
    codes: dict[str, grpc.StatusCode] = {}
    async with serve(rack=open_rack_of()) as daemon:
        old = OldClient(image, daemon.channel)
        for rpc in old.methods:
            try:
                await old.answers(rpc)
            except grpc.aio.AioRpcError as error:
                codes[rpc] = error.code()
    assert {rpc: code for rpc, code in codes.items() if code in UNHEARD} == {}
    assert len(old.methods) > 30
