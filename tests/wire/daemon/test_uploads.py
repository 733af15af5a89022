"""Big requests go ahead in pieces, over connections that are cut, and are then one job like any other."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from qubitd.client import QubitdClient
from qubitd.client.aio import AsyncQubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.server.error_codes import code_of
from qubitd.server.errors import TooBusyError, UploadRefusedError
from qubitd.server.front import rpc
from qubitd.server.front.uploads import (
    DIRECTORY,
    LEAST_PIECE_BYTES,
    LIFETIME,
    MOST_AT_ONCE,
    MOST_OF_ONE,
    TOGETHER_BYTES,
    Growing,
    Uploads,
    read_whole,
)
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import StageTime, StatusChange
from qubitd.wire.uploads import MAX_UNARY_BYTES, PIECE_BYTES, Upload, upload_messages, upload_of

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


def big(bindings: int = 7_000) -> JobSpec:
    """A job of more than 4 MiB, nearly all of it angles."""
    from qubitd.core.bindings import FromColumn

    circuit = CircuitBuilder(name="big", num_qubits=5, num_clbits=1)
    for column in range(100):
        circuit.add("rz", 0, params=(FromColumn(column=column),)).add("sx", 0)
    circuit.measure(0, 0).bind(np.random.default_rng(1).uniform(-3, 3, (bindings, 100)))
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1)


@dataclass
class Cutter:
    """A connection to a daemon that is cut after some bytes, once for each number in the list."""

    port: int
    cuts: list[int] = field(default_factory=list[int])
    made: int = 0
    sockets: list[socket.socket] = field(default_factory=list[socket.socket])


@contextmanager
def cutting(target: str, cuts: list[int]) -> Generator[Cutter]:
    host, _, port = target.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    cutter = Cutter(port=listener.getsockname()[1], cuts=list(cuts))

    def pump(source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
                passed += len(data)
                if most is not None and passed > most:
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                cutter.made += 1
                daemon = socket.create_connection((host, int(port)))
                cutter.sockets += [client, daemon]
                most = cutter.cuts.pop(0) if cutter.cuts else None
                threading.Thread(target=pump, args=(client, daemon, most), daemon=True).start()
                threading.Thread(target=pump, args=(daemon, client, None), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield cutter
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in cutter.sockets:
            one.close()


async def sent(daemon: Any, upload: Upload, data: bytes, *, first: int = 0) -> int:
    answer = await daemon.jobs.Upload(upload_messages(upload, data, first=first))
    return int(answer.received)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_an_uploaded_request_is_the_job_that_it_would_be_in_one_message(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    request = request_of(key="once")
    data = request.SerializeToString()
    upload = upload_of(data, "u1")
    async with serve(rack=open_rack_of()) as daemon:
        assert await sent(daemon, upload, data) == len(data)
        named = jobs_pb2.SubmitRequest(upload=jobs_pb2.Upload(upload_id="u1", size=upload.size, sha256=upload.sha256))
        job_id = await daemon.submit(named)
        assert await daemon.submit(request) == job_id
        assert (await daemon.statuses(job_id))[-1] == "DONE"
        code, why = await refused(daemon.jobs.Submit(named))
    assert code is grpc.StatusCode.NOT_FOUND
    assert why == f"of upload 'u1' 0 of {upload.size} bytes are here; send the rest, then this again"


async def test_a_job_is_initializing_from_the_opening_of_its_upload(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    data = request_of().SerializeToString()
    upload = upload_of(data, "u1")
    named = jobs_pb2.SubmitRequest(upload=jobs_pb2.Upload(upload_id="u1", size=upload.size, sha256=upload.sha256))
    async with serve(rack=open_rack_of()) as daemon:
        before = time.time_ns()
        await sent(daemon, upload, data[:10])
        opened = time.time_ns()
        assert (await daemon.jobs.List(jobs_pb2.JobsListRequest())).jobs == []
        await sent(daemon, upload, data, first=10)
        job_id = await daemon.submit(named)
        first, second, *_ = await daemon.events(job_id)
        (listed,) = (await daemon.jobs.List(jobs_pb2.JobsListRequest())).jobs
    assert isinstance(first.what, StatusChange)
    assert before <= first.time_ns <= opened < second.time_ns == listed.created_ns
    assert isinstance(second.what, StageTime)
    assert second.what.stage == "accepted"


async def test_an_upload_goes_on_where_it_was_cut_even_in_the_next_daemon(
    serve: Serve, open_rack_of: MakeRack, request_of: MakeRequest
) -> None:
    data = os.urandom(3 * PIECE_BYTES)
    upload = upload_of(data, "u1")
    async with serve(rack=open_rack_of()) as daemon:
        assert await sent(daemon, upload, data[:PIECE_BYTES]) == PIECE_BYTES
        assert await sent(daemon, upload, b"") == PIECE_BYTES
        named = jobs_pb2.SubmitRequest(upload=jobs_pb2.Upload(upload_id="u1", size=upload.size, sha256=upload.sha256))
        code, why = await refused(daemon.jobs.Submit(named))
        assert (code, why.split(";")[0]) == (
            grpc.StatusCode.NOT_FOUND,
            f"of upload 'u1' {PIECE_BYTES} of {upload.size} bytes are here",
        )
    async with serve(rack=open_rack_of()) as daemon:
        assert await sent(daemon, upload, data) == len(data)
        code, why = await refused(daemon.jobs.Submit(named))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why.startswith("SubmitRequest")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces were written together, each time."""
    counts: list[int] = []
    add = Growing.add

    def added(growing: Growing, pieces: Sequence[tuple[int, bytes]]) -> None:
        counts.append(len(pieces))
        add(growing, pieces)

    monkeypatch.setattr(Growing, "add", added)
    return counts


async def test_pieces_are_written_a_mebibyte_at_a_time(
    serve: Serve, open_rack_of: MakeRack, together: list[int], tmp_path: Path
) -> None:
    data = os.urandom(9 * PIECE_BYTES + 5)
    upload = upload_of(data, "u1")
    async with serve(rack=open_rack_of()) as daemon:
        assert await sent(daemon, upload, data) == len(data)
        (path,) = (tmp_path / "data" / DIRECTORY).iterdir()
        assert path.read_bytes() == data
    assert together == [4, 4, 2]


@pytest.mark.parametrize("size", [0, 1])
async def test_no_more_tiny_pieces_are_held_than_a_thousand(
    serve: Serve, open_rack_of: MakeRack, together: list[int], size: int
) -> None:
    data = bytes(2_100)
    pieces = [
        jobs_pb2.UploadRequest(piece=jobs_pb2.Piece(offset=n * size, data=data[n * size : (n + 1) * size]))
        for n in range(len(data))
    ]
    upload = upload_of(data, "u1")
    async with serve(rack=open_rack_of()) as daemon:
        answer = await daemon.jobs.Upload(iter([next(upload_messages(upload, b"", first=0)), *pieces]))
    assert answer.received == len(data) * size
    most = TOGETHER_BYTES // LEAST_PIECE_BYTES
    assert together == [most, most, len(data) - 2 * most]


async def test_what_came_before_a_cut_is_kept(
    serve: Serve, open_rack_of: MakeRack, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(2 * PIECE_BYTES)
    upload = upload_of(data, "u1")
    name, piece, _ = upload_messages(upload, data, first=0)
    both_read = asyncio.Event()
    read = rpc._read

    async def noted(kind: type[Any], content: bytes, most: int) -> Any:
        message = await read(kind, content, most)
        if message == piece:
            both_read.set()
        return message

    monkeypatch.setattr(rpc, "_read", noted)
    async with serve(rack=open_rack_of()) as daemon:
        call = daemon.jobs.Upload()
        for message in (name, piece):
            await call.write(message)
        await both_read.wait()
        call.cancel()
        assert await received(daemon, upload) == PIECE_BYTES


async def received(daemon: Any, upload: Upload) -> int:
    """Ask how far an upload has come, once nobody goes on with it."""
    async with asyncio.timeout(30):
        while True:
            with suppress(grpc.aio.AioRpcError):
                return await sent(daemon, upload, b"")


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "upload, bytes of sha256: is 0"),
        (
            [jobs_pb2.UploadRequest(piece=jobs_pb2.Piece(offset=5, data=b"x"))],
            "offset 5: leaves a gap: 0 bytes",
        ),
        ([jobs_pb2.UploadRequest(piece=jobs_pb2.Piece(data=bytes(11)))], "offset 0: reaches beyond the 10 bytes"),
        ([jobs_pb2.UploadRequest(piece=jobs_pb2.Piece(data=bytes(2**20 + 1)))], "has 1048577 bytes in one piece; the"),
    ],
)
async def test_what_does_not_fit_is_refused(
    serve: Serve, open_rack_of: MakeRack, messages: list[jobs_pb2.UploadRequest], why: str
) -> None:
    upload = upload_of(bytes(10), "u1")
    head = [next(upload_messages(upload, b"", first=0))] if messages else []
    async with serve(rack=open_rack_of()) as daemon:
        code, told = await refused(daemon.jobs.Upload(iter([*head, *messages])))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why in told


async def test_other_bytes_than_announced_are_found_out(serve: Serve, open_rack_of: MakeRack) -> None:
    upload = upload_of(b"right", "u1")
    named = jobs_pb2.ExplainRequest(upload=jobs_pb2.Upload(upload_id="u1", size=5, sha256=upload.sha256))
    async with serve(rack=open_rack_of()) as daemon:
        await sent(daemon, upload, b"wrong")
        code, why = await refused(daemon.jobs.Explain(named))
        assert await sent(daemon, upload, b"") == 0
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why == "upload u1: is not what was announced: the SHA-256 differs; send it again"


def test_a_project_has_few_uploads_under_way_and_whoever_is_local_more(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / DIRECTORY)

    def begin(owner: str, number: int) -> None:
        stack.enter_context(uploads.under_way(owner, upload_of(bytes([number]), "u")))

    with ExitStack() as stack:
        for number in range(MOST_OF_ONE):
            begin("ann", number)
        with pytest.raises(TooBusyError, match="2 uploads of ann are under way already"):
            begin("ann", 9)
        for number in range(MOST_AT_ONCE - MOST_OF_ONE):
            begin("local", number)
        with pytest.raises(TooBusyError, match="upload 'u' is under way already, in another call"):
            begin("local", 0)
        with pytest.raises(TooBusyError, match="8 uploads are under way already"):
            begin("bob", 0)
    with ExitStack() as stack:
        begin("ann", 9)


def test_an_upload_that_nobody_goes_on_with_is_removed(tmp_path: Path) -> None:
    now = 0.0
    uploads = Uploads(tmp_path / DIRECTORY, steady=lambda: now)
    old, new = upload_of(b"old", "u"), upload_of(b"new", "u")
    for one, data in ((old, b"old"), (new, b"new")):
        with uploads.under_way("ann", one) as growing:
            growing.add([(0, data)])
        now += 1.0
    now += LIFETIME - 1.5
    uploads.tidy()
    assert [path.read_bytes() for path in (tmp_path / DIRECTORY).iterdir()] == [b"new"]
    assert read_whole(uploads.path("ann", new), new) == b"new"


async def submitted_in_a_thread(address: str) -> str:
    def submit() -> str:
        with QubitdClient(address) as client:
            assert client.backends() == ("line5",)
            return client.submit(big(), "line5")

    return await asyncio.to_thread(submit)


async def submitted_in_the_loop(address: str) -> str:
    async with AsyncQubitdClient(address) as client:
        assert await client.backends() == ("line5",)
        return await client.submit(big(), "line5")


@pytest.mark.parametrize("submitted", [submitted_in_a_thread, submitted_in_the_loop])
async def test_a_client_sends_a_big_job_through_a_network_that_is_cut(
    serve: Serve, open_rack_of: MakeRack, submitted: Callable[[str], Awaitable[str]]
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        with cutting(daemon.address, [2_500_000, 1_500_000]) as cutter:
            job_id = await submitted(f"127.0.0.1:{cutter.port}")
        assert cutter.made == 3
        assert (await daemon.job(job_id)).num_programs == 7_000


async def test_one_message_may_have_four_megabytes_and_no_more(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, _ = await refused(daemon.jobs.Submit(jobs_pb2.SubmitRequest(key="x" * MAX_UNARY_BYTES)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_disk_that_refuses_a_piece_is_told_without_its_paths(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, upload = tmp_path / DIRECTORY, upload_of(b"half", "u")
    with Uploads(folder).under_way("ann", upload) as growing:
        growing.add([(0, b"ha")])
        shutil.rmtree(folder)
        with pytest.raises(UploadRefusedError, match=r"No such file or directory\); go on with the") as refusal:
            growing.add([(0, b"half")])
    assert code_of(refusal.value) is grpc.StatusCode.UNAVAILABLE
    assert str(tmp_path) not in str(refusal.value)
    assert str(folder) in caplog.records[-1].path  # type: ignore[attr-defined]
