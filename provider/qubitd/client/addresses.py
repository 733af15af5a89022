"""Addresses of daemons. One on this machine is spoken to in plain, every other over TLS."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from qubitd.client.errors import AddressError

DEFAULT_PORT = 50051
_FORM = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^\[\]:]+))(?::(?P<port>\d{1,5}))?")
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a daemon listens."""

    host: str
    port: int
    target: str
    """As gRPC wants it."""
    is_local: bool
    """Whether it is this machine: localhost, 127.0.0.0/8 or ::1."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `host`, `host:port`, `::1` or `[::1]:port`; the port is 50051 unless given.

    Raises:
        AddressError: the text has another form.
    """
    if not _is_text(text) or "/" in text:
        raise _misspelt(text)
    bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    match = _FORM.fullmatch(f"[{text}]" if bare_ipv6 else text)
    if match is None:
        raise _misspelt(text)
    host = match["plain"] or match["bracketed"]
    port = int(match["port"] or DEFAULT_PORT)
    if not 1 <= port <= 65_535:
        raise AddressError(f"port {port} of {text!r} is outside 1..65535")
    target, is_local = _place(host, port)
    return Address(host=host, port=port, target=target, is_local=is_local)


def _is_text(text: object) -> bool:
    """Whether it is a text that can be sent."""
    return isinstance(text, str) and text.isprintable()


def _misspelt(text: str) -> AddressError:
    return AddressError(f"{text!r} is no address; write HOST or HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}")


def _place(host: str, port: int) -> tuple[str, bool]:
    """Give an address as gRPC wants it, and whether it is this machine."""
    if host.lower() == "localhost":
        return f"localhost:{port}", True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return f"dns:///{host}:{port}", False
    target = f"ipv4:{ip}:{port}" if ip.version == 4 else f"ipv6:[{ip}]:{port}"
    return target, any(ip in network for network in _LOOPBACK)
