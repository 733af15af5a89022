"""Cuts serialised results into their counts, their data, and the small rest, which is often that of the one before.

Protobuf copies data twice, as it parses and as they are asked for. Here they stay where they came. They are put
together in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import parse

RESULTS = 0x0A
"""Tag of a result in a `ResultsResponse`."""
_PROGRAM, _FIRST_SHOT, _SHOTS, BITS, IQ = 0x08, 0x10, 0x18, 0x22, 0x2A
"""Tags in a result; the rest comes behind them."""
PLAYED = 0x62
"""Tag of what was played: the last field that there is, in whose order protobuf writes."""

ResultParts = tuple[int, int, int, int, int, int, int, bytes]
"""Of a result: `program`, `first_shot`, `shots`; where `bits` begin, how many bytes they take, the same of `iq`; all
other fields, serialised, and whatever stands among them.
"""


class UnusualError(Exception):
    """The bytes are no such message, or are not as protobuf writes it."""


def result_parts(data: bytes) -> Iterator[ResultParts]:
    """Cut a `ResultsResponse` into the parts of each result.

    Raises:
        UnusualError: protobuf has to look at it.
    """
    at = 0
    try:
        while at < len(data):
            if data[at] != RESULTS:
                raise UnusualError
            size, at = _number(data, at + 1)
            if at + size > len(data):
                raise UnusualError
            yield _cut(data, at, at + size)
            at += size
    except IndexError as error:
        raise UnusualError from error


def parse_rest(data: bytes) -> jobs_pb2.ProgramResult:
    """Parse the rest of a result.

    Raises:
        UnusualError: protobuf has to look at the whole.
    """
    try:
        rest = jobs_pb2.ProgramResult.FromString(data)
    except DecodeError as error:
        raise UnusualError from error
    if rest.SerializeToString() != data:  # by number: a count or data would come first, and drop out if they are 0
        raise UnusualError
    return rest


def as_usual(data: bytes) -> bytes:
    """Give a `ResultsResponse` as protobuf writes it, without what this end does not know.

    Raises:
        MalformedMessageError: the bytes are no such message, or hold too many fields.
    """
    message = parse(jobs_pb2.ResultsResponse, data)
    message.DiscardUnknownFields()
    return message.SerializeToString()


def framed(tag: int, content: bytes) -> tuple[bytes, bytes]:
    """Give a field of bytes, the data as they are and what stands before them."""
    head, size = bytearray((tag,)), len(content)
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head), content


def _cut(data: bytes, at: int, end: int) -> ResultParts:
    program = first_shot = shots = bits_at = bits_size = iq_at = iq_size = 0
    while at < end and (tag := data[at]) <= IQ:
        number, at = _number(data, at + 1)
        if tag == _SHOTS:
            shots = number
        elif tag == BITS:
            bits_at, bits_size = at, number
            at += number
        elif tag == _PROGRAM:
            program = number
        elif tag == _FIRST_SHOT:
            first_shot = number
        elif tag == IQ:
            iq_at, iq_size = at, number
            at += number
        else:
            raise UnusualError
    if at > end:
        raise UnusualError
    return program, first_shot, shots, bits_at, bits_size, iq_at, iq_size, data[at:end]


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Give a number and where it ends."""
    number = data[at]
    if number < 0x80:
        return number, at + 1
    number &= 0x7F
    for shift in (7, 14, 21, 28):
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80 and number < 2**32:
            return number, at + 1
    raise UnusualError
