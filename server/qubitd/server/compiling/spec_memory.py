"""What small jobs ask for, by their bytes: read once, however often the same bytes come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from qubitd.compiler.memory import entries_of_all
from qubitd.core.job import JobSpec
from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec

MOST_REMEMBERED_BYTES = 2**14
"""Bytes of a job that is remembered."""
MOST_REMEMBERED_ENTRIES = 2**14
"""Entries of its circuits: a step of few bytes may stand for many operations on many qubits."""
_REMEMBERED = 64
"""Jobs; the one that was asked for longest ago is forgotten first."""


class SpecMemory:
    """The jobs that were read lately. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._specs: OrderedDict[bytes, JobSpec] = OrderedDict()

    def __len__(self) -> int:
        return len(self._specs)

    def of_message(self, message: jobs_pb2.JobSpec, data: bytes) -> JobSpec:
        """Read and check a message, of which these are the bytes.

        Raises:
            MalformedMessageError: as for `decode_spec`.
        """
        if len(data) > MOST_REMEMBERED_BYTES:
            return decode_spec(message)
        return self._read(data, lambda: decode_spec(message))

    def of_bytes(self, data: bytes) -> JobSpec:
        """Read and check the bytes of a message.

        Raises:
            MalformedMessageError: as for `decode_spec`.
        """

        def decoded() -> JobSpec:
            return decode_spec(parse(jobs_pb2.JobSpec, data))

        return decoded() if len(data) > MOST_REMEMBERED_BYTES else self._read(data, decoded)

    def _read(self, data: bytes, decode: Callable[[], JobSpec]) -> JobSpec:
        with self._lock:
            known = self._specs.get(data)
            if known is not None:
                self._specs.move_to_end(data)
                return known
        spec = decode()
        if entries_of_all(spec.batch) > MOST_REMEMBERED_ENTRIES:
            return spec
        with self._lock:
            self._specs[data] = spec
            if len(self._specs) > _REMEMBERED:
                self._specs.popitem(last=False)
        return spec
