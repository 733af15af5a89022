"""The gRPC front: services on one loopback port that nobody else can share, with the limits of the wire contract."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from qubitd.server.errors import BindRefusedError, PortInUseError
from qubitd.server.front.rpc import Door, Service
from qubitd.wire.uploads import MAX_UNARY_BYTES

SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_UNARY_BYTES),
    ("grpc.max_send_message_length", 64 * 2**20),
    # Windows stay small, so that many who send at once take little memory.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]
"""Two daemons must not share a port silently; clients ping every 20 s to notice a link that is half open."""
_GRACE = 0.5
"""Seconds that calls get to end when the daemon stops."""


class _Health(Protocol):
    async def enter_graceful_shutdown(self) -> None: ...


class Front:
    """An open port."""

    def __init__(self, server: grpc.aio.Server, health_service: _Health, *, port: int) -> None:
        self.port = port
        self._server = server
        self._health = health_service

    async def announce_end(self) -> None:
        """Tell load balancers and clients that this daemon takes nothing new."""
        await self._health.enter_graceful_shutdown()

    async def close(self) -> None:
        """End every call and close the port."""
        await self._server.stop(_GRACE)


def check_host(host: str, *, has_tls: bool) -> None:
    """Make sure that a host is the machine itself, or that nobody can listen in.

    Raises:
        BindRefusedError: it is another, and there is no certificate.
    """
    if not has_tls and not is_loopback(host):
        raise BindRefusedError(host=host)


def is_loopback(host: str) -> bool:
    """Whether a host is the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(host: str, port: int) -> str:
    """Give the address under which others reach what is served on a host, which may stand for all of the machine's."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_port(host: str, port: int) -> None:
    """Find out early, and in clear words, whether a port is free.

    Raises:
        PortInUseError: it is not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUseError(host=host, port=port, cause=error.strerror or str(error)) from error


async def open_front(
    services: Sequence[Service],
    *,
    host: str,
    port: int,
    door: Door,
    credentials: grpc.ServerCredentials | None = None,
) -> Front:
    """Open the port: from now on calls are answered.

    Args:
        services: what is served.
        host: an address of this machine.
        port: 0 for any free one.
        door: which every call passes.
        credentials: for TLS; None for a plain port.

    Raises:
        PortInUseError: somebody else has it.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS)
    health_service = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs know no asyncio
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    for service in services:
        server.add_generic_rpc_handlers((service.handler(door),))
        await health_service.set(service.name, health_pb2.HealthCheckResponse.SERVING)
    await health_service.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise PortInUseError(host=host, port=port, cause=str(error)) from error
    await server.start()
    return Front(server, health_service, port=bound)
