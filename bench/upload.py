"""Uploads a big block to a peer that only swallows: raw socket, our link and pyvisa-py, side by side, as ratios."""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import cast

import pyvisa
from pyvisa.resources import MessageBasedResource

from qubitd.drivers.visa.opening import open_link

ROUNDS = 5
BUFFER = 1 << 20
END = b"\nDONE?\n"
"""What follows the data: the end of the message, and the question that is answered when all has arrived."""


def swallow(ready: Connection, size: int) -> None:
    """Take blocks of a known size on any number of connections, one after another; answer each when it is whole."""
    room = bytearray(BUFFER)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            with connection:
                take_blocks(connection, room, size)


def take_blocks(connection: socket.socket, room: bytearray, size: int) -> None:
    """Take blocks until the sender hangs up."""
    whole = len(header(size)) + size + len(END)
    while True:
        left = whole
        while left:
            count = connection.recv_into(room, min(left, BUFFER))
            if count == 0:
                return
            left -= count
        connection.sendall(b"1\n")


def header(size: int) -> bytes:
    """What precedes the data."""
    return b"DATA #%d%d" % (len(str(size)), size)


def raw(port: int, data: bytes) -> Callable[[], None]:
    """Send with nothing in between."""
    connection = socket.create_connection(("127.0.0.1", port))

    def upload() -> None:
        connection.sendall(header(len(data)))
        connection.sendall(data)
        connection.sendall(END)
        connection.recv(2)

    return upload


def ours(port: int, data: bytes) -> Callable[[], None]:
    """Send through our link."""
    link = open_link(f"TCPIP0::127.0.0.1::{port}::SOCKET", timeout=60.0)

    def upload() -> None:
        link.write_block("DATA", data)
        link.ask("DONE?")

    return upload


def plain(port: int, data: bytes) -> Callable[[], None]:
    """Send through pyvisa-py as it is."""
    visa = cast(MessageBasedResource, pyvisa.ResourceManager("@py").open_resource(f"TCPIP0::127.0.0.1::{port}::SOCKET"))
    visa.timeout, visa.read_termination = 60_000, "\n"
    message = header(len(data)) + data + END

    def upload() -> None:
        visa.write_raw(message)
        visa.read_raw()

    return upload


def main() -> None:
    """Print medians and how they compare with a raw socket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256, help="size of the block (%(default)s)")
    data = bytes(parser.parse_args().megabytes * 1_000_000)
    here, there = multiprocessing.Pipe()
    peer = multiprocessing.Process(target=swallow, args=(there, len(data)), daemon=True)
    peer.start()
    port = here.recv()
    rates = {}
    for make in (raw, ours, plain):
        upload = make(port, data)
        rates[make.__name__] = len(data) / statistics.median(seconds(upload) for _ in range(ROUNDS))
        del upload
    peer.terminate()
    for name, rate in rates.items():
        print(f"{name:6} {rate / 1e6:8.0f} MB/s  {rate / rates['raw']:5.2f} of raw")


def seconds(work: Callable[[], None]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
