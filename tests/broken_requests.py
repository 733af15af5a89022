"""Requests that are right but for one field: what a parser meets behind its first checks.

A field is broken at any depth, also in the table of steps, which travels as bytes and whose hash is then made right
again. One in five is broken below the fields: cut, nested, of the wrong type, too long a number.
"""

from __future__ import annotations

import hashlib
import math
import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.specs import Submission, encode_submission

Site = tuple[Message, Any]
"""A message and one of its fields."""
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), -1, 0, 1, 2, 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), -1, 0, 1, 2, 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2, 17, 65_536, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2, 2**32, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 1, 2, 99, -1, 2**31 - 1),
}
_FLOATS = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 0.0, -1.0)
_TEXTS = ("", " ", "\0", "x" * 200, "é" * 70, "x" * 70_000, "line5", "no such", "q0.t1", "rz", "if", "end", "\ud7ff")
_ZERO: dict[int, Any] = {FieldDescriptor.CPPTYPE_STRING: "", FieldDescriptor.CPPTYPE_BOOL: False}
_MOST_COPIES = 400_000
"""Bytes that copies of one message may take."""


def rich_request(*, key: str, rows: int = 3) -> jobs_pb2.SubmitRequest:
    """Give a job that uses every part of the wire form, with so many rows of bindings."""
    condition = Condition(clbits=(0, 1), truth=0b0110, text="c == 1 or 2")
    looped = CircuitBuilder(name="looped", num_qubits=5, num_clbits=3)
    looped.add("sx", 0).add("rz", 1, params=(0.5,)).add("cz", 0, 1).measure(0, 0).measure(1, 1)
    looped.if_(condition).add("x", 2).else_().delay(2, 1e-7).end()
    again = Condition(clbits=(2,), truth=0b10, text="c[2]")
    looped.for_(3).add("sx", 3).break_().end().measure(2, 2).while_(again, most=2).measure(2, 2).end()
    bound = CircuitBuilder(name="bound", num_qubits=5, num_clbits=1)
    for column in range(20):
        bound.add("rz", 0, params=(FromColumn(column=column),)).add("sx", 0)
    bound.measure(0, 0).bind(np.linspace(-3.0, 3.0, rows * 20).reshape(rows, 20))
    axis = SweepAxis(names=("q0.sx.amplitude", "q3.sx.amplitude"), values=np.array([[0.1, 0.2], [0.1, 0.2]]))
    spec = JobSpec(
        batch=pack([looped, bound]),
        sweep=Sweep(axes=(axis,)),
        shots=10,
        seed_simulator=7,
        tags=("one", "two"),
        client_data=b"names",
    )
    request = encode_submission(Submission(key=key, backend="line5", spec=spec))
    table = request.spec.batch.step_table
    table.sha256 = hashlib.sha256(table.content).digest()
    return request


def broken(request: Message, chance: random.Random) -> bytes:
    """Give the bytes of a request with one thing wrong."""
    copy = type(request)()
    copy.CopyFrom(request)
    if chance.random() < 0.2 or not copy.DESCRIPTOR.fields:
        return _broken_below(copy.SerializeToString(), chance)
    batch = _batch_of(copy)
    if batch is None:
        _break_one(list(_sites(copy)), chance)
        return copy.SerializeToString()
    steps = circuits_pb2.StepTable.FromString(batch.step_table.content)
    in_table = list(_sites(steps))
    if chance.random() < 0.25:
        _break_one(in_table, chance)
        batch.step_table.content = steps.SerializeToString()
        batch.step_table.sha256 = hashlib.sha256(batch.step_table.content).digest()
    else:
        _break_one(list(_sites(copy)), chance)
    return copy.SerializeToString()


def _batch_of(message: Message) -> circuits_pb2.CircuitBatch | None:
    return message.spec.batch if isinstance(message, jobs_pb2.SubmitRequest | jobs_pb2.ExplainRequest) else None


def _sites(message: Message) -> Iterator[Site]:
    """Give every field at every depth."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = getattr(message, field.name)
            if field.is_repeated:
                for one in inner:
                    yield from _sites(one)
            elif message.HasField(field.name):
                yield from _sites(inner)


def _break_one(sites: Sequence[Site], chance: random.Random) -> None:
    """Break a field; each name has the same chance, however often it occurs."""
    name = chance.choice(sorted({field.full_name for _, field in sites}))
    message, field = chance.choice([site for site in sites if site[1].full_name == name])
    if field.is_repeated:
        _break_list(getattr(message, field.name), field, chance)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if chance.random() < 0.5:
            message.ClearField(field.name)
        else:
            inner = getattr(message, field.name)
            inner.Clear()
            inner.SetInParent()
    elif chance.random() < 0.1:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _other(getattr(message, field.name), field, chance))


def _break_list(entries: Any, field: FieldDescriptor, chance: random.Random) -> None:
    old = list(entries)
    del entries[:]
    match chance.randrange(5):
        case 0:
            pass
        case 1:
            entries.extend(old[:-1])
        case 2:
            entries.extend(reversed(old))
        case 3:
            copies = min(chance.choice((1, 40, 70_000)), _MOST_COPIES // _size(old))
            entries.extend([*old, *old[-1:] * copies])
        case _ if field.type == FieldDescriptor.TYPE_MESSAGE:
            entries.extend([*old, type(old[0])()] if old else old)
        case _:
            entries.extend([*old, _other(old[-1] if old else _ZERO.get(field.cpp_type, 0), field, chance)])


def _size(entries: list[Any]) -> int:
    """Give about the bytes that one more of them takes."""
    if not entries:
        return 1
    return 2 + (entries[-1].ByteSize() if isinstance(entries[-1], Message) else len(str(entries[-1])))


def _other(value: Any, field: FieldDescriptor, chance: random.Random) -> Any:
    """Give another value of a field that holds no message."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _other_bytes(bytes(value), chance)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return chance.choice(_TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return not value
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return chance.choice(_FLOATS)
    return chance.choice([number for number in (*_INTEGERS[field.cpp_type], int(value) + 1) if number != value])


def _other_bytes(column: bytes, chance: random.Random) -> bytes:
    """Break a column of numbers of any width."""
    width = chance.choice((1, 2, 4, 8))
    at = chance.randrange(max(1, len(column) // width)) * width
    match chance.randrange(7):
        case 0:
            return b""
        case 1:
            return column[:-width]
        case 2:
            return column + column[-width:]
        case 3:
            return column[:at] + b"\xff" * width + column[at + width :]
        case 4:
            return column[:at] + struct.pack("<d", chance.choice(_FLOATS))[-width:] + column[at + width :]
        case 5:
            return column + b"\0"
        case _:
            return column * min(1 + 200_000 // max(1, len(column)), 5_000)


def _broken_below(data: bytes, chance: random.Random) -> bytes:
    """Break what lies below the fields."""
    at = chance.randrange(len(data) + 1)
    match chance.randrange(7):
        case 0:
            return data[:at]
        case 1:
            return data + b"\x0b" * chance.choice((50, 5_000)) + b"\x0c"
        case 2:
            return data + b"\x0a" + b"\xff" * 9 + b"\x01"
        case 3:
            return data + b"\x1a\xff\xff\xff\xff\x0f"
        case 4:
            return _nested(chance.choice((90, 3_000)))
        case 5:
            return data[:at] + chance.randbytes(8) + data[at:]
        case _:
            return data + bytes([chance.randrange(8) + 8 * chance.randrange(1, 16)]) + chance.randbytes(5)


def _nested(depth: int) -> bytes:
    """Give field 3 inside field 3 inside field 3."""
    data = b""
    for _ in range(depth):
        length = len(data)
        size = bytearray()
        while length > 127:
            size.append(length & 127 | 128)
            length >>= 7
        data = b"\x1a" + bytes([*size, length]) + data
    return data
