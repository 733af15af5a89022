"""The table of played events as plain data on the control socket, to be drawn or checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import Acquisitions, Condition, EventTable, InputPort, OutputPort, Plays, Waveform


def as_document(table: EventTable) -> dict[str, object]:
    """Give a table as JSON-ready columns; only the waveforms that are used."""
    used = {int(index) for index in (*table.plays.waveform, *table.acquisitions.weight) if index >= 0}
    return {
        "shots": table.shots,
        "duration": table.duration,
        "outputs": [_port(port) for port in table.outputs],
        "inputs": [_port(port) for port in table.inputs],
        "waveforms": {str(index): _waveform(table.waveforms[index]) for index in sorted(used)},
        "plays": _columns(table.plays),
        "acquisitions": _columns(table.acquisitions),
        "conditions": [
            {"outcomes": list(condition.outcomes), "truth": condition.truth.tolist()} for condition in table.conditions
        ],
    }


def _port(port: OutputPort | InputPort) -> dict[str, object]:
    return {"name": port.name, "lo_frequency": port.lo_frequency, "attenuation_db": port.attenuation_db}


def _waveform(waveform: Waveform) -> dict[str, object]:
    return {"real": waveform.samples.real.tolist(), "imag": waveform.samples.imag.tolist(), "digest": waveform.digest}


def _columns(table: Plays | Acquisitions) -> dict[str, object]:
    return {field.name: getattr(table, field.name).tolist() for field in fields(table)}


def from_document(document: Mapping[str, Any]) -> EventTable:
    """Read a table back; waveforms that nothing uses are empty."""
    waveforms = {int(index): waveform for index, waveform in document["waveforms"].items()}
    return EventTable(
        shots=document["shots"],
        duration=document["duration"],
        outputs=tuple(OutputPort(**port) for port in document["outputs"]),
        inputs=tuple(InputPort(**port) for port in document["inputs"]),
        waveforms=tuple(_read_waveform(waveforms.get(index)) for index in range(max(waveforms, default=-1) + 1)),
        plays=Plays(**{field.name: _read_column(field, document["plays"]) for field in fields(Plays)}),
        acquisitions=Acquisitions(
            **{field.name: _read_column(field, document["acquisitions"]) for field in fields(Acquisitions)}
        ),
        conditions=tuple(
            Condition(outcomes=tuple(each["outcomes"]), truth=np.array(each["truth"], dtype=np.bool_))
            for each in document["conditions"]
        ),
    )


def _read_waveform(waveform: Mapping[str, Any] | None) -> Waveform:
    if waveform is None:
        return Waveform(samples=np.zeros(0, dtype=np.complex128), digest="")
    return Waveform(samples=np.array(waveform["real"]) + 1j * np.array(waveform["imag"]), digest=waveform["digest"])


def _read_column(field: Field[Any], columns: Mapping[str, Any]) -> NDArray[Any]:
    return np.array(columns[field.name], dtype=_DTYPES[str(field.type)])


_DTYPES = {
    "NDArray[np.int64]": np.int64,
    "NDArray[np.int32]": np.int32,
    "NDArray[np.float64]": np.float64,
    "NDArray[np.bool_]": np.bool_,
}
