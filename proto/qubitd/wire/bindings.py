"""Bindings <-> messages: the rows of values that a parameterised circuit is run with."""

from __future__ import annotations

import numpy as np

from qubitd.core.bindings import Bindings
from qubitd.v1 import circuits_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, column, pack_column

MAX_COLUMNS = 65_536
MAX_BINDINGS = 1_000_000

_UINT32 = np.dtype("<u4")
_FLOAT64 = np.dtype("<f8")


def encode_bindings(bindings: Bindings) -> circuits_pb2.Bindings:
    """Give the message of a circuit's bindings."""
    return circuits_pb2.Bindings(
        positions=pack_column(bindings.positions, _UINT32),
        columns=pack_column(bindings.columns, _UINT32),
        num_columns=bindings.values.shape[1],
        values=pack_column(bindings.values, _FLOAT64),
    )


def decode_bindings(message: circuits_pb2.Bindings) -> Bindings:
    """Read and check a circuit's bindings, as far as they can be checked without the circuit.

    Raises:
        MalformedMessageError: the columns do not fit each other, or hold a value that is not finite.
    """
    num_columns = check_count(message.num_columns, where="bindings, num_columns", least=1, most=MAX_COLUMNS)
    positions = column(message.positions, _UINT32, where="bindings, positions")
    columns = column(message.columns, _UINT32, where="bindings, columns")
    values = column(message.values, _FLOAT64, where="bindings, values")
    if len(columns) != len(positions):
        raise malformed("bindings, columns", f"holds {len(columns)} entries for {len(positions)} positions")
    if (positions[1:] <= positions[:-1]).any():
        raise malformed("bindings, positions", "does not ascend; give each position once, in order")
    if len(columns):
        check_count(int(columns.max()), where="bindings, largest column", most=num_columns - 1)
    if len(values) % num_columns:
        raise malformed("bindings, values", f"holds {len(values)} numbers, which is no multiple of {num_columns}")
    check_count(len(values) // num_columns, where="bindings, number of rows", least=1, most=MAX_BINDINGS)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        row, place = divmod(int(wrong[0]), num_columns)
        what = f"row {row}, column {place} is {values[wrong[0]]}; give a finite number"
        raise malformed("bindings, values", what)
    return Bindings(positions=positions, columns=columns, values=values.reshape(-1, num_columns))
