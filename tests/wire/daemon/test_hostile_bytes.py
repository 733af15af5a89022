"""Bytes from anybody: each gets an answer with the right code, and the daemon goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest

from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]

REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS}


def mutants(data: bytes, count: int) -> Iterator[bytes]:
    """Change, drop or repeat a few bytes."""
    chance = random.Random(5)
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(mutant))
            kind = chance.randrange(3)
            if kind == 0:
                mutant[at] = chance.randrange(256)
            elif kind == 1:
                del mutant[at : at + chance.randint(1, 8)]
            else:
                mutant[at:at] = mutant[at : at + chance.randint(1, 8)]
        yield bytes(mutant)


@pytest.mark.parametrize("method", ["Submit", "Explain"])
async def test_mutated_requests_are_taken_or_refused_and_never_break_anything(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, method: str
) -> None:
    request = request_of(key="valid")
    data = request.SerializeToString()
    if method == "Explain":
        data = jobs_pb2.ExplainRequest(backend="line5", spec=request.spec).SerializeToString()
    async with serve(rack=open_rack_of()) as daemon:
        call = daemon.channel.unary_unary(f"/qubitd.v1.Jobs/{method}")
        codes = {await call(mutant).code() for mutant in mutants(data, 300)}
        job_id = await daemon.submit(request_of())
        assert (await daemon.statuses(job_id))[-1] == "DONE"
    assert codes <= REFUSALS | {grpc.StatusCode.OK}
    assert grpc.StatusCode.INVALID_ARGUMENT in codes


async def test_an_rpc_that_does_not_exist_is_unimplemented(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        call = daemon.channel.unary_unary("/qubitd.v1.Jobs/Steal")(b"")
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
