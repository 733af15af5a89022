"""The envelopes of a job, sampled once each, in tables of bounded size."""

from __future__ import annotations

import functools

from qubitd.core.envelope import Envelope, sample_envelope, samples_digest
from qubitd.core.program import ProgramTables, SampledEnvelope

MAX_SAMPLES = 2**20
"""Samples (16 MiB) after which a job's table of envelopes is full and the next program begins a new one."""
_SHORT = 2**12
"""Samples of an envelope that is remembered from job to job."""
MAX_ENVELOPES = 2**13
"""Envelopes after which it is full."""


class EnvelopeTable:
    """The envelopes of a job, by content. It only grows, so an index stays good; a full one has a successor."""

    def __init__(self, *, generation: int = 0) -> None:
        self._generation = generation
        self._samples = 0
        self._index: dict[Envelope, int] = {}
        self._by_digest: dict[str, int] = {}
        self._sampled: list[SampledEnvelope] = []
        self._tables: ProgramTables | None = None

    def with_room(self) -> EnvelopeTable:
        """Give the table that the next program should use: this one, or an empty one if it is full."""
        is_full = self._samples >= MAX_SAMPLES or len(self._index) >= MAX_ENVELOPES
        return EnvelopeTable(generation=self._generation + 1) if is_full else self

    def index_of(self, envelope: Envelope) -> int:
        """Give an envelope's index, sampling it the first time."""
        found = self._index.get(envelope)
        if found is None:
            sampled = _sampled_short(envelope) if envelope.length <= _SHORT else _sampled(envelope)
            if sampled.digest not in self._by_digest:
                self._by_digest[sampled.digest] = len(self._sampled)
                self._sampled.append(sampled)
                self._samples += len(sampled.samples)
            found = self._index[envelope] = self._by_digest[sampled.digest]
        return found

    def tables(self) -> ProgramTables:
        """Give the envelopes so far; tables given later begin with the same."""
        if self._tables is None or len(self._tables.envelopes) != len(self._sampled):
            self._tables = ProgramTables(envelopes=tuple(self._sampled), generation=self._generation)
        return self._tables


def _sampled(envelope: Envelope) -> SampledEnvelope:
    samples = sample_envelope(envelope)
    samples.flags.writeable = False
    return SampledEnvelope(samples=samples, digest=samples_digest(samples))


@functools.lru_cache(maxsize=256)
def _sampled_short(envelope: Envelope) -> SampledEnvelope:
    """The same, remembered from job to job: 16 MiB at most."""
    return _sampled(envelope)
