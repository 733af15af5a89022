"""Finds an address of its own for an emulated rack: all its instruments' ports must be free there."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Iterator, Sequence

from qubitd.emulator.errors import NoFreeAddressError

CLUSTER_PORT = 5025
MODULE_PORT = 25_000
"""Plus the slot."""
_TRIES = 200
_BACKLOG = 64


def candidates(address: str | None) -> Iterator[str]:
    """Give the address asked for, or random ones of 127.0.0.0/8 other than 127.0.0.1."""
    if address is not None:
        yield address
        return
    chooser = random.SystemRandom()
    for _ in range(_TRIES):
        yield f"127.{chooser.randrange(1, 255)}.{chooser.randrange(256)}.{chooser.randrange(1, 255)}"


def bind_all(addresses: Iterable[str], ports: Sequence[int]) -> tuple[str, list[socket.socket]]:
    """Listen on all ports of the first address where they are free.

    Raises:
        NoFreeAddressError: there is none.
    """
    reasons: list[str] = []
    for address in addresses:
        sockets: list[socket.socket] = []
        try:
            for port in ports:  # those bound so far have to be closed when one fails
                sockets.append(_listening(address, port))  # noqa: PERF401
        except OSError as error:
            for bound in sockets:
                bound.close()
            reasons.append(f"{address}:{ports[len(sockets)]}: {error.strerror or error}")
            continue
        return address, sockets
    tried = reasons[-1] if reasons else "no address was tried"
    raise NoFreeAddressError(
        f"no address has the ports {', '.join(map(str, ports))} free; last tried {tried}. "
        "Stop what listens there, or give another --address"
    )


def _listening(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port that another process listens on is still refused; only the remains of closed connections are ignored.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
