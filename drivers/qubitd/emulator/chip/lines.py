"""The chip's door: from what left the connectors to what arrives on the lines, and from SI units to ns, GHz and turns.

Times count at the chip: a play arrives a cable's delay after it was played, and a window listens to what left the
chip a cable's delay before it. The LO never stops, so its phase is that of the absolute time at the connector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import FEEDLINE, Cable, Cabling
from qubitd.emulator.errors import InvalidTableError
from qubitd.emulator.events import EventTable, InputPort, OutputPort, Waveform


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretches:
    """Stretches of time as columns of shape (rows,), sorted by start."""

    start: NDArray[np.int64]
    """ns, at the chip."""
    end: NDArray[np.int64]
    """ns, exclusive."""

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Give some of the rows."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in self.__dataclass_fields__}
        return type(self)(**columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signals(_Stretches):
    """What lines of one kind carry."""

    qubit: NDArray[np.int64]
    """Whose line; 0 on the feedline."""
    waveform: NDArray[np.int64]
    """Index into the table's waveforms."""
    gain_i: NDArray[np.float64]
    gain_q: NDArray[np.float64]
    """Of the two paths, with attenuation and loss; 1 is full scale under reference conditions."""
    carrier: NDArray[np.float64]
    """LO + NCO, GHz; 0 on a flux line."""
    phase: NDArray[np.float64]
    """Of the carrier at the row's start, turns."""
    condition: NDArray[np.int64]
    """Index into the table's conditions, `EVERY_SHOT` for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows(_Stretches):
    """When the digitisers integrate what leaves the chip."""

    row: NDArray[np.int64]
    """Row in the table's acquisitions."""
    weight: NDArray[np.int64]
    """Index into the table's waveforms, -1 for a square window."""
    frequency: NDArray[np.float64]
    """That is mixed down to 0: LO + NCO, GHz."""
    phase: NDArray[np.float64]
    """Of the mixing tone at the row's start, turns."""
    gain: NDArray[np.float64]
    """Of the way to the digitiser, 1 under reference conditions; 0 where no cable is."""
    feeds: NDArray[np.bool_]
    """Whether the points have to be known at the window's end."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrivals:
    """Everything that reaches the chip during one iteration of the shot loop, and when it is listened to."""

    waveforms: tuple[Waveform, ...]
    drives: Signals
    fluxes: Signals
    tones: Signals
    windows: Windows


def envelope(waveform: Waveform, gain_i: float, gain_q: float, length: int) -> NDArray[np.complex128]:
    """Give the samples of a play, shape (length,), 1 ns apart."""
    samples = waveform.samples[:length]
    return np.asarray(gain_i * samples.real + 1j * gain_q * samples.imag)


def arrive(table: EventTable, cabling: Cabling) -> Arrivals:
    """Follow every play along its cable. What is played into an open connector reaches nothing.

    Raises:
        InvalidTableError: a play is longer than its waveform, or an index points nowhere.
    """
    _check(table)
    cables = [cabling.cable_at(port.name) for port in table.outputs]
    outputs = _ports(table.outputs, cables)
    inputs = _ports(table.inputs, [cabling.cable_at(port.name) for port in table.inputs])
    qubits = {qubit.name: i for i, qubit in enumerate(cabling.chip.qubits)}
    return Arrivals(
        waveforms=table.waveforms,
        drives=_signals(table, outputs, [_reaches(cable, "drive", qubits) for cable in cables]),
        fluxes=_signals(table, outputs, [_reaches(cable, "flux", qubits) for cable in cables]),
        tones=_signals(
            table, outputs, [0 if cable is not None and cable.line == FEEDLINE else None for cable in cables]
        ),
        windows=_windows(table, inputs),
    )


def _reaches(cable: Cable | None, kind: str, qubits: dict[str, int]) -> int | None:
    """Say whose line of one kind a cable reaches; None if it reaches another kind, or nothing."""
    if cable is None or not cable.line.endswith(f".{kind}"):
        return None
    return qubits[cable.line.removesuffix(f".{kind}")]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ports:
    """The connectors of one direction as columns of shape (ports,)."""

    delay: NDArray[np.int64]
    gain: NDArray[np.float64]
    lo: NDArray[np.float64]
    """GHz."""


def _ports(ports: Sequence[OutputPort | InputPort], cables: Sequence[Cable | None]) -> _Ports:
    gains = [0.0 if cable is None else cable.gain(p.attenuation_db) for cable, p in zip(cables, ports, strict=True)]
    return _Ports(
        delay=np.array([0 if cable is None else cable.delay for cable in cables], dtype=np.int64),
        gain=np.array(gains, dtype=np.float64),
        lo=np.array([_oscillator(*both) * 1e-9 for both in zip(ports, cables, strict=True)], dtype=np.float64),
    )


def oscillators_of(table: EventTable, cabling: Cabling) -> dict[int, float]:
    """Give the frequency in GHz that the oscillator of each driven qubit really has."""
    found: dict[int, float] = {}
    for port in table.outputs:
        cable = cabling.cable_at(port.name)
        if cable is not None and cable.line.endswith(".drive"):
            found[cabling.chip.index(cable.line.removesuffix(".drive"))] = _oscillator(port, cable) * 1e-9
    return found


def _oscillator(port: OutputPort | InputPort, cable: Cable | None) -> float:
    """Give the frequency in Hz that a port's oscillator really has."""
    return port.lo_frequency + (0.0 if cable is None else cable.lo_error)


def _signals(table: EventTable, ports: _Ports, qubit_of_port: Sequence[int | None]) -> Signals:
    """Follow the plays of those ports that reach the lines in question."""
    plays = table.plays
    qubit_of = np.array([-1 if qubit is None else qubit for qubit in qubit_of_port], dtype=np.int64)
    rows = np.flatnonzero(qubit_of[plays.port] >= 0)
    port, start = plays.port[rows], plays.start[rows]
    arrived = start + ports.delay[port]
    signals = Signals(
        start=arrived,
        end=arrived + plays.length[rows],
        qubit=qubit_of[port],
        waveform=plays.waveform[rows].astype(np.int64),
        gain_i=ports.gain[port] * plays.gain_i[rows],
        gain_q=ports.gain[port] * plays.gain_q[rows],
        carrier=ports.lo[port] + plays.frequency[rows] * 1e-9,
        phase=np.mod(plays.phase[rows] + ports.lo[port] * start, 1.0),
        condition=plays.condition[rows].astype(np.int64),
    )
    return signals.take(np.argsort(arrived, kind="stable"))


def _windows(table: EventTable, ports: _Ports) -> Windows:
    rows = table.acquisitions
    left = rows.start - ports.delay[rows.port]
    windows = Windows(
        start=left,
        end=left + rows.length,
        row=np.arange(len(left)),
        weight=rows.weight.astype(np.int64),
        frequency=ports.lo[rows.port] + rows.frequency * 1e-9,
        phase=np.mod(rows.phase + ports.lo[rows.port] * rows.start, 1.0),
        gain=ports.gain[rows.port],
        feeds=rows.feeds,
    )
    return windows.take(np.argsort(left, kind="stable"))


def _check(table: EventTable) -> None:
    sizes = np.array([len(waveform.samples) for waveform in table.waveforms], dtype=np.int64)
    plays, windows = table.plays, table.acquisitions
    _refuse("plays.port", plays.port, (plays.port < 0) | (plays.port >= len(table.outputs)), "an index of an output")
    _refuse("plays.waveform", plays.waveform, (plays.waveform < 0) | (plays.waveform >= len(sizes)), "a waveform")
    too_long = (plays.length < 1) | (plays.length > sizes[plays.waveform])
    _refuse("plays.length", plays.length, too_long, "1 ns to the length of its waveform")
    outside = (windows.port < 0) | (windows.port >= len(table.inputs))
    _refuse("acquisitions.port", windows.port, outside, "an index of an input")
    outside = (windows.weight < -1) | (windows.weight >= len(sizes))
    _refuse("acquisitions.weight", windows.weight, outside, "-1 or a waveform")
    _refuse("acquisitions.length", windows.length, windows.length < 1, "1 ns or more")


def _refuse(column: str, values: NDArray[np.integer], wrong: NDArray[np.bool_], limit: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidTableError(column=column, row=row, limit=limit, value=int(values[row]))
