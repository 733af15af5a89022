"""How many fields bytes hold, counted before they are parsed: a parsed field takes many times its two bytes.

Only the framing is read. What is no message at all is left to the parser, but for groups, which hide what they hold.
"""

from __future__ import annotations

from google.protobuf.message import Message

from qubitd.wire.errors import malformed

MAX_FIELDS = 200_000
"""Fields of a message, with those of the messages in it: the largest legal job has about a hundred thousand."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10


def check_fields(kind: type[Message], data: bytes, *, most: int = MAX_FIELDS) -> None:
    """Make sure that a message is not made of countless small fields.

    Raises:
        MalformedMessageError: it holds too many, or a group.
    """
    count = 0
    waiting = [(kind.DESCRIPTOR, 0, len(data))]
    while waiting:
        within, at, end = waiting.pop()
        while at < end:
            count += 1
            if count > most:
                raise malformed(kind.DESCRIPTOR.name, f"holds more than {most} fields; split the request")
            tag, at = _varint(data, at, end)
            wire_type = tag & 7
            if wire_type == _BYTES:
                length, at = _varint(data, at, end)
                field = within.fields_by_number.get(tag >> 3)
                if field is not None and field.message_type is not None and at + length <= end:
                    waiting.append((field.message_type, at, at + length))
                at += length
            elif wire_type == _VARINT:
                _, at = _varint(data, at, end)
            elif wire_type in _FIXED:
                at += _FIXED[wire_type]
            else:
                what = f"holds a field of wire type {wire_type}, which qubitd.v1 does not use"
                raise malformed(kind.DESCRIPTOR.name, what)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Give a number and where it ends; what is cut off counts as its own end."""
    value = shift = 0
    while at < end and shift < 7 * _LONGEST_VARINT:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return value, end
