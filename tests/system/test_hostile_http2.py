"""Connections that speak HTTP/2 well enough to be let in, and then break what lies between it and a message: the daemon
ends them, keeps its memory, and goes on.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from tests.broken_requests import rich_request
from tests.watched import Watched

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import QubitdClient

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
TIMES, MANY_TIMES = 5, 40
"""Connections for each story."""
MOST_GROWTH = 128 * 2**20
"""Bytes, after all of them: a heap keeps what tens of thousands of calls given up at once have needed."""
AT_ONCE = 8
HEAD = 9
"""Bytes before the body of a frame: its length, kind, flags and stream."""
HANG = 60.0
QUIET = 0.2
"""Seconds after which a connection on which nothing more comes is closed."""


def frame(kind: int, body: bytes = b"", *, flags: int = 0, stream: int = 0, claimed: int | None = None) -> bytes:
    length = len(body) if claimed is None else claimed
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def literal(name: str, value: str) -> bytes:
    """Write a header without a table and without a code: up to 126 bytes each."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call(stream: int = 1, *, path: str = "/qubitd.v1.Jobs/Submit", more: bytes = b"") -> bytes:
    """Begin a call."""
    named = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    named["content-type"] = "application/grpc"
    block = b"".join(literal(name, value) for name, value in named.items()) + more
    return frame(HEADERS, block, flags=END_HEADERS, stream=stream)


def message(data: bytes, *, packed: int = 0, claimed: int | None = None) -> bytes:
    """Frame a message as gRPC does."""
    return bytes([packed]) + struct.pack(">I", len(data) if claimed is None else claimed) + data


BEGUN = PREFACE + frame(SETTINGS)
REAL = rich_request(key="raw").SerializeToString()


def sent(data: bytes, *, stream: int = 1, ends: bool = True) -> bytes:
    return frame(DATA, data, flags=END_STREAM if ends else 0, stream=stream)


STORIES = {
    "a message that claims 4 GB": BEGUN + call() + sent(message(b"x", claimed=2**32 - 1)),
    "a message that claims what it lacks": BEGUN + call() + sent(message(REAL, claimed=len(REAL) + 1)),
    "a message cut in its length": BEGUN + call() + sent(b"\0\0\0"),
    "a packed message, packed how nobody said": BEGUN + call() + sent(message(REAL, packed=1)),
    "a message with a flag that is none": BEGUN + call() + sent(message(REAL, packed=7)),
    "no message": BEGUN + call() + sent(b""),
    "two messages where one belongs": BEGUN + call() + sent(message(REAL) * 2),
    "a packed message that is noise": BEGUN
    + call(more=literal("grpc-encoding", "gzip"))
    + sent(message(b"\x1f\x8b noise that is no archive", packed=1)),
    "a way of packing that nobody knows": BEGUN
    + call(more=literal("grpc-encoding", "zip"))
    + sent(message(REAL, packed=1)),
    "a deadline that is no number": BEGUN + call(more=literal("grpc-timeout", "soon")) + sent(message(REAL)),
    "calls given up by the thousand": BEGUN
    + b"".join(call(2 * n + 1) + frame(RST_STREAM, bytes(4), stream=2 * n + 1) for n in range(1_000)),
    "streams that never say anything": BEGUN + b"".join(call(2 * n + 1) for n in range(200)),
    "headers without end": BEGUN
    + frame(HEADERS, literal(":method", "POST"), stream=1)
    + frame(CONTINUATION, literal("x", "y" * 100), stream=1) * 3_000,
    "headers that refer to what was never said": BEGUN + frame(HEADERS, b"\xff\xff\xff\x7f", flags=5, stream=1),
    "pings by the thousand": BEGUN + frame(PING, bytes(8)) * 10_000,
    "settings by the thousand": BEGUN + frame(SETTINGS, struct.pack(">HI", 4, 0)) * 3_000,
    "a window that overflows": BEGUN + call() + frame(WINDOW_UPDATE, struct.pack(">I", 2**31 - 1), stream=1) * 3,
    "a frame of 16 MB": BEGUN + call() + frame(DATA, b"x" * 1000, stream=1, claimed=2**24 - 1),
    "data on a stream that is not open": BEGUN + sent(message(REAL), stream=77),
    "a goodbye, and then a call": BEGUN + frame(GOAWAY, bytes(8)) + call() + sent(message(REAL)),
    "no preface": call() + sent(message(REAL)),
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with start_daemon(data_dir=tmp_path / "data") as running:
        yield running


def tell(address: str, story: bytes) -> None:
    """Send bytes, and read until the daemon hangs up or says nothing more."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=QUIET) as connection, suppress(OSError):
        connection.sendall(story)
        while connection.recv(65_536):
            pass


def answer_to(address: str, story: bytes) -> bytes:
    """Send a call, and give the bodies of all frames that come back until its trailers."""
    host, _, port = address.rpartition(":")
    answer, is_over = b"", False
    with socket.create_connection((host, int(port)), timeout=HANG) as connection, connection.makefile("rb") as incoming:
        connection.sendall(story)
        while not is_over:
            head = incoming.read(HEAD)
            assert len(head) == HEAD, "the daemon hung up"
            is_over = head[3] == HEADERS and bool(head[4] & END_STREAM)
            answer += incoming.read(int.from_bytes(head[:3], "big"))
    return answer


def test_a_call_made_by_hand_is_a_call(daemon: DaemonProcess) -> None:
    answer = answer_to(daemon.address, BEGUN + call() + sent(message(REAL)))
    with QubitdClient(daemon.address) as client:
        (job,) = client.list_jobs()
    assert job.job_id.encode() in answer


def test_connections_that_break_the_rules_of_grpc_end_and_nothing_else_does(daemon: DaemonProcess, soak: bool) -> None:
    watched = Watched(daemon)
    with QubitdClient(daemon.address) as client, ThreadPoolExecutor(AT_ONCE) as callers:
        client.lab.drain("noise comes")
        for story in STORIES.values():
            tell(daemon.address, story)
        begun = watched.resident()
        for name, story in STORIES.items():
            times = MANY_TIMES if soak else TIMES
            list(callers.map(tell, [daemon.address] * times, [story] * times))
            assert client.backends() == ("line5",), name
        grown = watched.resident() - begun
        client.lab.resume()
        assert client.list_jobs() == ()
    assert grown < MOST_GROWTH
