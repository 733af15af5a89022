"""Mutants of the requests of every RPC, and noise below them: each gets the right code, the daemon goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from tests.rpcs import every_method, filled, rpc_of

from qubitd.v1 import jobs_pb2, lab_pb2, lab_pb2_grpc, slots_pb2, slots_pb2_grpc

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]

MUTANTS = 23
"""Of each RPC: more than 600 in all."""
OPEN = 3.0
"""Seconds after which a stream that says nothing counts as taken."""
BROKEN = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.CANCELLED}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def mutants(data: bytes, count: int, chance: random.Random) -> Iterator[bytes]:
    """Change, drop or repeat a few bytes, or cut; an empty request grows noise."""
    for _ in range(count):
        mutant = bytearray(data or chance.randbytes(6))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(mutant)) if mutant else 0
            match chance.randrange(4):
                case 0:
                    mutant[at : at + 1] = chance.randbytes(1)
                case 1:
                    del mutant[at : at + chance.randint(1, 8)]
                case 2:
                    mutant[at:at] = mutant[at : at + chance.randint(1, 8)]
                case _:
                    mutant[at:at] = b"\xff" * chance.randint(1, 10)
        yield bytes(mutant)


async def code_of(channel: grpc.aio.Channel, method: MethodDescriptor, data: bytes) -> grpc.StatusCode:
    """Send bytes and give the code of the answer; OK for a stream that is open."""
    path = f"/{rpc_of(method)}"

    async def once() -> AsyncIterator[bytes]:
        yield data

    try:
        if method.client_streaming:
            await channel.stream_unary(path, bytes, bytes)(once())
        elif method.server_streaming:
            async for _ in channel.unary_stream(path, bytes, bytes)(data, timeout=OPEN):
                break
        else:
            await channel.unary_unary(path, bytes, bytes)(data)
    except grpc.aio.AioRpcError as error:
        is_open = method.server_streaming and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return grpc.StatusCode.OK if is_open else error.code()
    return grpc.StatusCode.OK


async def go_on(channel: grpc.aio.Channel) -> None:
    """Undo what a mutant was allowed to do: a lab that was stopped, and time that was reserved."""
    await lab_pb2_grpc.LabStub(channel).Resume(lab_pb2.ResumeRequest())
    slots = slots_pb2_grpc.SlotsStub(channel)
    for slot in (await slots.List(slots_pb2.SlotsListRequest())).slots:
        await slots.Release(slots_pb2.ReleaseRequest(slot_id=slot.slot_id))


async def test_mutants_of_every_rpc_get_a_code_that_says_whose_fault_it_is(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    methods = every_method()
    assert len(methods) * MUTANTS >= 600
    chance = random.Random(9)
    codes: dict[str, set[grpc.StatusCode]] = {}
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        for method in methods:
            request = message_factory.GetMessageClass(method.input_type)()
            data = filled(request, {"backend": "line5", "job_id": job_id}).SerializeToString()
            answers = [code_of(daemon.channel, method, mutant) for mutant in mutants(data, MUTANTS, chance)]
            codes[method.full_name] = set(await asyncio.gather(*answers))
            await go_on(daemon.channel)
        last = await daemon.submit(request_of())
        assert (await daemon.statuses(last))[-1] == "DONE"
    assert {name: found & BROKEN for name, found in codes.items() if found & BROKEN} == {}
    assert {name for name, found in codes.items() if grpc.StatusCode.INVALID_ARGUMENT not in found} == set()


def noise(chance: random.Random, kind: int) -> bytes:
    """Make bytes that are no HTTP/2, or begin as HTTP/2 and go on as frames of any type, flags, stream and length."""
    if kind == 0:
        return chance.randbytes(chance.randint(1, 2000))
    frames = bytearray(PREFACE + bytes(3) + b"\x04" + bytes(5))
    for _ in range(chance.randint(1, 20)):
        body = chance.randbytes(chance.randint(0, 60))
        claimed = len(body) if chance.random() < 0.7 else chance.randrange(2**24)
        kind_and_flags = bytes([chance.randrange(12), chance.randrange(256)])
        frames += claimed.to_bytes(3, "big") + kind_and_flags + chance.randrange(8).to_bytes(4, "big") + body
    return bytes(frames)


@pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "frames"])
async def test_noise_on_the_port_ends_its_own_connection_and_nothing_else(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, kind: int, soak: bool
) -> None:
    chance = random.Random(10 + kind)

    async def shout(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(noise(chance, kind))
            writer.write_eof()
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with serve(rack=open_rack_of()) as daemon:
        host, port = daemon.address.split(":")
        await asyncio.gather(*(shout(host, int(port)) for _ in range(600 if soak else 60)))
        job_id = await daemon.submit(request_of())
        assert (await daemon.statuses(job_id))[-1] == "DONE"
