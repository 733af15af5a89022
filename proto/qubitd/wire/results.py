"""Results <-> messages, in pieces of at most 1 MiB."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qubitd.core.job import Assignment, ProgramResult, Trace
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, check_finite, column, pack_column
from qubitd.wire.result_parts import (
    BITS,
    IQ,
    PLAYED,
    RESULTS,
    ResultParts,
    UnusualError,
    as_usual,
    framed,
    parse_rest,
    result_parts,
)

MAX_PIECE_BYTES = 1 << 20
MAX_TRACE = 16384
"""Samples of a trace."""
_MAX_COUNT = 2**31 - 1
_COMPLEX64 = np.dtype("<c8")
_SMALL = 4_096
"""Bytes of what the first piece of a stream says beside its data that are remembered."""


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


class ResultsWriter:
    """Writes pieces of results as protobuf would. What neighbours say alike is written once."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        """What the rest says that was written last."""
        self._rest = b""

    def write(self, piece: ProgramResult) -> bytes:
        """Give a serialised `qubitd.v1.ResultsResponse` of one piece; cut a result into `pieces` first."""
        counts = jobs_pb2.ProgramResult(program=piece.program, first_shot=piece.first_shot, shots=piece.shots)
        parts = [counts.SerializeToString()]
        if piece.bits is not None and piece.bits.size:
            parts += framed(BITS, piece.bits.tobytes())
        if piece.iq is not None and piece.iq.size:
            parts += framed(IQ, pack_column(piece.iq, _COMPLEX64))
        parts.append(self._rest_of(piece))
        if piece.played:
            played = (jobs_pb2.PlayedValue(name=name, value=value) for name, value in piece.played)
            parts.append(jobs_pb2.ProgramResult(played=played).SerializeToString())
        return b"".join(framed(RESULTS, b"".join(parts)))

    def _rest_of(self, piece: ProgramResult) -> bytes:
        width = 0 if piece.bits is None else piece.bits.shape[1]
        of = (width, piece.discarded, piece.iq_qubits, piece.iq_clbits, piece.assignment)
        if piece.traces or of != self._of:
            message = jobs_pb2.ProgramResult(
                discarded=piece.discarded,
                iq_qubits=piece.iq_qubits,
                iq_clbits=piece.iq_clbits,
                bytes_per_shot=width,
                assignment=map(_encode_assignment, piece.assignment),
                traces=map(_encode_trace, piece.traces),
            )
            self._of, self._rest = () if piece.traces else of, message.SerializeToString()
        return self._rest


def decode_results(data: bytes) -> list[ProgramResult]:
    """Read the pieces of one message as `ResultsReader` does.

    Raises:
        MalformedMessageError: as there.
    """
    return ResultsReader().read(data)


class ResultsReader:
    """Reads the messages of one stream. Neighbours that state the same errors of readout share them."""

    def __init__(self) -> None:
        self._rest: _Rest | None = None
        """Of the last piece."""

    def read(self, data: bytes) -> list[ProgramResult]:
        """Read the pieces of a serialised `qubitd.v1.ResultsResponse`.

        Bits stay where they came: they cannot be written, and whoever keeps those of one piece keeps the whole message.
        Points are copied, since they are seldom aligned where they came.

        Raises:
            MalformedMessageError: the bytes are no such message, or the data of one piece do not have the shape that
                its counts give.
        """
        try:
            return self._read(data)
        except UnusualError:
            return self._read(as_usual(data))

    def _read(self, data: bytes) -> list[ProgramResult]:
        found: list[ProgramResult] = []
        rest = self._rest
        for parts in result_parts(data):
            played: _Played = ()
            if rest is None or parts[-1] != rest.data:
                rest, played = _read_rest(parts, rest)
            found.append(_decode_piece(data, parts, rest, played))
        self._rest = rest
        return found


class _Rest(NamedTuple):
    """What a piece says beside its counts, its data, and what was played."""

    data: bytes
    """Serialised."""
    message: jobs_pb2.ProgramResult
    width: int
    """Bytes that each shot takes."""
    discarded: int
    iq_qubits: tuple[int, ...]
    iq_clbits: tuple[int, ...]
    assignment: tuple[Assignment, ...]
    traces: tuple[Trace, ...]


_Played = tuple[tuple[str, float], ...]


def _read_rest(parts: ResultParts, before: _Rest | None) -> tuple[_Rest, _Played]:
    """Give what a piece says that does not say what the one before it said, or but for what was played."""
    data, program = parts[-1], parts[0]
    if before is None:
        return _read_small(data, program) if len(data) <= _SMALL else _read_whole(data, None, program)
    if data.startswith(before.data):
        own = data[len(before.data) :]
        if own[0] == PLAYED:
            return before, _decode_played(parse_rest(own), program)
    return _read_whole(data, before, program)


@functools.lru_cache(maxsize=64)
def _read_small(data: bytes, program: int) -> tuple[_Rest, _Played]:
    """Read what comes again in the streams of jobs that are alike."""
    return _read_whole(data, None, program)


def _read_whole(data: bytes, before: _Rest | None, program: int) -> tuple[_Rest, _Played]:
    message = parse_rest(data)
    played = _decode_played(message, program)
    if played:
        message.ClearField("played")
        data = message.SerializeToString()
    return _decode_rest(data, message, before, program), played


def _decode_rest(data: bytes, message: jobs_pb2.ProgramResult, before: _Rest | None, program: int) -> _Rest:
    iq_qubits, iq_clbits = tuple(message.iq_qubits), tuple(message.iq_clbits)
    if len(iq_clbits) != len(iq_qubits):
        what = f"names {len(iq_clbits)} bits, {len(iq_qubits)} qubits"
        raise malformed(f"{_where(program)}, iq_clbits", what)
    if before is not None and message.assignment == before.message.assignment:
        assignment = before.assignment
    else:
        assignment = tuple([_decode_assignment(one, program) for one in message.assignment])
    traces = tuple([_decode_trace(one, program) for one in message.traces])
    return _Rest(data, message, message.bytes_per_shot, message.discarded, iq_qubits, iq_clbits, assignment, traces)


def _decode_piece(data: bytes, parts: ResultParts, rest: _Rest, played: _Played) -> ProgramResult:
    program, first_shot, shots, bits_at, bits_size, iq_at, iq_size, _ = parts
    _, _, width, discarded, iq_qubits, iq_clbits, assignment, traces = rest
    if not 1 <= shots <= _MAX_COUNT or discarded > shots:
        check_count(shots, where=f"{_where(program)}, shots", least=1, most=_MAX_COUNT)
        check_count(discarded, where=f"{_where(program)}, discarded", most=shots)
    kept, bits, iq = shots - discarded, None, None
    has_iq = bool(iq_qubits) and not traces
    if has_iq:
        iq = _decode_iq(data[iq_at : iq_at + iq_size], kept, len(iq_qubits), program)
    if not traces and (not has_iq or width or bits_size):
        if bits_size != kept * width:
            what = f"has {bits_size} bytes for {kept} shots of {width} bytes"
            raise malformed(f"{_where(program)}, bits", what)
        bits = np.ndarray((kept, width), np.uint8, data, bits_at)
    return ProgramResult(
        program=program,
        first_shot=first_shot,
        shots=shots,
        discarded=discarded,
        bits=bits,
        iq=iq,
        iq_qubits=iq_qubits if has_iq else (),
        iq_clbits=iq_clbits if has_iq else (),
        assignment=assignment,
        traces=traces,
        played=played,
    )


def _where(program: int) -> str:
    return f"result of program {program}"


def _decode_iq(data: bytes, kept: int, columns: int, program: int) -> NDArray[np.complex64]:
    iq = column(data, _COMPLEX64, where=f"{_where(program)}, iq")
    if len(iq) not in (min(kept, 1) * columns, columns * kept):
        raise malformed(f"{_where(program)}, iq", f"holds {len(iq)} points for {kept} shots of {columns} measurements")
    return iq.reshape(-1, columns)


def _decode_played(message: jobs_pb2.ProgramResult, program: int) -> _Played:
    played = tuple([(one.name, one.value) for one in message.played])
    for name, value in played:
        if not math.isfinite(value):
            check_finite(value, where=f"{_where(program)}, {name}")
    return played


def _is_per_shot(result: ProgramResult) -> bool:
    return all(len(array) == result.kept for array in (result.bits, result.iq) if array is not None)


def _encode_assignment(one: Assignment) -> jobs_pb2.Assignment:
    return jobs_pb2.Assignment(
        clbit=one.clbit,
        qubit=one.qubit,
        prob_meas1_prep0=one.prob_meas1_prep0,
        prob_meas0_prep1=one.prob_meas0_prep1,
    )


def _decode_assignment(message: jobs_pb2.Assignment, program: int) -> Assignment:
    wrong1, wrong0 = message.prob_meas1_prep0, message.prob_meas0_prep1
    if not (math.isfinite(wrong1) and math.isfinite(wrong0)):
        check_finite(wrong1, where=f"{_where(program)}, prob_meas1_prep0")
        check_finite(wrong0, where=f"{_where(program)}, prob_meas0_prep1")
    return Assignment(clbit=message.clbit, qubit=message.qubit, prob_meas1_prep0=wrong1, prob_meas0_prep1=wrong0)


def _encode_trace(trace: Trace) -> jobs_pb2.Trace:
    return jobs_pb2.Trace(qubits=trace.qubits, samples=pack_column(trace.samples, _COMPLEX64))


def _decode_trace(message: jobs_pb2.Trace, program: int) -> Trace:
    samples = column(message.samples, _COMPLEX64, where=f"{_where(program)}, trace")
    check_count(len(samples), where=f"{_where(program)}, samples of a trace", most=MAX_TRACE)
    return Trace(qubits=tuple(message.qubits), samples=samples)
