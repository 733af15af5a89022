"""Who may call what: every RPC against every kind of caller, and projects that cannot see each other."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from tests.rpcs import every_method, rpc_of

from qubitd.client import DeniedError, NotFoundError, QubitdClient, UnreachableError
from qubitd.client.aio import AsyncQubitdClient
from qubitd.core.job import JobStatus, OwnEnvelope
from qubitd.server.auth.accounts import Account, new_token, read_accounts, token_digest, write_accounts
from qubitd.server.auth.certificates import (
    CA_CERTIFICATE,
    issue_client_certificate,
    make_authority,
    make_server_certificate,
)
from qubitd.server.auth.errors import AccountsError, CertificateError
from qubitd.server.auth.identity import Role
from qubitd.server.auth.rights import OPEN, RIGHTS
from qubitd.server.errors import BindRefusedError
from qubitd.server.front.access import DIRECTORY
from qubitd.server.store.audit import read_lines, verify
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.slots import Reservation, SlotKind
from qubitd.wire.specs import decode_spec
from qubitd.wire.terms import JobTerms, Urgency

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
DENIED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


def every_rpc() -> dict[str, MethodDescriptor]:
    """Give every RPC of the wire contract."""
    return {rpc_of(method): method for method in every_method()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / DIRECTORY


@pytest.fixture
def let_in(directory: Path) -> Callable[..., str]:
    """Make an account and give its token."""

    def add(name: str, role: Role = Role.USER, *, project: str = "", expires_ns: int = 0) -> str:
        token = new_token()
        account = Account(
            name=name,
            project=project or name,
            role=role.name.lower(),
            token_sha256=token_digest(token),
            expires_ns=expires_ns,
        )
        write_accounts(directory, read_accounts(directory).with_account(account))
        return token

    return add


LetIn = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller hears first."""

    code: grpc.StatusCode
    said: str | bytes


async def answer_of(
    channel: grpc.aio.Channel, method: MethodDescriptor, *, token: str | None, request: bytes = b""
) -> Answer:
    """Call an RPC and give its first answer; one that is silent for a while is OK."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    path = f"/{rpc_of(method)}"

    async def once() -> AsyncIterator[bytes]:
        yield request

    try:
        if method.client_streaming:
            said = await channel.stream_unary(path, bytes, bytes)(once(), metadata=metadata, timeout=5.0)
        elif method.server_streaming:
            call = channel.unary_stream(path, bytes, bytes)(request, metadata=metadata, timeout=5.0)
            first = await call.read()
            said = first if isinstance(first, bytes) else b""
            call.cancel()
        else:
            said = await channel.unary_unary(path, bytes, bytes)(request, metadata=metadata, timeout=5.0)
    except grpc.aio.AioRpcError as error:
        return Answer(error.code(), error.details() or "")
    return Answer(grpc.StatusCode.OK, said)


def test_every_rpc_has_one_row_in_the_table_of_rights() -> None:
    assert set(RIGHTS) == set(every_rpc())


async def test_every_cell_of_the_rights_matrix(serve: Serve, open_rack_of: MakeRack, let_in: LetIn) -> None:
    tokens: dict[str, str | None] = {
        "none": None,
        "bad": new_token(),
        "expired": let_in("old", Role.OPERATOR, expires_ns=1),
        **{role.name: let_in(role.name, role) for role in Role},
    }
    found: dict[tuple[str, str], bool] = {}
    expected: dict[tuple[str, str], bool] = {}
    async with serve(rack=open_rack_of()) as daemon:
        for rpc, method in every_rpc().items():
            for who, token in tokens.items():
                code = (await answer_of(daemon.channel, method, token=token)).code
                found[rpc, who] = code not in DENIED
                expected[rpc, who] = who in Role.__members__ and Role[who] >= RIGHTS[rpc]
                if who in ("none", "bad", "expired"):
                    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert found == expected


def those_that_name(field: str) -> list[MethodDescriptor]:
    return [method for method in every_method() if field in method.input_type.fields_by_name]


async def test_no_rpc_tells_anothers_job_or_session_from_one_that_is_not_there(
    serve: Serve, shut_rack: Any, let_in: LetIn, request_of: Callable[..., Any]
) -> None:
    alice, bob = let_in("alice"), let_in("bob", Role.CALIBRATOR)
    nobodys = str(uuid.uuid4())
    async with serve(rack=shut_rack) as daemon:

        async def heard(method: MethodDescriptor, field: str, name: str, token: str) -> Answer:
            request = message_factory.GetMessageClass(method.input_type)(**{field: name})
            answer = await answer_of(daemon.channel, method, token=token, request=request.SerializeToString())
            said = answer.said.replace(name, "X") if isinstance(answer.said, str) else answer.said
            return Answer(answer.code, said)

        def begin() -> dict[str, str]:
            with QubitdClient(daemon.address, alice) as client:
                session = client.sessions.open(SessionTerms(key="k", backend="line5")).session_id
                terms = JobTerms(session_id=session)
                return {
                    "job_id": client.submit(decode_spec(request_of().spec), "line5", terms=terms),
                    "session_id": session,
                }

        for field, hers in (await asyncio.to_thread(begin)).items():
            methods = those_that_name(field)
            assert len(methods) >= 5
            for method in methods:
                assert await heard(method, field, hers, bob) == await heard(method, field, nobodys, bob), (
                    method.full_name
                )
            looks = [method for method in methods if method.name in ("Get", "Watch", "Usage")]
            codes = {(await heard(method, field, hers, alice)).code for method in looks}
            assert codes == {grpc.StatusCode.OK}


async def test_a_project_neither_sees_nor_ends_anothers_jobs_and_sessions(
    serve: Serve, shut_rack: Any, let_in: LetIn, request_of: Callable[..., Any]
) -> None:
    tokens = [let_in("alice"), let_in("bob"), let_in("root", Role.OPERATOR)]
    spec = decode_spec(request_of().spec)

    def story(address: str) -> None:
        alice, bob, root = (QubitdClient(address, token) for token in tokens)
        job_id = alice.submit(spec, "line5")
        session = alice.sessions.open(SessionTerms(key="k", backend="line5"))
        for look in (bob.get_job, bob.cancel, bob.delete, lambda j: list(bob.watch(j)), lambda j: list(bob.results(j))):
            with pytest.raises(NotFoundError) as theirs:
                look(job_id)
            with pytest.raises(NotFoundError) as nobodys:
                look("no-such-job")
            assert str(theirs.value).replace(job_id, "X") == str(nobodys.value).replace("no-such-job", "X")
        for end in (bob.sessions.get, bob.sessions.renew, bob.sessions.close, bob.sessions.cancel, bob.sessions.usage):
            with pytest.raises(NotFoundError, match="of yours"):
                end(session.session_id)
        with pytest.raises(NotFoundError, match="there is no session"):
            bob.submit(spec, "line5", terms=JobTerms(session_id=session.session_id))
        assert bob.list_jobs() == ()
        assert bob.sessions.list() == ()
        root.cancel(job_id, force=True)
        root.sessions.close(session.session_id)
        list(alice.watch(job_id))
        assert alice.get_job(job_id).status is JobStatus.CANCELLED
        for client in (alice, bob, root):
            client.close()

    async with serve(rack=shut_rack) as daemon:
        await asyncio.to_thread(story, daemon.address)


async def test_what_a_job_asks_for_may_ask_for_a_role(
    serve: Serve, open_rack_of: MakeRack, let_in: LetIn, request_of: Callable[..., Any]
) -> None:
    tokens = [let_in("user"), let_in("calibrator", Role.CALIBRATOR)]
    spec = decode_spec(request_of().spec)
    shaped = replace(spec, envelopes=(OwnEnvelope(name="q0.sx.envelope", samples=np.ones(40, dtype=np.complex128)),))

    def story(address: str) -> None:
        with QubitdClient(address, tokens[0]) as user, QubitdClient(address, tokens[1]) as calibrator:
            with pytest.raises(DeniedError, match="a job with envelopes of its own asks for the role calibrator"):
                user.submit(shaped, "line5")
            calibrator.submit(shaped, "line5")
            with pytest.raises(DeniedError, match="a job of the class safety asks for the role operator"):
                calibrator.submit(spec, "line5", terms=JobTerms(urgency=Urgency.SAFETY))
            with pytest.raises(DeniedError, match="user has the role user, and a job in a slot asks for the role cal"):
                user.submit(spec, "line5", terms=JobTerms(slot_id="s"))
            asked = Reservation(key="k", backend="line5", kind=SlotKind.MAINTENANCE, seconds=60.0)
            with pytest.raises(DeniedError, match="a maintenance slot asks for the role operator"):
                calibrator.slots.reserve(asked)
            with pytest.raises(DeniedError, match=r"qubitd\.v1\.Calibrations/Rollback asks for the role calibrator"):
                user.rollback("line5", to_revision=1, message="")

    async with serve(rack=open_rack_of()) as daemon:
        await asyncio.to_thread(story, daemon.address)


async def test_a_revoked_token_ends_at_once_and_its_streams_too(
    serve: Serve, shut_rack: Any, let_in: LetIn, directory: Path, request_of: Callable[..., Any]
) -> None:
    token = let_in("alice")
    let_in("bob")
    spec = decode_spec(request_of().spec)

    def story(address: str) -> None:
        with QubitdClient(address, token) as alice:
            job_id = alice.submit(spec, "line5")
            events = alice.watch(job_id)
            next(events)
            write_accounts(directory, read_accounts(directory).without("alice"))
            with pytest.raises(DeniedError, match="the token is unknown, expired or revoked"):
                alice.get_job(job_id)
            shut_rack.gate.set()
            with pytest.raises(DeniedError, match="the token is unknown, expired or revoked"):
                list(events)

    async with serve(rack=shut_rack) as daemon:
        await asyncio.to_thread(story, daemon.address)


async def test_off_loopback_everything_is_tls_with_a_token(
    serve: Serve, open_rack_of: MakeRack, let_in: LetIn, directory: Path, tmp_path: Path
) -> None:
    token = let_in("alice")
    now = dt.datetime.now(tz=dt.UTC)
    make_authority(directory, name="lab", now=now)
    make_server_certificate(directory, ["127.0.0.1", "lab"], now=now)
    ca = str(directory / CA_CERTIFICATE)
    other_lab = tmp_path / "other lab"
    other_lab.mkdir()
    make_authority(other_lab, name="other lab", now=now)

    def story(address: str) -> None:
        with QubitdClient(address, token, ca=ca) as alice:
            assert alice.backends() == ("line5",)
        with QubitdClient(address, ca=ca) as nobody, pytest.raises(DeniedError, match="this daemon wants a token"):
            nobody.backends()
        hung_up = pytest.raises(UnreachableError, match=r"something listens there and hangs up: .* wants ca")
        with QubitdClient(address, token, patience=0.0) as plain, hung_up:
            plain.backends()
        stranger = pytest.raises(UnreachableError, match="not of an authority trusted here: give the lab's as ca")
        with QubitdClient(address, token, ca=str(other_lab / CA_CERTIFICATE), patience=0.0) as wary, stranger:
            wary.backends()
        misnamed = pytest.raises(UnreachableError, match="its certificate is for other names")
        elsewhere = address.replace("127.0.0.1", "127.0.0.2").replace("0.0.0.0", "127.0.0.2")
        with QubitdClient(elsewhere, token, ca=ca, patience=0.0) as lost, misnamed:
            lost.backends()

    async with serve(rack=open_rack_of(), host="0.0.0.0") as daemon:
        await asyncio.to_thread(story, daemon.address)
        async with AsyncQubitdClient(daemon.address, token, ca=ca) as alice:
            assert await alice.backends() == ("line5",)


async def test_a_certificate_of_the_lab_is_as_good_as_a_token(
    serve: Serve, open_rack_of: MakeRack, directory: Path, tmp_path: Path
) -> None:
    now = dt.datetime.now(tz=dt.UTC)
    write_accounts(directory, read_accounts(directory).with_account(Account(name="eve", project="p", role="user")))
    make_authority(directory, name="lab", now=now)
    make_authority(directory, name="another", now=now)
    make_server_certificate(directory, ["127.0.0.1"], now=now)
    files: dict[str, tuple[str, str]] = {}
    for name in ("eve", "mallory"):
        made = issue_client_certificate(directory, name, now=now)
        paths = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        paths[0].write_bytes(made.certificate)
        paths[1].write_bytes(made.key)
        files[name] = str(paths[0]), str(paths[1])
    ca = str(directory / CA_CERTIFICATE)

    def story(address: str) -> None:
        with QubitdClient(address, ca=ca, cert=files["eve"][0], key=files["eve"][1]) as eve:
            assert eve.backends() == ("line5",)
        cert, key = files["mallory"]
        unknown = pytest.raises(DeniedError, match="the certificate is unknown, expired or revoked")
        with QubitdClient(address, ca=ca, cert=cert, key=key) as mallory, unknown:
            mallory.backends()
        hung_up = pytest.raises(UnreachableError, match="--client-certificates also cert and key")
        with QubitdClient(address, ca=ca, patience=0.0) as nobody, hung_up:
            nobody.backends()

    async with serve(rack=open_rack_of(), wants_certificates=True) as daemon:
        await asyncio.to_thread(story, daemon.address)


async def test_a_daemon_refuses_the_world_without_certificates_and_accounts(serve: Serve, let_in: LetIn) -> None:
    with pytest.raises(BindRefusedError, match=r"will not serve on '0\.0\.0\.0' without a certificate and accounts"):
        async with serve(host="0.0.0.0"):
            raise AssertionError
    with pytest.raises(CertificateError, match="there is no certificate in"):
        async with serve(wants_certificates=True):
            raise AssertionError


def test_accounts_that_cannot_be_read_let_nobody_in(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "accounts.json").write_text('[{"name": "a", "project": "a", "role": "emperor"}]', encoding="utf-8")
    with pytest.raises(AccountsError, match=r"accounts\.json cannot be read as accounts: account 'a' has the role"):
        read_accounts(directory)
    with pytest.raises(CertificateError, match="holds no authority that can be read; make one: qubitd auth init"):
        issue_client_certificate(directory, "a", now=dt.datetime.now(tz=dt.UTC))


def test_every_rpc_of_the_health_service_is_known_to_be_open_and_no_other() -> None:
    (service,) = health_pb2.DESCRIPTOR.services_by_name.values()
    assert {rpc_of(method) for method in service.methods} == OPEN
    assert not OPEN & RIGHTS.keys()


async def test_whether_a_daemon_serves_is_told_to_whoever_asks_and_nothing_else(
    serve: Serve, open_rack_of: MakeRack, let_in: LetIn
) -> None:
    let_in("alice")
    (service,) = health_pb2.DESCRIPTOR.services_by_name.values()
    async with serve(rack=open_rack_of()) as daemon:
        codes = {
            method.name: (await answer_of(daemon.channel, method, token=None)).code
            for method in (*service.methods, *every_method())
        }
    assert {name for name, code in codes.items() if code is grpc.StatusCode.OK} <= {"Check", "Watch", "List"}
    assert codes["Check"] is grpc.StatusCode.OK


async def test_the_log_of_what_was_done_is_whole_and_shows_a_line_that_was_changed(
    serve: Serve, open_rack_of: MakeRack, let_in: LetIn, tmp_path: Path, request_of: Callable[..., Any]
) -> None:
    token = let_in("alice")
    spec = decode_spec(request_of().spec)

    def story(address: str) -> None:
        with QubitdClient(address, token) as alice:
            list(alice.watch(alice.submit(spec, "line5")))
            with pytest.raises(DeniedError):
                alice.lab.drain()
            with pytest.raises(DeniedError):
                alice.submit(spec, "line5", terms=JobTerms(urgency=Urgency.SAFETY))

    async with serve(rack=open_rack_of()) as daemon:
        await asyncio.to_thread(story, daemon.address)
    connection = sqlite3.connect(tmp_path / "data" / DATABASE)
    lines = [(line.who, line.what.split(":")[0].split(" job ")[0]) for line in read_lines(connection)]
    assert ("alice", "submitted") in lines
    assert ("alice", "denied qubitd.v1.Lab/Drain") in lines
    assert ("alice", "denied qubitd.v1.Jobs/Submit") in lines
    assert verify(connection).broken is None
    with pytest.raises(sqlite3.IntegrityError, match="the audit log only grows"):
        connection.execute("UPDATE audit SET who = 'bob' WHERE number = 2")
    with pytest.raises(sqlite3.IntegrityError, match="the audit log only grows"):
        connection.execute("DELETE FROM audit")
    connection.execute("DROP TRIGGER audit_kept")
    connection.execute("UPDATE audit SET who = 'bob' WHERE number = 2")
    verdict = verify(connection)
    assert (verdict.lines, verdict.broken) == (1, 2)
    connection.close()
