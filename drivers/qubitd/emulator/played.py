"""The table of played events as plain data, for whoever draws or checks what left the connectors."""

from __future__ import annotations

from dataclasses import fields

from qubitd.emulator.events import Acquisitions, EventTable, InputPort, OutputPort, Plays, Waveform


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
    }


def _port(port: OutputPort | InputPort) -> dict[str, object]:
    return {"name": port.name, "lo_frequency": port.lo_frequency, "attenuation_db": port.attenuation_db}


def _waveform(waveform: Waveform) -> dict[str, object]:
    return {"real": waveform.samples.real.tolist(), "imag": waveform.samples.imag.tolist(), "digest": waveform.digest}


def _columns(table: Plays | Acquisitions) -> dict[str, object]:
    return {field.name: getattr(table, field.name).tolist() for field in fields(table)}
