"""Requests that bring a job are read where they hold up nobody: big uploads in another process, one at a time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.server.auth.errors import DeniedError
from qubitd.server.auth.identity import LOCAL, Identity, Role
from qubitd.server.compiling.spec_memory import SpecMemory
from qubitd.server.errors import InvalidRequestError, UnknownBackendError, UnknownUploadError
from qubitd.server.front.admission import Newcomer, admit
from qubitd.server.front.reading import (
    ELSEWHERE_BYTES,
    EXPLANATION,
    INLINE_BYTES,
    SUBMISSION,
    Asked,
    Reader,
    ReadingProcess,
)
from qubitd.server.front.receiving import Parcel
from qubitd.server.front.uploads import Uploads
from qubitd.server.store.rows import NewJob
from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.backends import Limits
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.parsing import parse
from qubitd.wire.specs import Submission, encode_spec, encode_submission
from qubitd.wire.tables import MissingTablesError
from qubitd.wire.terms import JobTerms
from qubitd.wire.uploads import Upload, decode_upload, encode_upload, upload_of

LIMITS = Limits(max_shots=1000, max_circuits=10, max_total_shots=10**6, max_job_bytes=2**26)
MANY, FEW = 1_600, 30


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    one = ReadingProcess()
    yield one
    one.close()


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads")


@pytest.fixture
def reader(uploads: Uploads, process: ReadingProcess) -> Reader:
    return Reader(uploads=uploads, specs=SpecMemory(), process=process)


def job(rows: int = MANY, shots: int = 1) -> JobSpec:
    """100 angles for each row; MANY rows are more than a MiB."""
    circuit = CircuitBuilder(name="big", num_qubits=2, num_clbits=1)
    for column in range(100):
        circuit.add("rz", 0, params=(FromColumn(column=column),))
    circuit.measure(0, 0).bind(np.random.default_rng(1).uniform(-3, 3, (rows, 100)))
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=shots)


def request(spec: JobSpec, backend: str = "line5") -> jobs_pb2.SubmitRequest:
    return encode_submission(Submission(key="k", backend=backend, spec=spec))


def asked(identity: Identity = LOCAL) -> Asked:
    newcomer = Newcomer(job_id="j", owner=identity.project, author=identity.name, time_ns=5)
    return Asked(identity=identity, newcomer=newcomer, limits={"line5": LIMITS})


def uploaded(uploads: Uploads, message: Any, owner: str = "local") -> Parcel:
    """Send a message ahead, and give what names it."""
    data = message.SerializeToString()
    upload = upload_of(data, "u")
    with uploads.under_way(owner, upload) as growing:
        growing.add([(at, data[at : at + 2**20]) for at in range(0, len(data), 2**20)])
    return Parcel(type(message)(upload=encode_upload(upload)).SerializeToString())


def anywhere(_backend: str, _terms: JobTerms) -> None:
    """Any backend will do."""


async def read(reader: Reader, parcel: Parcel, who: Asked | None = None) -> tuple[NewJob, Upload | None]:
    return await reader.read(SUBMISSION, parcel, who or asked(), anywhere)


def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have any big message that is parsed in this process be an error; others are parsed as they were."""

    def parsed(kind: Any, data: bytes) -> Any:
        assert len(data) < ELSEWHERE_BYTES
        return parse(kind, data)

    monkeypatch.setattr("qubitd.server.front.reading.parse", parsed)


async def test_a_big_upload_is_read_in_another_process_and_is_the_job_that_it_would_be_here(
    reader: Reader, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = request(job())
    here, _ = await read(reader, Parcel(message.SerializeToString()))
    parcel = uploaded(uploads, message)
    nothing_is_parsed(monkeypatch)
    there, upload = await read(reader, parcel)
    assert there == here
    assert len(there.spec) > ELSEWHERE_BYTES
    assert upload is not None
    assert uploads.path("local", upload).exists()


async def test_it_has_a_session_of_its_own_and_is_there_before_it_is_needed(
    reader: Reader, process: ReadingProcess, uploads: Uploads
) -> None:
    reader.expect()
    ready = process.process_id
    assert ready is not None
    await read(reader, uploaded(uploads, request(job())))
    assert process.process_id == ready
    assert os.getsid(ready) == ready


async def test_an_upload_is_read_again_when_the_process_was_killed(
    reader: Reader, process: ReadingProcess, uploads: Uploads
) -> None:
    parcel = uploaded(uploads, request(job()))
    first, _ = await read(reader, parcel)
    assert process.process_id is not None
    os.kill(process.process_id, signal.SIGKILL)
    again, _ = await read(reader, parcel)
    assert again == first


@pytest.mark.parametrize("left", [None, 1])
async def test_an_upload_of_which_another_call_made_a_job_meanwhile_is_unknown(
    reader: Reader, process: ReadingProcess, uploads: Uploads, monkeypatch: pytest.MonkeyPatch, left: int | None
) -> None:
    parcel = uploaded(uploads, request(job()))
    upload = decode_upload(jobs_pb2.SubmitRequest.FromString(parcel.data).upload)
    do = process.do

    def read_and_dropped(*asked_for: Any) -> Any:
        found = do(*asked_for)
        uploads.drop("local", upload)
        if left is not None:
            with uploads.under_way("local", upload) as growing:
                growing.add([(0, bytes(left))])
        return found

    monkeypatch.setattr(process, "do", read_and_dropped)
    with pytest.raises(UnknownUploadError, match=f"of upload 'u' {left or 0} of {upload.size} bytes are here"):
        await read(reader, parcel)


async def test_what_is_wrong_with_an_upload_is_told_as_it_would_be_here(reader: Reader, uploads: Uploads) -> None:
    user = Identity(name="ann", project="ann", role=Role.USER)
    sweeping = request(job())
    sweeping.spec.sweep.axes.add()
    wrong = request(job())
    wrong.spec.wire_version += 1
    for message, who, error in (
        (wrong, asked(), MalformedMessageError),
        (request(job(shots=2000)), asked(), InvalidRequestError),
        (request(job(), backend="other"), asked(), UnknownBackendError),
        (sweeping, asked(user), DeniedError),
    ):
        parcel = uploaded(uploads, message, owner=who.identity.project)
        with pytest.raises(error):
            await read(reader, parcel, who)
    missing = jobs_pb2.SubmitRequest(upload=encode_upload(upload_of(bytes(2 * ELSEWHERE_BYTES), "none")))
    with pytest.raises(UnknownUploadError, match="of upload 'none' 0 of 2097152 bytes are here"):
        await read(reader, Parcel(missing.SerializeToString()))


async def test_tables_are_known_on_both_sides_wherever_they_came_first(reader: Reader, uploads: Uploads) -> None:
    circuit = CircuitBuilder(name="tabled", num_qubits=1, num_clbits=1)
    for i in range(400):
        circuit.add("rz", 0, params=(i % 40 / 40,)).add("sx", 0)
    tabled = request(JobSpec(batch=pack([circuit.measure(0, 0)]), sweep=Sweep(), shots=1))
    small_named, big = named(tabled), named(tabled)
    big.spec.client_data = bytes(2**20)
    assert len(big.SerializeToString()) > ELSEWHERE_BYTES
    with pytest.raises(MissingTablesError):
        await read(reader, uploaded(uploads, big))
    big_with_content = jobs_pb2.SubmitRequest()
    big_with_content.CopyFrom(big)
    big_with_content.spec.batch.CopyFrom(tabled.spec.batch)
    whole, _ = await read(reader, uploaded(uploads, big_with_content))
    assert (await read(reader, uploaded(uploads, big)))[0].spec == whole.spec
    assert (await read(reader, Parcel(small_named.SerializeToString())))[0].shots == 1
    bob = Identity(name="bob", project="bob", role=Role.USER)
    with pytest.raises(MissingTablesError):
        await read(reader, uploaded(uploads, big, owner="bob"), asked(bob))


def named(message: jobs_pb2.SubmitRequest) -> jobs_pb2.SubmitRequest:
    """The same with a hash in place of the table of values."""
    short = jobs_pb2.SubmitRequest()
    short.CopyFrom(message)
    content = short.spec.batch.value_table.content
    short.spec.batch.value_table.CopyFrom(circuits_pb2.Table(sha256=hashlib.sha256(content).digest()))
    return short


async def test_an_explanation_may_have_gone_ahead_too(reader: Reader, uploads: Uploads) -> None:
    message = jobs_pb2.ExplainRequest(backend="line5", spec=encode_spec(job()))
    explained, _ = await reader.read(EXPLANATION, uploaded(uploads, message), asked(), anywhere)
    assert (explained.backend, explained.spec.num_programs) == ("line5", MANY)


@pytest.mark.parametrize("rows", [1, FEW])
async def test_the_bytes_of_a_request_are_let_go_before_its_circuits_are_read(
    reader: Reader, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel = Parcel(request(job(rows)).SerializeToString())
    assert (len(parcel.data) > INLINE_BYTES) == (rows == FEW)
    dropped: list[bool] = []

    def admitted(*arguments: Any, **named: Any) -> NewJob:
        dropped.append(parcel.is_dropped)
        return admit(*arguments, **named)

    monkeypatch.setattr("qubitd.server.front.reading.admit", admitted)
    await read(reader, parcel)
    assert dropped == [True]


async def test_whoever_is_to_be_passed_on_keeps_the_bytes(reader: Reader) -> None:
    def elsewhere(backend: str, _terms: JobTerms) -> None:
        raise UnknownBackendError(name=backend, served=())

    for rows in (1, FEW):
        data = request(job(rows)).SerializeToString()
        parcel = Parcel(data)
        with pytest.raises(UnknownBackendError):
            await reader.read(SUBMISSION, parcel, asked(), elsewhere)
        assert parcel.data == data


class Held:
    """Work that begins, and ends when it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, *_arguments: Any) -> Any:
        self.began.set()
        assert self.may_end.wait(30)
        raise UnknownBackendError(name="held", served=())


async def test_smaller_requests_do_not_wait_for_uploads(
    reader: Reader, uploads: Uploads, process: ReadingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    parcel = uploaded(uploads, request(job()))
    monkeypatch.setattr(process, "read", held)
    big = asyncio.create_task(read(reader, parcel))
    await asyncio.to_thread(held.began.wait, 30)
    small, _ = await read(reader, Parcel(request(job(FEW)).SerializeToString()))
    assert not big.done()
    held.may_end.set()
    with pytest.raises(UnknownBackendError):
        await big
    assert small.programs == FEW


async def test_the_next_upload_waits_for_one_whose_caller_has_left(
    reader: Reader, uploads: Uploads, process: ReadingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Held(), Held()
    parcel = uploaded(uploads, request(job()))
    monkeypatch.setattr(process, "read", first)
    leaving = asyncio.create_task(read(reader, parcel))
    await asyncio.to_thread(first.began.wait, 30)
    monkeypatch.setattr(process, "read", second)
    staying = asyncio.create_task(read(reader, parcel))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await asyncio.to_thread(first.began.wait, 30)  # a thread that was asked for later than the second one could be
    assert not second.began.is_set()
    first.may_end.set()
    await asyncio.to_thread(second.began.wait, 30)
    second.may_end.set()
    with pytest.raises(UnknownBackendError):
        await staying
