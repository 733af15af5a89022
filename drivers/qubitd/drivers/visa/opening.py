"""Open a VISA resource string: our own link on the raw sockets of pyvisa-py, plain pyvisa elsewhere."""

from __future__ import annotations

import socket

import pyvisa
from pyvisa import rname
from pyvisa.resources import MessageBasedResource

from qubitd.drivers.errors import InstrumentNotFoundError
from qubitd.drivers.visa.link import Link
from qubitd.drivers.visa.plain_link import PlainLink
from qubitd.drivers.visa.socket_link import SocketLink


def open_link(resource: str, *, timeout: float, library: str = "@py") -> Link:
    """Open a link to an instrument; nothing is sent.

    Args:
        resource: VISA resource string, such as `TCPIP0::192.168.0.2::5025::SOCKET`.
        timeout: seconds for the connection, and then for each message or answer.
        library: which VISA library; `@py` is pyvisa-py.

    Raises:
        InstrumentNotFoundError: nobody listens there, or the string is no resource.
    """
    visa = _open_visa(resource, timeout, library)
    connection = _socket_of(visa)
    if connection is None:
        return PlainLink(resource=resource, timeout=timeout, visa=visa)
    try:
        return SocketLink(resource=resource, timeout=timeout, visa=visa, connection=connection)
    except InstrumentNotFoundError:
        visa.close()
        raise


def _open_visa(resource: str, timeout: float, library: str) -> MessageBasedResource:
    try:
        _resolve(resource)
        visa = pyvisa.ResourceManager(library).open_resource(resource, open_timeout=round(timeout * 1000))
    except Exception as error:  # pyvisa-py raises a bare Exception for an address that it cannot reach
        raise InstrumentNotFoundError(
            resource=resource, what=f"cannot be opened ({error}); check the resource string in the rack file"
        ) from error
    if not isinstance(visa, MessageBasedResource):
        visa.close()
        raise InstrumentNotFoundError(resource=resource, what="is no message-based resource; check the rack file")
    return visa


def _resolve(resource: str) -> None:
    """Look a raw socket's host up first: pyvisa-py leaves a socket behind when that fails."""
    name = rname.ResourceName.from_string(resource)
    if isinstance(name, rname.TCPIPSocket):
        socket.getaddrinfo(name.host_address, name.port, family=socket.AF_INET)


def _socket_of(visa: MessageBasedResource) -> socket.socket | None:
    """Give the socket below a raw-socket resource of pyvisa-py."""
    if visa.resource_class != "SOCKET":
        return None
    session = getattr(visa.visalib, "sessions", {}).get(visa.session)
    connection = getattr(session, "interface", None)
    return connection if isinstance(connection, socket.socket) else None
