"""Many messages as one blob: each with its length before it (uint32, little-endian)."""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from io import BytesIO
from typing import BinaryIO

_LENGTH = struct.Struct("<I")


def join(pieces: Sequence[bytes]) -> bytes:
    """Put messages into one blob."""
    return b"".join(part for piece in pieces for part in (_LENGTH.pack(len(piece)), piece))


def split(blob: bytes) -> Generator[bytes]:
    """Take the messages out again, in order. The blob is one that `join` made: the store has checked its hash."""
    return read_pieces(BytesIO(blob))


def read_pieces(file: BinaryIO) -> Generator[bytes]:
    """Read the messages of such a blob from a file, one at a time."""
    while head := file.read(_LENGTH.size):
        yield file.read(_LENGTH.unpack(head)[0])
