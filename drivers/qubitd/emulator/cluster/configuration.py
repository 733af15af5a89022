"""A sequencer's configuration: a JSON document on the wire, read and written as a whole; inside, only what execution
needs.

What this emulator cannot do is refused when it is asked for, never ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from qubitd.emulator.errors import ScpiError
from qubitd.emulator.q1.conditions import COUNTERS
from qubitd.emulator.q1.latches import FREQUENCY_STEP, PHASE_STEP, Initial

Json = dict[str, object] | list[object] | str | int | float | bool | None

_FULL_SCALE = 32_768
_MOST_GAIN = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOutput:
    """What a sequencer puts on the trigger network at the end of an acquisition."""

    address: int
    """1 to 15."""
    inverted: bool
    """Whether it is sent for a bit of 0 instead of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterThreshold:
    """How a trigger counter becomes a term of a condition."""

    count: int
    """Triggers from which on the term is true."""
    inverted: bool

    def of(self, counted: int) -> bool:
        """Give the term."""
        return (counted >= self.count) != self.inverted


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencerConfiguration:
    """How a sequencer is set up."""

    is_synchronised: bool
    modulates: bool
    """Whether the NCO multiplies what is played."""
    demodulates: bool
    """Whether the NCO multiplies what is digitised."""
    initial: Initial
    """Gain, offset, frequency and phase before the program sets them."""
    integration_length: int
    """ns of an unweighted acquisition, a multiple of 4 in [4, 2^24 - 4]."""
    rotation: tuple[float, float]
    """The bit is `r[0] * path 0 + r[1] * path 1 > threshold`."""
    threshold: float
    """Compared with the sum over the window of samples as a fraction of full scale."""
    trigger: TriggerOutput | None
    """None: its acquisitions send nothing."""
    counters: tuple[CounterThreshold, ...]
    """Of the 15 counters."""
    marker_override: int | None
    """Marker outputs while set, whatever the program says."""


def default_document() -> dict[str, object]:
    """Give the configuration after a reset."""
    document = json.loads(_DEFAULT)
    document["seq_proc"]["trg"] = [{"count_threshold": 1, "threshold_invert": False} for _ in range(COUNTERS)]
    return dict(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A configuration as a sequencer holds it."""

    text: bytes
    """As it is read."""
    configuration: SequencerConfiguration


def default() -> Held:
    """Give what is held after a reset."""
    return _held(default_document())


@lru_cache(maxsize=256)
def put_over(held: bytes, update: bytes) -> Held:
    """Put a configuration, or a part of one, over the text of one that is held.

    Raises:
        ScpiError: as `from_json`, `merge` and `interpret`.
    """
    return _held(merge(json.loads(held), from_json(update)))


def _held(document: object) -> Held:
    return Held(text=json.dumps(document).encode(), configuration=interpret(cast("Mapping[str, object]", document)))


def from_json(data: bytes | bytearray) -> object:
    """Read JSON.

    Raises:
        ScpiError: -220.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise ScpiError(-220, f"no JSON: {error}") from error


def merge(current: object, update: object, where: str = "") -> object:
    """Put a document received over the one held; its keys must be known and its lists as long.

    Raises:
        ScpiError: -220.
    """
    if isinstance(current, dict):
        if not isinstance(update, dict) or not update.keys() <= current.keys():
            raise ScpiError(-220, f"{where or 'configuration'} takes the keys {', '.join(map(str, current))}")
        return {
            key: merge(value, update[key], f"{where}.{key}") if key in update else value
            for key, value in current.items()
        }
    if isinstance(current, list):
        if not isinstance(update, list) or len(update) != len(current):
            raise ScpiError(-220, f"{where} takes a list of {len(current)}")
        return [merge(old, new, f"{where}[{i}]") for i, (old, new) in enumerate(zip(current, update, strict=True))]
    return _scalar(current, update, where)


def _scalar(current: object, update: object, where: str) -> object:
    numbers = (int, float)
    if isinstance(current, bool) or not isinstance(current, numbers):
        valid = isinstance(update, type(current))
    else:
        valid = isinstance(update, numbers) and not isinstance(update, bool) and math.isfinite(update)
    if not valid:
        raise ScpiError(-220, f"{where} is {update!r}; expected a {type(current).__name__}")
    return update


def interpret(document: Mapping[str, object]) -> SequencerConfiguration:
    """Read a whole document.

    Raises:
        ScpiError: -222 a value is out of range; -221 it asks for what is not emulated.
    """
    view = _View(document)
    for path in _NOT_EMULATED:
        view.refuse(path)
    length = view.number("acq.0.th_acq.non_weighed_integration_len", 4, 2**24 - 4)
    if length % 4:
        raise ScpiError(-222, f"integration length {length:g} ns is no multiple of 4 ns")
    frequency = view.number("awg.0.nco.freq_hz", -500e6, 500e6)
    return SequencerConfiguration(
        is_synchronised=view.flag("seq_proc.sync_en"),
        modulates=view.flag("awg.0.mixer.en"),
        demodulates=view.flag("acq.0.demod.en"),
        initial=Initial(
            gain=(
                _register(view.number("awg.0.gain_path.0", -1, 1)),
                _register(view.number("awg.0.gain_path.1", -1, 1)),
            ),
            offset=(
                _register(view.number("awg.0.offs_path.0", -1, 1)),
                _register(view.number("awg.0.offs_path.1", -1, 1)),
            ),
            frequency=round(frequency / FREQUENCY_STEP),
            phase=PHASE_STEP * round(view.number("awg.0.nco.po", -360, 360) / 360 * 1e9),
        ),
        integration_length=int(length),
        rotation=(
            view.number("acq.0.th_acq.rotation_matrix_a11", -1.001, 1.001),
            view.number("acq.0.th_acq.rotation_matrix_a12", -1.001, 1.001),
        ),
        threshold=view.number("acq.0.th_acq.discr_threshold", -1e9, 1e9),
        trigger=_trigger(view),
        counters=tuple(
            CounterThreshold(
                count=int(view.number(f"seq_proc.trg.{i}.count_threshold", 0, 65_535)),
                inverted=view.flag(f"seq_proc.trg.{i}.threshold_invert"),
            )
            for i in range(COUNTERS)
        ),
        marker_override=int(view.number("awg.0.marker_ovr.val", 0, 15)) if view.flag("awg.0.marker_ovr.en") else None,
    )


def _trigger(view: _View) -> TriggerOutput | None:
    path = "acq.0.th_acq_trg_map"
    if not view.flag(f"{path}.en"):
        return None
    return TriggerOutput(address=int(view.number(f"{path}.addr", 1, COUNTERS)), inverted=view.flag(f"{path}.inv"))


def _register(fraction: float) -> int:
    return min(round(fraction * _FULL_SCALE), _MOST_GAIN)


@dataclass(frozen=True, slots=True)
class _View:
    """Reads values of a document by dotted path."""

    document: Mapping[str, object]

    def number(self, path: str, low: float, high: float) -> float:
        value = _at(self.document, path)
        if not isinstance(value, int | float) or not low <= value <= high:
            raise ScpiError(-222, f"{path} is {value!r}; it must be from {low:g} to {high:g}")
        return value

    def flag(self, path: str) -> bool:
        return _at(self.document, path) is True

    def refuse(self, path: str) -> None:
        default = _at(_DEFAULTS, path)
        if _at(self.document, path) != default:
            raise ScpiError(-221, f"{path} is not emulated; leave it at {default}")


def _at(document: object, path: str) -> object:
    for step in path.split("."):
        document = document[int(step)] if isinstance(document, list) else cast(dict[str, object], document)[step]
    return document


_DEFAULT = """{
    "acq": [{
        "demod": {"en": false},
        "th_acq": {
            "discr_threshold": 0.0, "non_weighed_integration_len": 1024,
            "rotation_matrix_a11": 1.0, "rotation_matrix_a12": 0.0
        },
        "th_acq_mrk_map": {"addr": 0, "en": false, "inv": false},
        "th_acq_trg_map": {"addr": 0, "en": false, "inv": false},
        "ttl": {"auto_bin_incr_en": false, "in": false, "threshold": 0.0}
    }],
    "awg": [{
        "cont_mode": {"en_path": [false, false], "wave_idx_path": [0, 0]},
        "real_mode_en": false,
        "mixer": {"en": false, "corr_gain_ratio": 1.0, "corr_phase_offset_degree": -0.0},
        "marker_ovr": {"en": false, "val": 0},
        "gain_path": [1.0, 1.0],
        "nco": {"freq_hz": 0.0, "po": 0.0, "delay_comp": 0, "delay_comp_en": false},
        "offs_path": [0.0, 0.0],
        "upsample_rate_path": [0, 0]
    }],
    "seq_proc": {"sync_en": false, "trg": []}
}"""
_DEFAULTS: Mapping[str, object] = default_document()
_NOT_EMULATED = (
    "acq.0.th_acq_mrk_map.en",
    "acq.0.ttl.auto_bin_incr_en",
    "awg.0.cont_mode.en_path",
    "awg.0.real_mode_en",
    "awg.0.mixer.corr_gain_ratio",
    "awg.0.mixer.corr_phase_offset_degree",
    "awg.0.nco.delay_comp_en",
    "awg.0.upsample_rate_path",
)
