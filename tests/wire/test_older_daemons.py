"""A daemon that is older than its client: it takes requests, and leaves out what it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, replace

import grpc
import pytest
from tests.followed import flip

from qubitd.client import OlderDaemonError, QubitdClient
from qubitd.core.plan import JobPlan, ProgramPlan
from qubitd.v1 import backends_pb2
from qubitd.wire.plans import encode_plan

PROGRAM = ProgramPlan(name="flip", duration=1e-6, num_plays=1, success=0.9)
PLAN = JobPlan(programs=(PROGRAM,), memories=(), upload_bytes=1, instrument_seconds=2.0, queue_length=3, revision=4)


@dataclass
class Daemon:
    """Has the same plan for every job."""

    plan: JobPlan = PLAN

    def explain(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        return encode_plan(self.plan).SerializeToString()

    def list(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        return backends_pb2.BackendsListResponse(names=["line5"], server_version="0.0.9").SerializeToString()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[QubitdClient]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    for service, name, method in (("Jobs", "Explain", daemon.explain), ("Backends", "List", daemon.list)):
        handlers = {name: grpc.unary_unary_rpc_method_handler(method)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"qubitd.v1.{service}", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with QubitdClient(f"127.0.0.1:{port}") as client:
        yield client
    server.stop(None).wait()


def test_one_that_leaves_out_what_is_expected_is_named(client: QubitdClient, daemon: Daemon) -> None:
    assert client.explain(flip(), "line5") == PLAN
    with pytest.raises(OlderDaemonError, match=r"\(version 0\.0\.9\) does not know `expected` of `explain`") as caught:
        client.explain(flip(), "line5", expected=True)
    assert (caught.value.address, caught.value.version) == (client.address, "0.0.9")
    daemon.plan = replace(PLAN, expected=({"1": 1.0},))
    assert client.explain(flip(), "line5", expected=True) == daemon.plan
