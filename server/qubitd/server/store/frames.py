"""Many messages as one blob: each with its length before it (uint32, little-endian)."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Iterator, Sequence
from io import BytesIO
from typing import BinaryIO

_LENGTH = struct.Struct("<I")


def join(pieces: Sequence[bytes]) -> bytes:
    """Put messages into one blob."""
    return b"".join(part for piece in pieces for part in (_LENGTH.pack(len(piece)), piece))


def split(blob: bytes) -> Generator[bytes]:
    """Take the messages out again, in order. The blob is one that `join` made: the store has checked its hash."""
    return read_pieces(BytesIO(blob))


def merged(messages: Iterable[bytes], *, most: int) -> Iterator[bytes]:
    """Make few messages of many that hold nothing but repeated fields: put together they are one that holds all of it.

    Args:
        messages: serialised, in order.
        most: bytes that are put together; a longer one stays alone.
    """
    waiting: list[bytes] = []
    size = 0
    for message in messages:
        if waiting and size + len(message) > most:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(message)
        size += len(message)
    if waiting:
        yield b"".join(waiting)


def read_pieces(file: BinaryIO) -> Generator[bytes]:
    """Read the messages of such a blob from a file, one at a time."""
    while head := file.read(_LENGTH.size):
        yield file.read(_LENGTH.unpack(head)[0])
