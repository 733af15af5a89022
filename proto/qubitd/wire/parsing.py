"""Bytes to messages, and the checks that several messages share: texts, times, counts, byte columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from qubitd.core.errors import Problem
from qubitd.wire.errors import MalformedMessageError, malformed
from qubitd.wire.shape import check_fields

MessageT = TypeVar("MessageT", bound=Message)

UINT8 = np.dtype("<u1")
UINT16 = np.dtype("<u2")
UINT32 = np.dtype("<u4")
FLOAT64 = np.dtype("<f8")
SMALL_MESSAGE = 1 << 20
"""Bytes of a message that takes little memory, whatever it holds."""
MAX_PROBLEMS = 20
"""Problems listed of one message; the rest are counted."""


def parse(kind: type[MessageT], data: bytes) -> MessageT:
    """Parse a message; a big one only after its fields were counted.

    Raises:
        MalformedMessageError: the bytes are no such message, or hold too many fields.
    """
    if len(data) > SMALL_MESSAGE:
        check_fields(kind, data)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        name = kind.DESCRIPTOR.name
        raise malformed(name, f"{len(data)} bytes cannot be parsed as qubitd.v1.{name} ({error})") from error


def column(data: bytes, dtype: np.dtype[Any], *, where: str, length: int | None = None) -> NDArray[Any]:
    """Read a packed little-endian column into the machine's own byte order.

    Raises:
        MalformedMessageError: the length is no multiple of the item size, or not the one that is asked for.
    """
    if len(data) % dtype.itemsize:
        raise malformed(where, f"has {len(data)} bytes, which is no multiple of {dtype.itemsize}")
    if length is not None and len(data) != length * dtype.itemsize:
        raise malformed(
            where, f"holds {len(data) // dtype.itemsize} entries; the circuits' operations ask for {length}"
        )
    found = np.frombuffer(data, dtype=dtype)
    return found if dtype.isnative else found.astype(dtype.newbyteorder("="))


def pack_column(values: NDArray[Any], dtype: np.dtype[Any]) -> bytes:
    """Write a column, little-endian and tightly packed."""
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def check_text(text: str, *, where: str, most: int, least: int = 0) -> str:
    """Give the text back.

    Raises:
        MalformedMessageError: it takes too few or too many bytes.
    """
    size = len(text.encode())
    if not least <= size <= most:
        raise malformed(where, f"takes {size} bytes; the limits are {least} and {most}")
    return text


def check_count(count: int, *, where: str, most: int, least: int = 0) -> int:
    """Give the count back.

    Raises:
        MalformedMessageError: it is outside its limits.
    """
    if not least <= count <= most:
        raise malformed(where, f"is {count}; the limits are {least} and {most}")
    return count


def check_finite(value: float, *, where: str) -> float:
    """Give the value back.

    Raises:
        MalformedMessageError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise malformed(where, f"is {value}, which is not a finite number")
    return value


def refuse_if_any(problems: Sequence[Problem]) -> None:
    """Raise for the problems that were collected.

    Raises:
        MalformedMessageError: there is at least one.
    """
    if len(problems) > MAX_PROBLEMS:
        rest = Problem(where="message", what=f"{len(problems) - MAX_PROBLEMS} more problems")
        problems = [*problems[:MAX_PROBLEMS], rest]
    if problems:
        raise MalformedMessageError(problems)
