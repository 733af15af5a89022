"""Pieces of a result to Qiskit's `Result`: hexadecimal counts and memory, or IQ points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.result.postprocess import format_counts

from qubitd.client import ExecutionSpan
from qubitd.core.job import Assignment, ProgramResult
from qubitd.provider.errors import JobFailedError
from qubitd.provider.headers import CircuitHeader, JobHeader


class Ended(Protocol):
    """What a result tells of its job."""

    @property
    def job_id(self) -> str:
        """Its id."""
        ...

    @property
    def backend(self) -> str:
        """The one that ran it."""
        ...

    @property
    def revision(self) -> int:
        """Calibration revision that it ran under."""
        ...

    @property
    def shots(self) -> int:
        """Of each program."""
        ...

    @property
    def instrument_seconds(self) -> float:
        """Instrument time that it took."""
        ...


class Points(np.ndarray[Any, np.dtype[np.float64]]):
    """IQ points of a result. They are true if there are any, as Qiskit's own lists of points are: its sampler asks."""

    def __bool__(self) -> bool:
        return self.size > 0

    def __array_wrap__(self, array: NDArray[Any], context: object = None, return_scalar: bool = False) -> Any:
        """Give what is worked out of points as what it is: whether two are equal is another question."""
        return array[()] if return_scalar else np.asarray(array)


def build_result(
    job: Ended,
    header: JobHeader,
    pieces: Iterable[ProgramResult],
    *,
    backend_version: str,
    finished_ns: int,
    time_taken: float,
    spans: tuple[ExecutionSpan, ...] = (),
) -> Result:
    """Put a finished job's pieces together, one experiment for each circuit.

    `execution_spans` says which shots of which experiments were played when.

    Raises:
        JobFailedError: a piece is missing.
    """
    experiments = [
        _experiment(ordered, circuit, header)
        for ordered, circuit in zip(gathered(job, header, pieces), header.circuits, strict=True)
    ]
    return Result(
        backend_name=job.backend,
        backend_version=backend_version,
        job_id=job.job_id,
        success=True,
        results=experiments,
        status="COMPLETED",
        date=datetime.fromtimestamp(finished_ns * 1e-9, tz=UTC).isoformat(),
        revision=job.revision,
        time_taken=time_taken,
        instrument_time=job.instrument_seconds,
        execution_spans=[{name: getattr(span, name) for name in ExecutionSpan.__slots__} for span in spans],
    )


def gathered(job: Ended, header: JobHeader, pieces: Iterable[ProgramResult]) -> Iterator[list[ProgramResult]]:
    """Give the pieces of each circuit, by shot. Of thousands of circuits no list is kept: it would be garbage to sift.

    Raises:
        JobFailedError: a piece is missing.
    """
    ordered = sorted(pieces, key=attrgetter("program", "first_shot"))
    end = 0
    for program, circuit in enumerate(header.circuits):
        begin, shots = end, 0
        while end < len(ordered) and ordered[end].program == program:
            shots += ordered[end].shots
            end += 1
        if shots != job.shots:
            name = circuit.fields["name"]
            message = f"the result of circuit {name!r} of job {job.job_id} has {shots} of {job.shots} shots"
            raise JobFailedError(f"{message}; ask the operator for the daemon's log", job_id=job.job_id)
        yield ordered[begin:end]


def packed_rows(job: Ended, header: JobHeader, pieces: Iterable[ProgramResult]) -> list[NDArray[np.uint8]]:
    """Give the outcomes of each circuit, packed as in Qiskit's BitArray: shape (shots, bytes), bit 0 last.

    Raises:
        JobFailedError: a piece is missing.
    """
    return list(map(_rows, gathered(job, header, pieces)))


def _rows(pieces: Sequence[ProgramResult]) -> NDArray[np.uint8]:
    rows = [piece.bits for piece in pieces if piece.bits is not None]
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _experiment(ordered: Sequence[ProgramResult], circuit: CircuitHeader, job: JobHeader) -> ExperimentResult:
    experiment = _readout(ordered, circuit, job)
    experiment.header["discarded_shots"] = sum(piece.discarded for piece in ordered)
    return experiment


def _readout(pieces: Sequence[ProgramResult], circuit: CircuitHeader, job: JobHeader) -> ExperimentResult:
    if pieces[0].traces:
        return _raw(pieces, circuit)
    if pieces[0].bits is None:
        return _kerneled(pieces, circuit, _holds_means(pieces) if job.is_mean is None else job.is_mean)
    return _classified(pieces, circuit, memory=job.memory)


def _raw(pieces: Sequence[ProgramResult], circuit: CircuitHeader) -> ExperimentResult:
    """Traces, one row per feedline; the header's `feedlines` says which qubits each is of."""
    shots = [piece.shots for piece in pieces]
    rows = [
        np.average([piece.traces[i].samples for piece in pieces], axis=0, weights=shots)
        for i in range(len(pieces[0].traces))
    ]
    table = np.zeros((len(rows), max(map(len, rows)), 2))
    for i, row in enumerate(rows):
        table[i, : len(row)] = np.stack([row.real, row.imag], axis=1)
    header = circuit.fields | {"feedlines": [list(trace.qubits) for trace in pieces[0].traces]}
    return ExperimentResult(
        shots=sum(shots),
        success=True,
        data=ExperimentResultData(memory=table.view(Points)),
        meas_level=0,
        meas_return="avg",
        status="DONE",
        header=header,
    )


def _classified(pieces: Sequence[ProgramResult], circuit: CircuitHeader, *, memory: bool) -> ExperimentResult:
    """Bits, and the points beside them if there are any. A circuit that measures nothing has shots and no counts."""
    rows = _rows(pieces)
    header = _header(circuit, slots=8 * rows.shape[1])
    header["assignment_matrices"] = _assignment_matrices(pieces[0].assignment, header["memory_slots"])
    data: dict[str, Any] = {}
    if circuit.measures and rows.shape[1]:
        data["counts"] = counts(rows)
        if memory:
            data["memory"] = memory_of(rows)
    if pieces[0].iq is not None:
        points = np.concatenate([piece.iq for piece in pieces if piece.iq is not None])
        data["iq"] = _by_clbit(points, pieces[0].iq_clbits, header["memory_slots"])
    return ExperimentResult(
        shots=len(rows),
        success=True,
        data=ExperimentResultData(**data),
        meas_level=2,
        status="DONE",
        header=header,
    )


def _assignment_matrices(assignment: Sequence[Assignment], slots: int) -> list[list[list[float]] | None]:
    """For each classical bit [[P(0|0), P(0|1)], [P(1|0), P(1|1)]], P(read|prepared); None where nothing is known."""
    matrices: list[list[list[float]] | None] = [None] * slots
    for one in assignment:
        wrong1, wrong0 = one.prob_meas1_prep0, one.prob_meas0_prep1
        matrices[one.clbit] = [[1 - wrong1, wrong0], [wrong1, 1 - wrong0]]
    return matrices


def _holds_means(pieces: Sequence[ProgramResult]) -> bool:
    """Guess from the shapes of IQ points, which are the same for a mean and for every shot if there is one shot."""
    is_one_row = all(piece.iq is not None and len(piece.iq) == min(piece.kept, 1) for piece in pieces)
    return is_one_row and sum(piece.kept for piece in pieces) > len(pieces)


def _kerneled(pieces: Sequence[ProgramResult], circuit: CircuitHeader, averaged: bool) -> ExperimentResult:
    """IQ points, one column for each classical bit."""
    clbits, kept = pieces[0].iq_clbits, sum(piece.kept for piece in pieces)
    points = _mean(pieces) if averaged else np.concatenate([piece.iq for piece in pieces if piece.iq is not None])
    slots = circuit.fields.get("memory_slots", max(clbits) + 1)
    table = _by_clbit(points, clbits, slots)
    return ExperimentResult(
        shots=kept,
        success=True,
        data=ExperimentResultData(memory=(table[0] if averaged else table).view(Points)),
        meas_level=1,
        meas_return="avg" if averaged else "single",
        status="DONE",
        header=_header(circuit, slots=slots),
    )


def _by_clbit(points: NDArray[np.complexfloating], clbits: Sequence[int], slots: int) -> NDArray[np.float64]:
    """Give shape (rows, bits, 2); a bit that is never written is NaN, the last of several wins."""
    table = np.full((len(points), slots, 2), np.nan)
    for column, clbit in enumerate(clbits):
        table[:, clbit, 0] = points[:, column].real
        table[:, clbit, 1] = points[:, column].imag
    return table


def _mean(pieces: Sequence[ProgramResult]) -> NDArray[np.complex128]:
    filled = [(piece.kept, piece.iq[0]) for piece in pieces if piece.iq is not None and piece.kept]
    if not filled:  # every shot was discarded
        return np.full((1, len(pieces[0].iq_clbits)), np.nan, dtype=np.complex128)
    weights = [kept for kept, _ in filled]
    rows = np.array([row for _, row in filled], dtype=np.complex128)
    return np.average(rows, axis=0, weights=weights)[np.newaxis, :]


def _header(circuit: CircuitHeader, *, slots: int) -> dict[str, Any]:
    return {"memory_slots": slots} | circuit.fields


def readable_counts(rows: NDArray[np.uint8], circuit: CircuitHeader) -> dict[str, int]:
    """Count outcomes; keys as `Result.get_counts` gives them, such as `01 1`."""
    if not (circuit.measures and rows.shape[1]):
        return {}
    return dict(format_counts(counts(rows), _header(circuit, slots=8 * rows.shape[1])))


def counts(rows: NDArray[np.uint8]) -> dict[str, int]:
    """Count outcomes; keys as in Qiskit, such as `0x3`."""
    if rows.shape[1] == 1:
        return {hex(value): number for value, number in enumerate(np.bincount(rows[:, 0]).tolist()) if number}
    if rows.shape[1] <= 8:
        values, numbers = np.unique(_as_integers(rows), return_counts=True)
        return {hex(value): number for value, number in zip(values.tolist(), numbers.tolist(), strict=True)}
    found, numbers = np.unique(rows, axis=0, return_counts=True)
    return {_hex(row): number for row, number in zip(found, numbers.tolist(), strict=True)}


def memory_of(rows: NDArray[np.uint8]) -> list[str]:
    """Give the outcome of every shot."""
    if rows.shape[1] <= 8:
        return [hex(value) for value in _as_integers(rows).tolist()]
    return [_hex(row) for row in rows]


def _as_integers(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    padded = np.zeros((len(rows), 8), dtype=np.uint8)
    padded[:, 8 - rows.shape[1] :] = rows
    return padded.view(">u8")[:, 0].astype(np.uint64)


def _hex(row: NDArray[np.uint8]) -> str:
    return hex(int.from_bytes(row.tobytes(), "big"))
