"""Asks a peer that answers at once, with and without a write before: raw socket, our link, pyvisa-py, as ratios."""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import cast

import pyvisa
from pyvisa.resources import MessageBasedResource

from qubitd.drivers.visa.opening import open_link


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One way to speak to the peer."""

    name: str
    write: Callable[[], None]
    query: Callable[[], object]


def answer(ready: Connection) -> None:
    """Answer every line that ends in a question mark, on any number of connections, one after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while message := connection.recv(4096):
                    connection.sendall(b"0\r\n" * message.count(b"?\n"))


def raw(port: int) -> Client:
    """Speak with nothing in between."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def query() -> bytes:
        connection.sendall(b"VALUE?\n")
        return connection.recv(64)

    return Client(name="raw", write=lambda: connection.sendall(b"VALUE 1\n"), query=query)


def ours(port: int) -> Client:
    """Speak through our link."""
    link = open_link(f"TCPIP0::127.0.0.1::{port}::SOCKET", timeout=10.0)
    return Client(name="ours", write=lambda: link.write("VALUE 1"), query=lambda: link.ask("VALUE?"))


def plain(port: int) -> Client:
    """Speak through pyvisa-py as it is."""
    visa = cast(MessageBasedResource, pyvisa.ResourceManager("@py").open_resource(f"TCPIP0::127.0.0.1::{port}::SOCKET"))
    visa.read_termination = visa.write_termination = "\n"

    def write() -> None:
        visa.write("VALUE 1")

    return Client(name="plain", write=write, query=lambda: visa.query("VALUE?"))


def main() -> None:
    """Print medians and how they compare with a raw socket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="per client and exchange (%(default)s)")
    rounds = parser.parse_args().rounds
    here, there = multiprocessing.Pipe()
    peer = multiprocessing.Process(target=answer, args=(there,), daemon=True)
    peer.start()
    port = here.recv()
    rows = [measured(make(port), rounds) for make in (raw, ours, plain)]
    peer.terminate()
    _, best_query, best_both = rows[0]
    for name, query, both in rows:
        print(
            f"{name:6} query {query * 1e6:8.0f} us ({query / best_query:6.2f} of raw)   "
            f"write then query {both * 1e6:8.0f} us ({both / best_both:6.2f} of raw)"
        )


def measured(client: Client, rounds: int) -> tuple[str, float, float]:
    """Name, and median seconds of a query and of a write followed by a query."""
    queries, both = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        client.query()
        queried = time.perf_counter()
        client.write()
        client.query()
        queries.append(queried - started)
        both.append(time.perf_counter() - queried)
    return client.name, statistics.median(queries), statistics.median(both)


if __name__ == "__main__":
    main()
