"""A readout module's scope: 16384 samples of its input, averaged over the acquisitions that one sequencer starts.

There is one for all sequencers of a module. It is emulated only as it is used: averaging, triggered by a sequencer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.configuration import merge
from qubitd.emulator.digitiser import Digitiser
from qubitd.emulator.errors import ScpiError
from qubitd.emulator.events import EventTable

SAMPLES = 16_384
"""1 ns apart."""
FULL_SCALE = 1 << 11
"""Per average: samples have 12 bits."""
_MOST = 2**31 - 1
_DEFAULT = """{
    "sel_path": [0, 0],
    "trig": {"mode_path": [false, false], "lvl_path": [0.0, 0.0]},
    "avg_en_path": [false, false]
}"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScopeTrace:
    """What one path recorded."""

    sums: NDArray[np.int32]
    """Over all averages, shape (`SAMPLES`,)."""
    averages: int
    out_of_range: bool


NO_TRACE = ScopeTrace(sums=np.zeros(0, dtype=np.int32), averages=0, out_of_range=False)


class Scope:
    """The settings of one module's scope."""

    def __init__(self, *, sequencers: int) -> None:
        self._sequencers = sequencers
        self.document: object = json.loads(_DEFAULT)

    def configure(self, update: object) -> None:
        """Put settings, or a part of them, over what is set.

        Raises:
            ScpiError: -220 or -222, a value is not possible; -221, it is not emulated.
        """
        merged = merge(self.document, update)
        if not isinstance(merged, dict):
            raise ScpiError(-220, "a scope configuration is an object")
        if any(merged["trig"]["mode_path"]):
            raise ScpiError(-221, "trig.mode_path is not emulated; leave it at false, a sequencer triggers")
        if not all(chosen in range(self._sequencers) for chosen in merged["sel_path"]):
            raise ScpiError(-222, f"sel_path is {merged['sel_path']}; sequencers are 0 to {self._sequencers - 1}")
        self.document = merged

    @property
    def trigger(self) -> int:
        """The sequencer whose acquisitions are recorded.

        Raises:
            ScpiError: -221, the paths differ, or do not average: that is not emulated.
        """
        document = self.document
        assert isinstance(document, dict)  # noqa: S101 - as configured
        if len(set(document["sel_path"])) > 1:
            raise ScpiError(-221, "two sequencers that trigger the paths of one scope are not emulated")
        if not all(document["avg_en_path"]):
            raise ScpiError(-221, "a scope trace of the last acquisition alone is not emulated; set avg_en_path")
        return int(document["sel_path"][0])


def record(
    tables: Sequence[EventTable], sequencer: int, digitiser: Digitiser, rng: np.random.Generator
) -> tuple[ScopeTrace, ScopeTrace]:
    """Work out what a scope recorded during a run, for both paths.

    Args:
        tables: what was played.
        sequencer: that triggered, numbered as in the tables.
        digitiser: what the connectors lead to.
        rng: for the digitiser's noise.
    """
    total = np.zeros(SAMPLES, dtype=np.complex128)
    averages = 0
    for table in tables:
        if table.conditions:
            raise ScpiError(-221, "a scope trace of a run with conditions is not emulated")
        for row in np.flatnonzero(table.acquisitions.sequencer == sequencer).tolist():
            total += table.shots * digitiser.trace(table, row, SAMPLES, rng)
            averages += table.shots
    return _trace(total.real, averages), _trace(total.imag, averages)


def _trace(total: NDArray[np.float64], averages: int) -> ScopeTrace:
    clipped = np.clip(total, -averages, averages)
    sums = np.clip(np.rint(clipped * FULL_SCALE), -_MOST, _MOST).astype(np.int32)
    return ScopeTrace(sums=sums, averages=averages, out_of_range=bool((clipped != total).any()))
