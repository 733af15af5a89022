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
NO_SWEEP = Sweep()
"""One point that changes nothing, as most jobs have it."""


def encode_sweep(sweep: Sweep) -> circuits_pb2.Sweep:
    """Give the message of a sweep."""
    along = None if sweep.along is None else _encode_axis(sweep.along)
    return circuits_pb2.Sweep(axes=map(_encode_axis, sweep.axes), along=along)


def decode_sweep(message: circuits_pb2.Sweep) -> Sweep:
    """Read and check a sweep.

    Raises:
        MalformedMessageError: an axis is too long, uneven, or holds a value that is not finite.
    """
    if not message.axes and not message.HasField("along"):
        return NO_SWEEP
    check_count(len(message.axes), where="sweep, number of axes", most=MAX_AXES)
    has_along = message.HasField("along")
    names = sum([len(axis.names) for axis in message.axes]) + (len(message.along.names) if has_along else 0)
    check_count(names, where="sweep, number of names on all axes", most=MAX_NAMES)
    try:
        axes = tuple([_decode_axis(axis, f"sweep axis {index}") for index, axis in enumerate(message.axes)])
        sweep = Sweep(axes=axes, along=_decode_axis(message.along, "sweep, along") if has_along else None)
    except InvalidCircuitError as error:
        raise MalformedMessageError(error.problems) from error
    bindings = 1 if sweep.along is None else sweep.along.values.shape[1]
    check_count(math.prod(sweep.shape) * bindings, where="sweep, number of grid points", least=1, most=MAX_POINTS)
    return sweep


def _encode_axis(axis: SweepAxis) -> circuits_pb2.SweepAxis:
    return circuits_pb2.SweepAxis(names=axis.names, values=pack_column(axis.values, FLOAT64))


def _decode_axis(message: circuits_pb2.SweepAxis, where: str) -> SweepAxis:
    check_count(len(message.names), where=f"{where}, number of names", least=1, most=MAX_NAMES)
    names = tuple([check_text(n, where=f"{where}, name", least=1, most=MAX_PARAMETER_NAME) for n in message.names])
    values = column(message.values, FLOAT64, where=f"{where}, values")
    if len(values) % len(names):
        raise malformed(
            f"{where}, values", f"holds {len(values)} numbers, which {len(names)} names do not share evenly"
        )
    return SweepAxis(names=names, values=values.reshape(len(names), -1))
