"""The Cluster's messages and the forms of its answers. Pure: text in, text out.

All go through the management module, where a module's commands carry the prefix `SLOT<s>:`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.wiring import SequencerAddress

IDENTITY = "*IDN?"
DESCRIPTION = "*DESCribe?"
SYSTEM_STATE = "STATus:GENeral:STATE?"
ERROR_COUNT = "SYSTem:ERRor:COUNt?"
NEXT_ERROR = "SYSTem:ERRor:NEXT?"
ACQUISITION = "iq"
"""Name of the one acquisition of a sequencer."""
BIN = np.dtype([("valid", "<u8"), ("real", "<i8"), ("imag", "<i8"), ("threshold", "<u4"), ("count", "<u4")])
"""One bin as it is downloaded: sums over `count` averages."""
ACTIVE_STATES = frozenset({"ARMED", "RUNNING", "Q1 STOPPED"})
"""States in which a sequencer must not be written to. Q1 STOPPED: its processor has ended, its outputs have not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an instrument says it is."""

    maker: str
    model: str
    serial: str
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencerState:
    """What a sequencer says about itself."""

    status: str
    """`OKAY`, `WARNING` or `ERROR`."""
    state: str
    """`IDLE`, `ARMED`, `RUNNING`, `Q1 STOPPED` or `STOPPED`."""
    info: tuple[str, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What went wrong, in the instrument's words."""
        unnamed = (self.status,) if self.status not in ("OKAY", "WARNING") and not self.errors else ()
        return (*self.errors, *self.warnings, *unnamed)


def sequencer(address: SequencerAddress, rest: str) -> str:
    """Give a command or question of one sequencer."""
    return f"SLOT{address.slot}:SEQuencer{address.sequencer}:{rest}"


def oscillator(slot: int, index: int) -> str:
    """Give the header of an oscillator's frequency in Hz."""
    return f"SLOT{slot}:STATus:QUEStionable:FREQuency:LO{index}"


def oscillator_enable(slot: int, index: int) -> str:
    """Give the header of an oscillator's switch."""
    return f"SLOT{slot}:LO{index}:ENAble"


def output_attenuation(slot: int, output: int) -> str:
    """Give the header of an output's attenuation in dB."""
    return f"SLOT{slot}:AFE:ATT:OUT{output}"


def input_attenuation(slot: int, index: int) -> str:
    """Give the header of an input's attenuation in dB."""
    return f"SLOT{slot}:AFE:ATT:IN{index}"


def assembler_success(slot: int) -> str:
    """Give the question for whether a module's assembler took the last program."""
    return f"SLOT{slot}:STATus:ASSEMbler:SUCCess?"


def assembler_log(slot: int) -> str:
    """Give the question for what a module's assembler said about the last program."""
    return f"SLOT{slot}:STATus:ASSEMbler:LOG?"


def scope(slot: int) -> str:
    """Give the header of the configuration of a module's scope."""
    return f"SLOT{slot}:ACQ:SCOpe:CONFiguration"


def parse_identity(answer: str) -> Identity | None:
    """Read the answer to `*IDN?`; None if it has not four fields."""
    fields = [field.strip() for field in answer.split(",", 3)]
    if len(fields) != 4:
        return None
    return Identity(maker=fields[0], model=fields[1], serial=fields[2], firmware=fields[3])


@lru_cache(maxsize=256)
def parse_state(answer: str) -> SequencerState | None:
    """Read `STATUS;STATE;[exit code;]info,;warnings,;errors,;log`; None if it is of another form."""
    fields = answer.split(";")
    if len(fields) > 2 and fields[2].strip().lstrip("-").isdecimal():
        del fields[2]
    if len(fields) < 5:
        return None
    status, state = (field.strip().replace("_", " ") for field in fields[:2])
    info, warnings, errors = map(_flags, fields[2:5])
    return SequencerState(status=status, state=state, info=info, warnings=warnings, errors=errors)


def parse_modules(description: bytes) -> Mapping[int, str] | None:
    """Read the kinds of modules by slot from the answer to `*DESCribe?`; None if it is of another form."""
    try:
        modules = json.loads(description)["modules"]
        return {int(slot): _module_kind(module) for slot, module in modules.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def acquisition_iq(bins: NDArray[np.void], norm: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Convert downloaded bins to means over the window, fractions of ADC full scale.

    A bin sums `count` averages; 2^22 per sample, times its weight, is full scale. A bin that nothing went into has no
    point: NaN.

    Args:
        bins: of whole shots.
        norm: sum of the weights, or the length, of each acquisition of a shot.

    Returns:
        Shape (shots, acquisitions).
    """
    bins = bins.reshape(-1, len(norm))
    scale, count = norm * 2.0**22, bins["count"]
    points = np.empty(bins.shape, dtype=np.complex64)
    np.divide(bins["real"], scale, out=points.real, casting="same_kind")
    np.divide(bins["imag"], scale, out=points.imag, casting="same_kind")
    if (count != 1).any():
        points /= np.maximum(count, 1)
        points[count == 0] = np.nan
    return points


def _flags(field: str) -> tuple[str, ...]:
    return tuple(flag.strip().replace("_", " ") for flag in field.split(",") if flag.strip())


def _module_kind(module: Mapping[str, object]) -> str:
    """Name a module as rack files do: `QCM-RF`."""
    model = str(module["model"]).upper().replace("CLUSTER", "").strip(" _")
    base = model.removesuffix("_RF").removesuffix("-RF")
    return f"{base}-RF" if module.get("is_rf") else base
