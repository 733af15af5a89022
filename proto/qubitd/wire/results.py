"""Results <-> messages, in pieces of at most 1 MiB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qubitd.core.job import Assignment, ProgramResult, Trace
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, check_finite, column, pack_column

MAX_PIECE_BYTES = 1 << 20
MAX_TRACE = 16384
"""Samples of a trace."""
_MAX_COUNT = 2**31 - 1
_COMPLEX64 = np.dtype("<c8")


def pieces(result: ProgramResult, *, most: int = MAX_PIECE_BYTES) -> Iterator[ProgramResult]:
    """Cut a result between shots so that no piece holds more than `most` bytes, one shot at least.

    The discarded shots go with the first piece.
    """
    size = sum(array.nbytes for array in (result.bits, result.iq) if array is not None)
    if size <= most or not _is_per_shot(result):
        yield result
        return
    step = max(1, most // (size // result.kept))
    discarded, first_shot = result.discarded, result.first_shot
    for start in range(0, result.kept, step):
        end = min(start + step, result.kept)
        yield replace(
            result,
            first_shot=first_shot,
            shots=end - start + discarded,
            discarded=discarded,
            bits=None if result.bits is None else result.bits[start:end],
            iq=None if result.iq is None else result.iq[start:end],
        )
        first_shot += end - start + discarded
        discarded = 0


def encode_result(result: ProgramResult) -> jobs_pb2.ProgramResult:
    """Give the message of a result; cut it into `pieces` first."""
    message = jobs_pb2.ProgramResult(
        program=result.program,
        first_shot=result.first_shot,
        shots=result.shots,
        discarded=result.discarded,
        iq_qubits=result.iq_qubits,
        iq_clbits=result.iq_clbits,
        assignment=map(_encode_assignment, result.assignment),
        traces=map(_encode_trace, result.traces),
        played=(jobs_pb2.PlayedValue(name=name, value=value) for name, value in result.played),
    )
    if result.iq is not None:
        message.iq = pack_column(result.iq, _COMPLEX64)
    if result.bits is not None:
        message.bits = result.bits.tobytes()
        message.bytes_per_shot = result.bits.shape[1]
    return message


def decode_results(message: jobs_pb2.ResultsResponse) -> list[ProgramResult]:
    """Read the pieces of a message. Neighbours that state the same errors of readout share them.

    Raises:
        MalformedMessageError: the data of one do not have the shape that the counts give.
    """
    found: list[ProgramResult] = []
    before: jobs_pb2.ProgramResult | None = None
    for one in message.results:
        is_same = before is not None and one.assignment == before.assignment
        found.append(decode_result(one, assignment=found[-1].assignment if is_same else None))
        before = one
    return found


def decode_result(
    message: jobs_pb2.ProgramResult, *, assignment: tuple[Assignment, ...] | None = None
) -> ProgramResult:
    """Read a piece.

    Args:
        message: what came.
        assignment: what is known to be its own, so that it need not be read again.

    Raises:
        MalformedMessageError: the data do not have the shape that the counts give.
    """
    shots, discarded = message.shots, message.discarded
    if not 1 <= shots <= _MAX_COUNT or discarded > shots:
        check_count(shots, where=f"{_where(message)}, shots", least=1, most=_MAX_COUNT)
        check_count(discarded, where=f"{_where(message)}, discarded", most=shots)
    iq_qubits, iq_clbits = tuple(message.iq_qubits), tuple(message.iq_clbits)
    if len(iq_clbits) != len(iq_qubits):
        what = f"names {len(iq_clbits)} bits, {len(iq_qubits)} qubits"
        raise malformed(f"{_where(message)}, iq_clbits", what)
    traces = tuple([_decode_trace(one, _where(message)) for one in message.traces])
    has_iq = bool(iq_qubits) and not traces
    has_bits = not traces and bool(not has_iq or message.bytes_per_shot or message.bits)
    if assignment is None:
        assignment = tuple([_decode_assignment(one, _where(message)) for one in message.assignment])
    return ProgramResult(
        program=message.program,
        first_shot=message.first_shot,
        shots=shots,
        discarded=discarded,
        bits=_decode_bits(message, shots - discarded) if has_bits else None,
        iq=_decode_iq(message, shots - discarded) if has_iq else None,
        iq_qubits=iq_qubits if has_iq else (),
        iq_clbits=iq_clbits if has_iq else (),
        assignment=assignment,
        traces=traces,
        played=tuple([_decode_played(one, _where(message)) for one in message.played]),
    )


def _where(message: jobs_pb2.ProgramResult) -> str:
    return f"result of program {message.program}"


def _decode_played(message: jobs_pb2.PlayedValue, where: str) -> tuple[str, float]:
    return message.name, check_finite(message.value, where=f"{where}, {message.name}")


def _is_per_shot(result: ProgramResult) -> bool:
    return all(len(array) == result.kept for array in (result.bits, result.iq) if array is not None)


def _encode_assignment(one: Assignment) -> jobs_pb2.Assignment:
    return jobs_pb2.Assignment(
        clbit=one.clbit,
        qubit=one.qubit,
        prob_meas1_prep0=one.prob_meas1_prep0,
        prob_meas0_prep1=one.prob_meas0_prep1,
    )


def _decode_assignment(message: jobs_pb2.Assignment, where: str) -> Assignment:
    return Assignment(
        clbit=message.clbit,
        qubit=message.qubit,
        prob_meas1_prep0=check_finite(message.prob_meas1_prep0, where=f"{where}, prob_meas1_prep0"),
        prob_meas0_prep1=check_finite(message.prob_meas0_prep1, where=f"{where}, prob_meas0_prep1"),
    )


def _encode_trace(trace: Trace) -> jobs_pb2.Trace:
    return jobs_pb2.Trace(qubits=trace.qubits, samples=pack_column(trace.samples, _COMPLEX64))


def _decode_trace(message: jobs_pb2.Trace, where: str) -> Trace:
    samples = column(message.samples, _COMPLEX64, where=f"{where}, trace")
    check_count(len(samples), where=f"{where}, samples of a trace", most=MAX_TRACE)
    return Trace(qubits=tuple(message.qubits), samples=samples)


def _decode_iq(message: jobs_pb2.ProgramResult, kept: int) -> NDArray[np.complex64]:
    columns, where = len(message.iq_qubits), _where(message)
    iq = column(message.iq, _COMPLEX64, where=f"{where}, iq")
    if len(iq) not in (min(kept, 1) * columns, columns * kept):
        raise malformed(f"{where}, iq", f"holds {len(iq)} points for {kept} shots of {columns} measurements")
    return iq.reshape(-1, columns)


def _decode_bits(message: jobs_pb2.ProgramResult, kept: int) -> NDArray[np.uint8]:
    width, data = message.bytes_per_shot, message.bits
    if len(data) != kept * width:
        raise malformed(f"{_where(message)}, bits", f"has {len(data)} bytes for {kept} shots of {width} bytes")
    return np.frombuffer(data, dtype=np.uint8).reshape(kept, width)
