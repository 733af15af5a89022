"""Sweeps <-> messages: the grid of calibration parameters that a job steps through."""

from __future__ import annotations

import math

from qubitd.core.errors import InvalidCircuitError
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.v1 import circuits_pb2
from qubitd.wire.errors import MalformedMessageError, malformed
from qubitd.wire.parsing import FLOAT64, check_count, check_text, column, pack_column

MAX_AXES = 8
MAX_NAMES = 1_024
MAX_PARAMETER_NAME = 128
MAX_POINTS = 1_000_000


def encode_sweep(sweep: Sweep) -> circuits_pb2.Sweep:
    """Give the message of a sweep."""
    return circuits_pb2.Sweep(
        axes=[circuits_pb2.SweepAxis(names=axis.names, values=pack_column(axis.values, FLOAT64)) for axis in sweep.axes]
    )


def decode_sweep(message: circuits_pb2.Sweep) -> Sweep:
    """Read and check a sweep.

    Raises:
        MalformedMessageError: an axis is too long, uneven, or holds a value that is not finite.
    """
    check_count(len(message.axes), where="sweep, number of axes", most=MAX_AXES)
    names = sum(len(axis.names) for axis in message.axes)
    check_count(names, where="sweep, number of names on all axes", most=MAX_NAMES)
    try:
        sweep = Sweep(axes=tuple(_decode_axis(axis, index) for index, axis in enumerate(message.axes)))
    except InvalidCircuitError as error:
        raise MalformedMessageError(error.problems) from error
    check_count(math.prod(sweep.shape), where="sweep, number of grid points", least=1, most=MAX_POINTS)
    return sweep


def _decode_axis(message: circuits_pb2.SweepAxis, index: int) -> SweepAxis:
    where = f"sweep axis {index}"
    check_count(len(message.names), where=f"{where}, number of names", least=1, most=MAX_NAMES)
    names = tuple(check_text(n, where=f"{where}, name", least=1, most=MAX_PARAMETER_NAME) for n in message.names)
    values = column(message.values, FLOAT64, where=f"{where}, values")
    if len(values) % len(names):
        raise malformed(
            f"{where}, values", f"holds {len(values)} numbers, which {len(names)} names do not share evenly"
        )
    return SweepAxis(names=names, values=values.reshape(len(names), -1))
