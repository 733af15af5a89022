"""Many messages as one blob: each with its length before it (uint32, little-endian)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

_LENGTH = struct.Struct("<I")


def join(pieces: Sequence[bytes]) -> bytes:
    """Put messages into one blob."""
    return b"".join(part for piece in pieces for part in (_LENGTH.pack(len(piece)), piece))


def split(blob: bytes) -> Iterator[bytes]:
    """Take the messages out again, in order. The blob is one that `join` made: the store has checked its hash."""
    start = 0
    while start < len(blob):
        (length,) = _LENGTH.unpack_from(blob, start)
        start += _LENGTH.size
        yield blob[start : start + length]
        start += length
