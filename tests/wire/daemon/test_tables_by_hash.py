"""A job may name tables by hash: the daemon fills them in, asks for those it lacks, and keeps jobs that stand alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import OwnEnvelope
from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.errors import DETAILS_KEY, Refusal, decode_refusal

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


def tabled(request_of: MakeRequest, key: str) -> jobs_pb2.SubmitRequest:
    """A job whose angles stand in a table that is worth naming."""
    circuit = CircuitBuilder(name="grid", num_qubits=5, num_clbits=1)
    for i in range(400):
        circuit.add("rz", 0, params=(i % 40 / 40,)).add("sx", 0)
    request = request_of(key=key, batch=pack([circuit.measure(0, 0)]))
    assert len(request.spec.batch.value_table.content) == 320
    return request


def named(request: jobs_pb2.SubmitRequest) -> jobs_pb2.SubmitRequest:
    """The same with a hash in place of the table."""
    short = jobs_pb2.SubmitRequest()
    short.CopyFrom(request)
    content = short.spec.batch.value_table.content
    short.spec.batch.value_table.CopyFrom(circuits_pb2.Table(sha256=hashlib.sha256(content).digest()))
    return short


async def refusal_of(call: Any) -> tuple[grpc.StatusCode, Refusal]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    details = caught.value.trailing_metadata()[DETAILS_KEY]  # type: ignore[call-overload]  # as its stubs have it
    return caught.value.code(), decode_refusal(details)


async def test_a_table_that_was_sent_once_may_be_named_and_the_job_runs(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.submit(tabled(request_of, "first"))
        job_id = await daemon.submit(named(tabled(request_of, "second")))
        assert (await daemon.statuses(job_id))[-1] == "DONE"


async def test_a_submission_is_the_same_whether_it_names_its_tables_or_not(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        request = tabled(request_of, "one key")
        assert await daemon.submit(request) == await daemon.submit(named(request))


@pytest.mark.parametrize("rpc", ["Submit", "Explain"])
async def test_a_table_that_is_not_there_is_asked_for_by_its_hash(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest, rpc: str
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        short = named(tabled(request_of, "new"))
        explained = jobs_pb2.ExplainRequest(backend="line5", spec=short.spec)
        call = daemon.jobs.Submit(short) if rpc == "Submit" else daemon.jobs.Explain(explained)
        code, refusal = await refusal_of(call)
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.missing_tables == (short.spec.batch.value_table.sha256,)
        assert short.spec.batch.value_table.sha256.hex() in refusal.message


async def test_an_envelope_that_was_sent_once_may_be_named(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    own = OwnEnvelope(name="q0.sx.envelope", samples=np.linspace(0, 1, 40).astype(np.complex128))
    async with serve(rack=open_rack_of()) as daemon:
        short = request_of(envelopes=(own,))
        content = short.spec.envelopes[0].samples.content
        short.spec.envelopes[0].samples.CopyFrom(circuits_pb2.Table(sha256=hashlib.sha256(content).digest()))
        code, refusal = await refusal_of(daemon.jobs.Submit(short))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.missing_tables == (hashlib.sha256(content).digest(),)
        await daemon.submit(request_of(envelopes=(own,)))
        job_id = await daemon.submit(short)
        assert (await daemon.statuses(job_id))[-1] == "DONE"
