"""The simulated chip: plays and windows of one shot loop in, IQ points of every shot out.

A table normally holds many circuits, one after another: it is cut into shot bodies that each begin in |0..0>.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import FEEDLINE, Cabling, ChipTruth
from qubitd.emulator.chip.body import BodyRun, Event
from qubitd.emulator.chip.drive import DriveLines
from qubitd.emulator.chip.feedline import FeedlineModel
from qubitd.emulator.chip.flux import FluxLines
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import Arrivals, arrive
from qubitd.emulator.events import Acquisitions, EventTable

_END = np.iinfo(np.int64).max


class Chip:
    """A chip at the end of a rack's cables. It keeps what it computed, but no state from one table to the next."""

    def __init__(self, cabling: Cabling) -> None:
        """Build the chip that a cabling file describes."""
        self.cabling = cabling
        self.flux_lines = FluxLines(cabling.chip)
        self.drive_lines = DriveLines(cabling.chip)
        self.feedline = FeedlineModel(cabling.chip)
        self.t1 = [qubit.t1 * 1e9 for qubit in cabling.chip.qubits]
        """ns, by qubit."""
        self.t2 = [qubit.t2 * 1e9 for qubit in cabling.chip.qubits]
        """ns, by qubit."""

    @property
    def truth(self) -> ChipTruth:
        """What the chip is."""
        return self.cabling.chip

    @property
    def time_of_flight(self) -> int:
        """From the readout output over the feedline to the digitiser, ns."""
        return sum(cable.delay for cable in self.cabling.cables if cable.line == FEEDLINE)

    def run(self, table: EventTable, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Play a table.

        Returns:
            Mean over each integration window, shape (acquisitions, shots), fraction of ADC full scale.

        Raises:
            InvalidTableError: the table breaks its contract.
        """
        arrivals = arrive(table, self.cabling)
        points = np.empty((len(table.acquisitions.start), table.shots), dtype=np.complex128)
        starts = body_starts(arrivals, passive_reset=self.truth.passive_reset)
        bounds = [*starts.tolist(), _END]
        bodies = _distribute(self._events(arrivals), starts)
        for events, start, end in zip(bodies, bounds[:-1], bounds[1:], strict=True):
            falls = BodyRun(events, t1=self.t1, t2=self.t2, shots=table.shots, rng=rng).play()
            tones, windows = _rows(arrivals.tones.start, start, end), _rows(arrivals.windows.start, start, end)
            points[arrivals.windows.row[windows]] = self.feedline.points(
                arrivals.tones.take(tones),
                arrivals.windows.take(windows),
                arrivals.waveforms,
                first_tone=tones.start,
                falls=falls,
                shots=table.shots,
                rng=rng,
            )
        return points

    def trace(self, table: EventTable, row: int, length: int, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Play a table and record the digitiser's input from the start of one window on, mean over shots.

        Raises:
            InvalidTableError: the table breaks its contract.
        """
        arrivals = arrive(table, self.cabling)
        window = arrive(_listening(table, row, length), self.cabling).windows
        bounds = [*body_starts(arrivals, passive_reset=self.truth.passive_reset).tolist(), _END]
        body = int(np.searchsorted(bounds, window.start[0], side="right")) - 1
        events = _distribute(self._events(arrivals), np.array(bounds[:-1]))[body]
        tones = _rows(arrivals.tones.start, bounds[body], bounds[body + 1])
        return self.feedline.trace(
            arrivals.tones.take(tones),
            window,
            arrivals.waveforms,
            first_tone=tones.start,
            falls=BodyRun(events, t1=self.t1, t2=self.t2, shots=table.shots, rng=rng).play(),
            shots=table.shots,
            rng=rng,
        )

    def events(self, table: EventTable) -> list[Event]:
        """Find what a table does to the qubits, sorted by start."""
        return self._events(arrive(table, self.cabling))

    def _events(self, arrivals: Arrivals) -> list[Event]:
        pulses = self.flux_lines.pulses(arrivals.fluxes, arrivals.waveforms)
        events: list[Event] = [
            *self.drive_lines.turns(arrivals.drives, arrivals.waveforms, pulses),
            *self.flux_lines.exchanges(pulses),
            *self.feedline.probes(arrivals.tones),
        ]
        return sorted(events, key=lambda event: event.start)


def _listening(table: EventTable, row: int, length: int) -> EventTable:
    """The table with nothing but one window, at the place of another, that neither weighs nor demodulates."""
    rows = table.acquisitions
    scope = Acquisitions(
        start=rows.start[[row]],
        length=np.array([length]),
        port=rows.port[[row]],
        sequencer=rows.sequencer[[row]],
        weight=np.array([-1], dtype=np.int32),
        frequency=np.zeros(1),
        phase=np.zeros(1),
    )
    return replace(table, acquisitions=scope)


def body_starts(arrivals: Arrivals, *, passive_reset: int) -> NDArray[np.int64]:
    """Find the starts of shot bodies, ns: after a window, nothing happens on any line for a passive reset."""
    kinds = (arrivals.drives, arrivals.fluxes, arrivals.tones, arrivals.windows)
    start = np.concatenate([kind.start for kind in kinds])
    end = np.concatenate([kind.end for kind in kinds])
    window = np.concatenate([np.full(len(kind.start), kind is arrivals.windows) for kind in kinds])
    order = np.argsort(start, kind="stable")
    labels = chains(start[order], end[order], gap=passive_reset, full=window[order])
    return start[order][np.flatnonzero(np.diff(labels, prepend=-1))]


def _distribute(events: Sequence[Event], starts: NDArray[np.int64]) -> list[list[Event]]:
    bodies: list[list[Event]] = [[] for _ in starts]
    of = np.searchsorted(starts, [event.start for event in events], side="right") - 1
    for event, body in zip(events, of.tolist(), strict=True):
        bodies[body].append(event)
    return bodies


def _rows(start: NDArray[np.int64], begin: int, end: int) -> slice:
    """Give the rows, sorted by start, that begin within a body."""
    first, last = np.searchsorted(start, [begin, end]).tolist()
    return slice(first, last)
