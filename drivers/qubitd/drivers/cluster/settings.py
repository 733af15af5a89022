"""What the Cluster's settings are to be: of its sequencers' configurations we change what we know and keep the rest.

A setting is known by the header of its message; its value is a number, or JSON that travels as a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qubitd.core.threshold import STEPS
from qubitd.drivers.cluster.assembly import SequencerLoad
from qubitd.drivers.cluster.feedforward import FEEDFORWARD
from qubitd.drivers.cluster.json_value import JsonValue
from qubitd.drivers.cluster.line_feedback import FULL_SCALE, Trigger
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
        for address in wired.addresses:
            settings[sequencer(address, "CHANnelmap")] = JsonValue([list(path) for path in wired.port.paths])
        if wired.module.inputs:
            settings[sequencer(wired.address, "ACQ:CHANnelmap")] = JsonValue([[0], [1]])
    return settings


REST: Mapping[str, object] = {"awg": [{"marker_ovr": {"en": True, "val": 0}}], "seq_proc": {"sync_en": False}}
"""Changes to the configuration of a sequencer that takes no part: its switch held off, nobody waiting for it."""


def run_changes(load: SequencerLoad) -> Mapping[str, object]:
    """Give the changes to a sequencer's configuration for a run: synchronised, its switch left to its program."""
    is_rf = load.wired.is_rf
    changes: dict[str, object] = {
        "awg": [
            {
                "mixer": {"en": is_rf},
                "nco": {"freq_hz": load.nco_frequency, "po": 0.0},
                "marker_ovr": {"en": False, "val": 0},
                "gain_path": [1.0, 1.0],
                "offs_path": [0.0, 0.0],
            }
        ],
        "seq_proc": {"sync_en": True, **(_COUNTERS if load.counts else {})},
    }
    if load.bins:
        integration = {"non_weighed_integration_len": load.integration} if load.integration else {}
        thresholded = {**integration, **_threshold(load.trigger)}
        changes["acq"] = [{"demod": {"en": is_rf}, "th_acq": thresholded, "th_acq_trg_map": _network(load.trigger)}]
    return changes


_COUNTERS: Mapping[str, object] = {
    "trg": [{"count_threshold": 1, "threshold_invert": False}] * FEEDFORWARD.addresses,
}
"""A term of a condition is true from the first trigger on."""


def _threshold(trigger: Trigger | None) -> Mapping[str, float]:
    """Give rotation and threshold, in sums of samples as fractions of full scale: all exact in binary."""
    if trigger is None:
        return {}
    return {
        "rotation_matrix_a11": trigger.threshold.real / STEPS,
        "rotation_matrix_a12": trigger.threshold.imag / STEPS,
        "discr_threshold": trigger.threshold.level / STEPS / FULL_SCALE,
    }


def _network(trigger: Trigger | None) -> Mapping[str, object]:
    if trigger is None:
        return {"en": False}
    return {"en": True, "addr": trigger.address, "inv": False}
