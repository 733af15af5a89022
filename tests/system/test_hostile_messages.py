"""Requests with one thing wrong, for every RPC of a real daemon: each is refused with the right code and the name of
the field, within a second of work and four times its size in memory; the daemon goes on. About 15 s.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from tests.broken_requests import broken, rich_request
from tests.followed import end_of
from tests.rpcs import every_method, filled, rpc_of
from tests.watched import Watched

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import QubitdClient
from qubitd.core.job import JobStatus
from qubitd.core.snapshot import Parameter
from qubitd.v1 import calibrations_pb2, jobs_pb2
from qubitd.wire.calibrations import encode_parameter
from qubitd.wire.errors import DETAILS_KEY, decode_refusal
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.specs import decode_spec
from qubitd.wire.uploads import MAX_UNARY_BYTES

MUTANTS, MANY_MUTANTS = 1_200, 6_000
SHARES = {"qubitd.v1.Jobs/Submit": 0.5, "qubitd.v1.Jobs/Explain": 0.1, "qubitd.v1.Jobs/Upload": 0.1}
"""Of all mutants; the other RPCs have the rest in equal parts."""
SLACK = 5 * 2**20
"""Bytes that a process may gain whatever it is sent: a heap grows in blocks, and gRPC reads into buffers of its own."""
MOST_GROWTH = 48 * 2**20
"""Bytes, after all."""
MOST_SECONDS = 1.0
"""Of work for one request that is refused."""
HANG = 60.0
OPEN = 0.2
"""Seconds after which a stream that says nothing counts as taken, if what asked for it is a message."""
FINE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.ABORTED,
}
LEGAL = {grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION}
"""A request that was read to its end and is right, though a drained lab may not take it."""
LEAST_FIELDS = 50
"""That are named in refusals of Submit."""
DEEP = ("step_table", "value_table", "params", "clbits", "controls", "bindings", "condition", "operation #", "axis")
"""Of what the names of refused fields speak, at the least."""


@dataclass(slots=True)
class Record:
    """What all answers were."""

    codes: dict[str, Counter[grpc.StatusCode]] = field(default_factory=lambda: defaultdict(Counter))
    fields: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names of refused fields by RPC, without numbers."""
    faults: list[str] = field(default_factory=list[str])


@pytest.fixture
def daemon(tmp_path: Path, uncounted: None) -> Iterator[DaemonProcess]:
    with start_daemon(data_dir=tmp_path / "data") as running:
        yield running


def requests_of(method: MethodDescriptor, names: dict[str, str]) -> Message:
    """Give a right request of an RPC."""
    match rpc_of(method):
        case "qubitd.v1.Jobs/Submit":
            return rich_request(key="rich")
        case "qubitd.v1.Jobs/Explain":
            return jobs_pb2.ExplainRequest(backend="line5", spec=rich_request(key="rich").spec)
        case "qubitd.v1.Calibrations/Commit":
            t1 = Parameter(name="q0.t1", value=21e-6, unit="s", stderr=1e-6, measured_at=5, run="j", source="t1")
            return calibrations_pb2.CommitRequest(
                backend="line5", base_revision=1, parameters=[encode_parameter(t1)], message="remeasured"
            )
        case _:
            return filled(message_factory.GetMessageClass(method.input_type)(), names)


def answered(channel: grpc.Channel, method: MethodDescriptor, messages: Sequence[bytes]) -> grpc.RpcError | None:
    """Send bytes; None if they were taken. A stream that was asked for with what is no message is to be refused."""
    path = f"/{rpc_of(method)}"
    try:
        if method.client_streaming:
            channel.stream_unary(path, bytes, bytes)(iter(messages), timeout=HANG)
        elif method.server_streaming:
            patience = HANG if is_malformed(method, messages[0]) else OPEN
            stream: Any = channel.unary_stream(path, bytes, bytes)(messages[0], timeout=patience)
            next(stream, None)
            stream.cancel()
        else:
            channel.unary_unary(path, bytes, bytes)(messages[0], timeout=HANG)
    except grpc.RpcError as error:
        return error
    return None


def messages_of(method: MethodDescriptor, request: Message, chance: random.Random) -> list[bytes]:
    """Give what is sent for one mutant: a broken request, or a right name and broken pieces of it."""
    if not method.client_streaming:
        return [broken(request, chance)]
    data = chance.randbytes(500)
    name = jobs_pb2.Upload(upload_id=f"u{chance.random()}", size=len(data), sha256=hashlib.sha256(data).digest())
    begin = jobs_pb2.UploadRequest(upload=name)
    pieces = [jobs_pb2.UploadRequest(piece=jobs_pb2.Piece(offset=at, data=data[at : at + 100])) for at in (0, 100)]
    parts = [begin, *pieces]
    which = chance.randrange(3)
    sent = [part.SerializeToString() for part in parts]
    sent[which] = broken(parts[which], chance)
    return sent


def is_malformed(method: MethodDescriptor, data: bytes) -> bool:
    try:
        message_factory.GetMessageClass(method.input_type).FromString(data)
    except DecodeError:
        return True
    return False


def strike(
    channel: grpc.Channel, watched: Watched, method: MethodDescriptor, sent: list[bytes], record: Record
) -> None:
    """Send one mutant and note what is wrong with the answer."""
    rpc, size = rpc_of(method), sum(map(len, sent))
    resident, worked = watched.resident(), watched.worked()
    error: Any = answered(channel, method, sent)
    grown, work = watched.most_resident() - resident, watched.worked() - worked
    code: grpc.StatusCode = grpc.StatusCode.OK if error is None else error.code()
    if method.server_streaming and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        code = grpc.StatusCode.OK
    record.codes[rpc][code] += 1
    told = f"{rpc}, {size} bytes {sent[0][:60].hex()}: {code} {error and error.details()}"
    if code not in FINE or (
        not method.client_streaming and is_malformed(method, sent[0]) and code is grpc.StatusCode.OK
    ):
        record.faults.append(told)
    if error is not None and code is grpc.StatusCode.INVALID_ARGUMENT:
        details = dict(error.trailing_metadata()).get(DETAILS_KEY, b"")
        problems = decode_refusal(details).problems
        record.fields[rpc] |= {re.sub(r"'[^']*'", "", re.sub(r"\d+", "#", problem.where)) for problem in problems}
        if not problems or not all(problem.where for problem in problems):
            record.faults.append(f"names no field: {told}")
    if code not in LEGAL and not rpc.endswith("Explain"):
        if grown > 4 * size + SLACK:
            record.faults.append(f"took {grown} bytes: {told}")
        if work > MOST_SECONDS:
            record.faults.append(f"took {work:.1f} s: {told}")


def put_in_order(client: QubitdClient) -> None:
    """Undo what mutants were allowed to do; nothing that they sent is to run."""
    client.lab.resume()
    for slot in client.slots.list():
        client.slots.release(slot.slot_id)
    client.lab.drain("mutants come")


@pytest.mark.timeout(900)
def test_a_request_with_one_thing_wrong_is_refused_by_the_name_of_it(daemon: DaemonProcess, soak: bool) -> None:
    record, watched, chance = Record(), Watched(daemon), random.Random(31)
    methods, count = every_method(), MANY_MUTANTS if soak else MUTANTS
    others = (1 - sum(SHARES.values())) / (len(methods) - len(SHARES))
    with QubitdClient(daemon.address) as client, grpc.insecure_channel(daemon.address) as channel:
        job_id = client.submit(decode_spec(rich_request(key="first").spec), "line5")
        assert end_of(client, job_id).status is JobStatus.DONE
        session = client.sessions.open(SessionTerms(key="s", backend="line5"))
        names = {"backend": "line5", "name": "line5", "job_id": job_id, "session_id": session.session_id}
        put_in_order(client)
        begun = watched.resident()
        for method in methods:
            if method.client_streaming:
                client.lab.resume()
            request = requests_of(method, names)
            for _ in range(round(count * SHARES.get(rpc_of(method), others)) + 1):
                strike(channel, watched, method, messages_of(method, request, chance), record)
            put_in_order(client)
        grown = watched.resident() - begun
        client.lab.resume()
        last = client.submit(decode_spec(rich_request(key="last").spec), "line5")
        assert end_of(client, last).status is JobStatus.DONE
    assert record.faults == []
    assert sum(codes.total() for codes in record.codes.values()) >= count
    assert grown < MOST_GROWTH
    deep = record.fields["qubitd.v1.Jobs/Submit"]
    assert len(deep) >= LEAST_FIELDS
    assert [part for part in DEEP if not any(part in name for name in deep)] == []


def too_much(daemon: DaemonProcess, data: bytes, **how: Any) -> tuple[grpc.StatusCode, int]:
    """Send a Submit; give the code of the answer, and how much memory it took."""
    watched = Watched(daemon)
    with grpc.insecure_channel(daemon.address, options=[("grpc.max_send_message_length", -1)]) as channel:
        grpc.channel_ready_future(channel).result(timeout=HANG)
        before = watched.resident()
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/qubitd.v1.Jobs/Submit", bytes, bytes)(data, timeout=HANG, **how)
    error: Any = caught.value
    return error.code(), watched.most_resident() - before


@pytest.mark.parametrize("fault", ["the last number", "a row too few", "the hash"])
def test_a_big_request_that_is_wrong_at_its_end_takes_little_memory(daemon: DaemonProcess, fault: str) -> None:
    request = rich_request(key="big", rows=25_000)
    bound = request.spec.batch.circuits[1].bindings
    match fault:
        case "the last number":
            bound.values = bound.values[:-8] + np.float64(np.nan).tobytes()
        case "a row too few":
            bound.values = bound.values[:-8]
        case _:
            request.spec.batch.step_table.sha256 = bytes(32)
    data = request.SerializeToString()
    assert 3 * 2**20 < len(data) < MAX_UNARY_BYTES
    code, grown = too_much(daemon, data)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert grown <= 4 * len(data)


def test_what_is_above_the_limits_of_a_message_is_refused_unread(daemon: DaemonProcess) -> None:
    code, grown = too_much(daemon, bytes(MAX_UNARY_BYTES + 1))
    assert (code, grown <= 4 * MAX_UNARY_BYTES) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    code, grown = too_much(daemon, bytes(200 * 2**20), compression=grpc.Compression.Gzip)
    assert (code, grown <= 4 * MAX_UNARY_BYTES) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    code, grown = too_much(daemon, b"", metadata=[("x", "y" * 65_536)])
    assert (code, grown <= 4 * 65_536 + SLACK) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
