"""What the Cluster's settings are to be: of its sequencers' configurations we change what we know and keep the rest.

A setting is known by the header of its message; its value is a number, or JSON that travels as a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qubitd.drivers.cluster.assembly import SequencerLoad
from qubitd.drivers.cluster.json_value import JsonValue
from qubitd.drivers.cluster.modules import KINDS
from qubitd.drivers.cluster.protocol import (
    input_attenuation,
    oscillator,
    oscillator_enable,
    output_attenuation,
    sequencer,
)
from qubitd.drivers.cluster.wiring import SequencerAddress, WiredLine
from qubitd.drivers.rack import Slot

Setting = float | JsonValue


def configuration_header(address: SequencerAddress) -> str:
    """Give the header of a sequencer's configuration."""
    return sequencer(address, "CONFiguration")


def front_end_settings(slots: Iterable[Slot]) -> Mapping[str, Setting]:
    """Give oscillators and attenuations as the rack file states them."""
    settings: dict[str, Setting] = {}
    for slot in slots:
        kind = KINDS[slot.kind]
        for output in slot.outputs:
            index = kind.outputs[output.output].oscillator
            if index is not None:
                settings[oscillator(slot.slot, index)] = output.lo
                settings[oscillator_enable(slot.slot, index)] = 1.0
            settings[output_attenuation(slot.slot, output.output)] = float(output.attenuation_db)
        for row in slot.inputs:
            settings[input_attenuation(slot.slot, row.input)] = float(row.attenuation_db)
    return settings


def connection_settings(lines: Iterable[WiredLine]) -> Mapping[str, Setting]:
    """Give which channels each wired sequencer's paths are connected to."""
    settings: dict[str, Setting] = {}
    for wired in lines:
        settings[sequencer(wired.address, "CHANnelmap")] = JsonValue([list(path) for path in wired.port.paths])
        if wired.module.inputs:
            settings[sequencer(wired.address, "ACQ:CHANnelmap")] = JsonValue([[0], [1]])
    return settings


def run_configuration(current: JsonValue, load: SequencerLoad) -> JsonValue:
    """Give a sequencer's configuration for a run: synchronised, its switch left to its program.

    Raises:
        ValueError: the current one is not of the Cluster's form.
    """
    value, awg, processor = _parts(current)
    is_rf = load.wired.is_rf
    _change(awg, "mixer", {"en": is_rf})
    _change(awg, "nco", {"freq_hz": load.nco_frequency, "po": 0.0})
    _change(awg, "marker_ovr", {"en": False, "val": 0})
    awg["gain_path"], awg["offs_path"] = [1.0, 1.0], [0.0, 0.0]
    if load.bins:
        acquire = value["acq"][0]
        _change(acquire, "demod", {"en": is_rf})
        _change(acquire, "th_acq", {"non_weighed_integration_len": load.integration})
        _change(acquire, "th_acq_trg_map", {"en": False})
    processor["sync_en"] = True
    return JsonValue(value)


def rest_configuration(current: JsonValue) -> JsonValue:
    """Give the configuration of a sequencer that takes no part: its switch held off, the others not waiting for it.

    Raises:
        ValueError: the current one is not of the Cluster's form.
    """
    value, awg, processor = _parts(current)
    _change(awg, "marker_ovr", {"en": True, "val": 0})
    processor["sync_en"] = False
    return JsonValue(value)


def _parts(current: JsonValue) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    value = current.copy()
    try:
        return value, value["awg"][0], value["seq_proc"]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"a sequencer's configuration of unknown form, without {error}") from error


def _change(part: dict[str, Any], key: str, values: Mapping[str, object]) -> None:
    part[key] = {**part.get(key, {}), **values}
