"""A job's own envelopes and kernels <-> messages. Their samples are tables: sent once, then named by hash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qubitd.core.envelope import MAX_LENGTH
from qubitd.core.job import OwnEnvelope
from qubitd.v1 import circuits_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import FLOAT64, check_count, check_text, column, pack_column
from qubitd.wire.tables import MAX_TABLE_BYTES, content_of

MAX_ENVELOPES = 1_024
MAX_NAME = 128


def encode_envelopes(envelopes: Sequence[OwnEnvelope]) -> list[circuits_pb2.Envelope]:
    """Give their messages."""
    return [circuits_pb2.Envelope(name=one.name, samples=_table(one)) for one in envelopes]


def _table(envelope: OwnEnvelope) -> circuits_pb2.Table:
    pairs = np.ascontiguousarray(envelope.samples, dtype=np.complex128).view(np.float64)
    return circuits_pb2.Table(content=pack_column(pairs, FLOAT64))


def decode_envelopes(messages: Sequence[circuits_pb2.Envelope]) -> tuple[OwnEnvelope, ...]:
    """Read and check them; whether the device has such gates is not known here.

    Raises:
        MalformedMessageError: there are too many, or two of one name, or one has no samples, too many or a wild one.
    """
    if not messages:
        return ()
    check_count(len(messages), where="number of envelopes", most=MAX_ENVELOPES)
    content = sum(len(message.samples.content) for message in messages)
    check_count(content, where="envelopes, bytes of samples in all", most=MAX_TABLE_BYTES)
    found = tuple(map(_decode, messages))
    names = [one.name for one in found]
    for name in {name for name in names if names.count(name) > 1}:
        raise malformed(f"envelopes, {name}", "comes twice; give one")
    return found


def _decode(message: circuits_pb2.Envelope) -> OwnEnvelope:
    name = check_text(message.name, where="envelopes, name", least=1, most=MAX_NAME)
    where = f"envelopes, {name}"
    pairs = column(content_of(message.samples, where=where), FLOAT64, where=where)
    check_count(len(pairs) // 2, where=f"{where}, samples", least=1, most=MAX_LENGTH)
    if len(pairs) % 2:
        raise malformed(where, f"holds {len(pairs)} numbers; a sample is two of them")
    samples = pairs.astype(np.float64).view(np.complex128)
    for i in np.flatnonzero(~(np.abs(samples) <= 1 + 1e-12))[:1].tolist():
        raise malformed(f"{where}, sample {i}", f"is {samples[i]}; its magnitude is at most 1")
    return OwnEnvelope(name=name, samples=samples)
