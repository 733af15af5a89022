"""Definite-length blocks of IEEE 488.2, `#<k><k digits: byte count><bytes>`: read by count, never by terminator."""

from __future__ import annotations

MAX_BLOCK = 999_999_999
"""Bytes that nine digits can announce."""


def block_header(count: int) -> bytes:
    """Give what precedes the bytes of a block.

    Raises:
        ValueError: more bytes than a block can announce.
    """
    if not 0 <= count <= MAX_BLOCK:
        raise ValueError(f"a block of {count} bytes; at most {MAX_BLOCK} fit, send it in parts")
    digits = str(count)
    return f"#{len(digits)}{digits}".encode("ascii")


def header_digits(start: bytes) -> int:
    """Read the first two bytes of a block: how many digits its byte count has.

    Raises:
        ValueError: these bytes do not begin a definite-length block.
    """
    if len(start) != 2 or start[:1] != b"#" or not b"1" <= start[1:] <= b"9":
        raise ValueError(f"{start!r} does not begin a definite-length block")
    return start[1] - ord("0")


def block_count(digits: bytes) -> int:
    """Read a block's byte count.

    Raises:
        ValueError: not digits.
    """
    if not digits.isdigit():
        raise ValueError(f"{digits!r} is not the byte count of a block")
    return int(digits)
