"""Results <-> messages, in pieces of at most 1 MiB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from qubitd.core.job import ProgramResult
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, column, pack_column

MAX_PIECE_BYTES = 1 << 20
_MAX_COUNT = 2**31 - 1
_COMPLEX64 = np.dtype("<c8")


def pieces(result: ProgramResult, *, most: int = MAX_PIECE_BYTES) -> Iterator[ProgramResult]:
    """Cut a result between shots so that no piece holds more than `most` bytes, one shot at least."""
    data = result.iq if result.bits is None else result.bits
    if data is None or data.nbytes <= most or len(data) != result.shots:
        yield result
        return
    step = max(1, most // (data.nbytes // len(data)))
    for start in range(0, result.shots, step):
        end = min(start + step, result.shots)
        yield replace(
            result,
            first_shot=result.first_shot + start,
            shots=end - start,
            bits=None if result.bits is None else result.bits[start:end],
            iq=None if result.iq is None else result.iq[start:end],
        )


def encode_result(result: ProgramResult) -> jobs_pb2.ProgramResult:
    """Give the message of a result; cut it into `pieces` first."""
    message = jobs_pb2.ProgramResult(
        program=result.program,
        first_shot=result.first_shot,
        shots=result.shots,
        iq_qubits=result.iq_qubits,
        iq_clbits=result.iq_clbits,
    )
    if result.iq is not None:
        message.iq = pack_column(result.iq, _COMPLEX64)
    if result.bits is not None:
        message.bits = result.bits.tobytes()
        message.bytes_per_shot = result.bits.shape[1]
    return message


def decode_result(message: jobs_pb2.ProgramResult) -> ProgramResult:
    """Read a result.

    Raises:
        MalformedMessageError: the data do not have the shape that the counts give.
    """
    where = f"result of program {message.program}"
    shots = check_count(message.shots, where=f"{where}, shots", least=1, most=_MAX_COUNT)
    empty = ProgramResult(program=message.program, first_shot=message.first_shot, shots=shots)
    if len(message.iq_clbits) != len(message.iq_qubits):
        raise malformed(f"{where}, iq_clbits", f"names {len(message.iq_clbits)} bits, {len(message.iq_qubits)} qubits")
    if len(message.iq_qubits):
        return _with_iq(empty, message, where)
    return _with_bits(empty, message, where)


def _with_iq(empty: ProgramResult, message: jobs_pb2.ProgramResult, where: str) -> ProgramResult:
    columns = len(message.iq_qubits)
    iq = column(message.iq, _COMPLEX64, where=f"{where}, iq")
    if len(iq) not in (columns, columns * empty.shots):
        raise malformed(f"{where}, iq", f"holds {len(iq)} points for {empty.shots} shots of {columns} measurements")
    return replace(
        empty,
        iq=iq.reshape(-1, columns),
        iq_qubits=tuple(message.iq_qubits),
        iq_clbits=tuple(message.iq_clbits),
    )


def _with_bits(empty: ProgramResult, message: jobs_pb2.ProgramResult, where: str) -> ProgramResult:
    width = message.bytes_per_shot
    if len(message.bits) != empty.shots * width:
        raise malformed(f"{where}, bits", f"has {len(message.bits)} bytes for {empty.shots} shots of {width} bytes")
    if width == 0:
        return replace(empty, bits=np.zeros((empty.shots, 0), dtype=np.uint8))
    return replace(empty, bits=np.frombuffer(message.bits, dtype=np.uint8).reshape(empty.shots, width))
