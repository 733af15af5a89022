"""Parameters of circuits as a column: the numbers themselves, or indices into a table of the distinct ones."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from qubitd.v1 import circuits_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import FLOAT64, check_count, column, pack_column
from qubitd.wire.steps import index_type
from qubitd.wire.tables import content_of

MAX_VALUES = 65_536
"""Numbers of a table."""
_SAMPLE = 8_192
"""Numbers that are looked at before it is tried to find all distinct ones."""
_SMALL = 256
"""Numbers that are remembered."""

Floats = NDArray[np.float64]


def encode_params(params: Floats) -> tuple[bytes | None, bytes]:
    """Give the content of the table, if one pays, and the column. Every number comes back bit by bit.

    A few, which come again where a circuit runs again, are remembered.
    """
    bits = np.ascontiguousarray(params, dtype=np.float64).view(np.uint64)
    return _encode_small(bits.tobytes()) if len(bits) <= _SMALL else _encode(bits)


@functools.lru_cache(maxsize=64)
def _encode_small(data: bytes) -> tuple[bytes | None, bytes]:
    return _encode(np.frombuffer(data, dtype=np.uint64))


def _encode(bits: NDArray[np.uint64]) -> tuple[bytes | None, bytes]:
    params = bits.view(np.float64)
    if len(bits) > 2 * _SAMPLE:
        sample = bits[:: len(bits) // _SAMPLE]
        if 2 * len(np.unique(sample)) > len(sample):
            return None, pack_column(params, FLOAT64)
    values = np.unique(bits)
    size = index_type(len(values))
    if len(values) > MAX_VALUES or values.nbytes + len(bits) * size.itemsize >= bits.nbytes:
        return None, pack_column(params, FLOAT64)
    table = pack_column(values.view(np.float64), FLOAT64)
    return table, pack_column(np.searchsorted(values, bits), size)


def decode_params(message: circuits_pb2.CircuitBatch, count: int) -> Floats:
    """Read the column.

    Args:
        message: the batch.
        count: numbers that its operations ask for.

    Raises:
        MalformedMessageError: the column has another length, an index is outside the table, or an entry is no number.
    """
    if not message.HasField("value_table"):
        params: Floats = column(message.params, FLOAT64, where="params", length=count)
        return params
    values: Floats = column(content_of(message.value_table, where="value_table"), FLOAT64, where="value_table")
    check_count(len(values), where="number of values in the table", most=MAX_VALUES)
    for i in np.flatnonzero(~np.isfinite(values))[:1]:
        raise malformed(f"value_table, entry {i}", f"is {values[i]}; give a finite number")
    index = column(message.params, index_type(len(values)), where="params", length=count)
    if len(index):
        check_count(int(index.max()), where="largest index of a value", most=len(values) - 1)
    return values[index.astype(np.intp)] if len(index) else values[:0]
