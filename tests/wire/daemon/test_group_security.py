"""Three daemons of one group, with certificates: whoever one of them lets in has the same name at the others."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.wire.daemon.conftest import Serve, Served

from qubitd.client import DeniedError, NotFoundError, QubitdClient
from qubitd.core.snapshot import Parameter
from qubitd.server.auth.accounts import Account, new_token, token_digest
from qubitd.server.auth.certificates import (
    CA_CERTIFICATE,
    CA_KEY,
    is_daemons,
    issue_client_certificate,
    make_authority,
    make_server_certificate,
)
from qubitd.server.auth.gate import SPEAKS_FOR
from qubitd.server.front.access import DIRECTORY
from qubitd.v1 import jobs_pb2, sessions_pb2, sessions_pb2_grpc
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.specs import decode_spec

pytest.importorskip("psycopg")
from qubitd.server.store.postgres_store import PostgresStore

NAMES = ("north", "south", "west")
Requests = Callable[..., jobs_pb2.SubmitRequest]


@dataclass
class Lab:
    """What its authority has signed."""

    folder: Path
    store: str
    hosts: list[str]
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(tz=dt.UTC))

    def __post_init__(self) -> None:
        """One authority, which each daemon has, and a certificate for each."""
        first = self.folder / NAMES[0] / DIRECTORY
        for name in NAMES:
            directory = self.folder / name / DIRECTORY
            directory.mkdir(parents=True)
            if directory == first:
                make_authority(directory, name="lab", now=self.now)
            else:
                for file in (CA_CERTIFICATE, CA_KEY):
                    shutil.copy(first / file, directory / file)
            make_server_certificate(directory, self.hosts, now=self.now)

    @property
    def authority(self) -> Path:
        return self.folder / NAMES[0] / DIRECTORY

    def let_in(self, name: str, *, role: str = "user", token: str = "") -> None:
        """Give somebody an account of the group."""
        digest = token_digest(token) if token else ""
        account = Account(name=name, project=name, role=role, token_sha256=digest)
        store = PostgresStore(self.store)
        store.write(lambda w: w.accounts.put(account, time_ns=0)).result()
        store.close()

    def credentials(self, name: str) -> tuple[str, str]:
        """Give somebody a certificate and a key, in files."""
        made = issue_client_certificate(self.authority, name, now=self.now)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(made.certificate)
        paths[1].write_bytes(made.key)
        return str(paths[0]), str(paths[1])

    def client(self, address: str, name: str) -> QubitdClient:
        """Call as somebody with a certificate."""
        cert, key = self.credentials(name)
        return QubitdClient(address, ca=str(self.authority / CA_CERTIFICATE), cert=cert, key=key, patience=0.0)


@asynccontextmanager
async def three(serve_fridge: Serve, make_rack: Callable[..., Any], **options: Any) -> AsyncGenerator[list[Served]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serve_fridge(name, rack=make_rack(), **options)) for name in NAMES]


def story(user: QubitdClient, request_of: Requests) -> None:
    """Have each daemon do what only it can, through one of them."""
    spec = decode_spec(request_of().spec)
    deadline = time.monotonic() + 30
    while set(user.backends()) != set(NAMES):  # a new one is seen within a second
        assert time.monotonic() < deadline
    for name in NAMES:
        assert user.explain(spec, name).instrument_seconds > 0
        session = user.sessions.open(SessionTerms(key=f"k {name}", backend=name))
        job_id = user.submit(spec, name)
        assert list(user.watch(job_id))
        assert user.get_job(job_id).status.value == "DONE"
        user.sessions.close(session.session_id)
        t1 = Parameter(name="q0.t1", value=21e-6, unit="s")
        assert user.commit(name, base_revision=1, parameters=[t1], message="measured").revision == 2
    assert {job.backend for job in user.list_jobs()} == set(NAMES)


async def test_a_callers_certificate_counts_at_every_daemon(
    serve_fridge: Serve, store_url: str, tmp_path: Path, open_rack_of: Callable[..., Any], request_of: Requests
) -> None:
    lab = Lab(folder=tmp_path, store=store_url, hosts=["127.0.0.1"])
    for name, role in (("eve", "calibrator"), ("bob", "user")):
        lab.let_in(name, role=role)

    def visit(addresses: list[str]) -> None:
        with lab.client(addresses[0], "eve") as eve, lab.client(addresses[1], "bob") as bob:
            story(eve, request_of)
            session = eve.sessions.open(SessionTerms(key="hers", backend="south"))
            with pytest.raises(NotFoundError):
                bob.sessions.get(session.session_id)
            t1 = Parameter(name="q0.t1", value=22e-6, unit="s")
            with pytest.raises(DeniedError):
                bob.commit("west", base_revision=2, parameters=[t1], message="not his to do")
        with lab.client(addresses[0], "mallory") as mallory, pytest.raises(DeniedError, match="the certificate is"):
            mallory.sessions.open(SessionTerms(key="k", backend="south"))

    async with three(serve_fridge, open_rack_of, wants_certificates=True) as daemons:
        await asyncio.to_thread(visit, [daemon.address for daemon in daemons])


async def test_nobody_but_a_daemon_speaks_for_another(
    serve_fridge: Serve, store_url: str, tmp_path: Path, open_rack_of: Callable[..., Any]
) -> None:
    lab = Lab(folder=tmp_path, store=store_url, hosts=["127.0.0.1"])
    for name in ("eve", "bob"):
        lab.let_in(name)
    ask = sessions_pb2.SessionsListRequest()
    async with serve_fridge("north", rack=open_rack_of(), wants_certificates=True) as daemon:
        codes = []
        for cert, key in (lab.credentials("bob"), (lab.authority / "server.pem", lab.authority / "server.key")):
            pair = Path(key).read_bytes(), Path(cert).read_bytes()
            credentials = grpc.ssl_channel_credentials((lab.authority / CA_CERTIFICATE).read_bytes(), *pair)
            async with grpc.aio.secure_channel(daemon.address, credentials) as channel:
                sessions = sessions_pb2_grpc.SessionsStub(channel)
                for metadata in (((SPEAKS_FOR, "eve"),), ((SPEAKS_FOR, "nobody"),), ()):
                    try:
                        await sessions.List(ask, metadata=metadata)
                        codes.append(grpc.StatusCode.OK)
                    except grpc.aio.AioRpcError as error:
                        codes.append(error.code())
    denied, fine = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK
    assert codes == [denied, denied, fine, fine, denied, denied]
    assert is_daemons((lab.authority / "server.pem").read_bytes())
    assert not is_daemons(b"no certificate")


async def test_off_loopback_daemons_speak_to_each_other_over_tls_with_the_callers_token(
    serve_fridge: Serve, store_url: str, tmp_path: Path, open_rack_of: Callable[..., Any], request_of: Requests
) -> None:
    lab = Lab(folder=tmp_path, store=store_url, hosts=[socket.gethostname(), "127.0.0.1"])
    token = new_token()
    lab.let_in("alice", role="calibrator", token=token)

    def visit(address: str) -> None:
        with QubitdClient(address, token, ca=str(lab.authority / CA_CERTIFICATE)) as alice:
            assert {one.address.rpartition(":")[0] for one in alice.standings()} == {socket.gethostname()}
            story(alice, request_of)

    async with three(serve_fridge, open_rack_of, host="0.0.0.0") as daemons:
        await asyncio.to_thread(visit, daemons[0].address)
