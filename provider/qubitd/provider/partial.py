"""A part of a result, as it becomes durable while the job still runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.client import Progress, QubitdClient
from qubitd.core.job import ProgramResult
from qubitd.provider.headers import JobHeader
from qubitd.provider.results import readable_counts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartialResult:
    """What some shots of one circuit gave."""

    circuit: int
    """Index of the circuit in the job."""
    name: str
    """The circuit's."""
    first_shot: int
    """Index of the first of these shots."""
    shots: int
    """That count: without those whose herald was not 0."""
    counts: dict[str, int]
    """Of these shots, with keys as `Result.get_counts` has them; empty for IQ points and where nothing is measured."""
    iq: NDArray[np.complex64] | None
    """IQ points, shape (shots, measurements), fraction of ADC full scale; None for bits."""
    progress: Progress | None
    """How far the job had come when this part was read."""


class PartialResults:
    """Reads the parts of a job's result, each once."""

    def __init__(self, client: QubitdClient, job_id: str, header: JobHeader) -> None:
        self._client = client
        self._job_id = job_id
        self._header = header
        self._received = 0

    def new(self, progress: Progress | None, patience: float) -> Iterator[PartialResult]:
        """Give the parts that became durable since the last question, of a daemon that may be away for so long."""
        for piece in self._client.results(self._job_id, skip=self._received, patience=patience):
            self._received += 1
            yield self._part(piece, progress)

    def _part(self, piece: ProgramResult, progress: Progress | None) -> PartialResult:
        circuit = self._header.circuits[piece.program]
        return PartialResult(
            circuit=piece.program,
            name=str(circuit.fields["name"]),
            first_shot=piece.first_shot,
            shots=piece.kept,
            counts=readable_counts(piece.bits, circuit) if piece.bits is not None else {},
            iq=piece.iq,
            progress=progress,
        )
