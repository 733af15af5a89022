"""gRPC ignores an option whose name it does not know, so a misspelt one is found out only after an outage."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from qubitd.client.link import CHANNEL_OPTIONS
from qubitd.server.front.serving import SERVER_OPTIONS

CORE = next((Path(grpc.__file__).parent / "_cython").glob("cygrpc*.so")).read_bytes()


@pytest.mark.parametrize("name", sorted({name for name, _ in (*CHANNEL_OPTIONS, *SERVER_OPTIONS)}))
def test_grpc_knows_the_option(name: str) -> None:
    assert name.encode() in CORE


def test_a_misspelt_option_would_be_found() -> None:
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms" not in CORE


def test_the_daemon_permits_the_pings_of_its_clients() -> None:
    client, server = dict(CHANNEL_OPTIONS), dict(SERVER_OPTIONS)
    assert server["grpc.http2.min_ping_interval_without_data_ms"] < client["grpc.keepalive_time_ms"]
