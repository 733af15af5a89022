"""Translate a chunk into what a Cluster runs. Pure: no instrument is touched, the same chunk gives the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.feedforward import ALWAYS
from qubitd.core.plan import LoopPlan
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly, Exertion, ReadoutMap, SequencerLoad
from qubitd.drivers.cluster.capacity import chunk_usage, most_usage
from qubitd.drivers.cluster.exertion import line_exertion, refuse_above_ceilings
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.q1asm import program_text
from qubitd.drivers.cluster.registers import QUARTER_HERTZ
from qubitd.drivers.cluster.scope import scope_loads
from qubitd.drivers.cluster.work import Workbench
from qubitd.drivers.errors import CapacityError, CeilingError, UnplayableProgramError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAssembler:
    """The assembler for a Cluster as wired."""

    workbench: Workbench

    def check(self, chunk: Chunk) -> None:
        """Hold what the lines would carry against their ceilings, without writing anything.

        Raises:
            UnplayableProgramError: the wiring or the hardware has no way to play a program.
            CeilingError: a line would carry more than the rack file allows.
        """
        work = self.workbench.work_of(chunk)
        refuse_above_ceilings((part.wired, self._exertion(part)) for part in work.parts)

    def vouch(self, chunk: Chunk) -> bool:
        """Whether a chunk of one program fits and passes `check` whatever the phases of its plays: they cost an
        instruction for each play at most, and what a line carries does not depend on them.
        """
        try:
            self.check(chunk)
        except (UnplayableProgramError, CeilingError):
            return False
        return all(usage.fits for usage in most_usage(chunk, self.workbench.work_of(chunk)))

    def assemble(self, chunk: Chunk) -> ClusterAssembly:
        """Translate a chunk.

        Raises:
            UnplayableProgramError: the wiring or the hardware has no way to play a program.
            CapacityError: the chunk does not fit.
        """
        work = self.workbench.work_of(chunk)
        parts = work.parts
        overflows = [usage for usage in chunk_usage(chunk, work, self.workbench.memory) if not usage.fits]
        if overflows:
            raise CapacityError(overflows)
        return ClusterAssembly(
            sequencers=tuple(self._load(part, chunk.shots) for part in parts),
            readouts=tuple(_readout(part) for part in parts if len(part.acquisitions.start)),
            acquisitions=tuple(work.acquisitions),
            feeds=work.feeds,
            scopes=scope_loads(chunk, parts),
            loops=tuple(_loops(part.turns or part) for part in parts if part.folds or part.turns or part.written_out),
            shots=chunk.shots,
            iteration=work.layout.total,
        )

    def _load(self, part: LineProgram, shots: int) -> SequencerLoad:
        return self.workbench.memory.load(part, shots, lambda one: sequencer_load(one, shots, self._exertion(one)))

    def _exertion(self, part: LineProgram) -> Exertion:
        return self.workbench.memory.exertion(part, line_exertion)


def _loops(part: LineProgram) -> LoopPlan:
    looped = sum(fold.stop - fold.first for fold in part.folds)
    return LoopPlan(
        sequencer=part.wired.name,
        nests=tuple(fold.turns for fold in part.folds),
        written_out=len(part.layout.begin) - looped,
        reason=part.written_out,
    )


def sequencer_load(part: LineProgram, shots: int, exertion: Exertion) -> SequencerLoad:
    """Write down what one sequencer gets, whether or not it fits."""
    program = program_text(part, shots=shots).encode("ascii")
    bins = shots * len(part.acquisitions.start)
    return SequencerLoad(
        wired=part.wired,
        program=program,
        waveforms=part.waveforms.waveforms,
        weights=part.weights.weights,
        bins=bins,
        integration=part.weights.integration,
        trigger=None if part.feedback is None else part.feedback.trigger,
        counts=part.counts,
        conditional=part.acquisitions.condition != ALWAYS,
        nco_frequency=part.tones.base / QUARTER_HERTZ if part.tones is not None else 0.0,
        exertion=exertion,
        digest=_digest(program, part, bins),
    )


def _digest(program: bytes, part: LineProgram, bins: int) -> str:
    content = hashlib.sha256(program)
    for waveform in (*part.waveforms.waveforms, *part.weights.weights):
        content.update(waveform.name.encode("ascii"))
    content.update(str(bins).encode("ascii"))
    return content.hexdigest()


def _readout(part: LineProgram) -> ReadoutMap:
    rotation: NDArray[np.complex128] = (
        part.tones.acquisition_rotation
        if part.tones is not None
        else np.ones(len(part.acquisitions.start), np.complex128)
    )
    return ReadoutMap(
        program=part.acquisitions.program,
        column=part.acquisitions.row,
        rotation=rotation.astype(np.complex64),
        norm=part.weights.norm,
    )
