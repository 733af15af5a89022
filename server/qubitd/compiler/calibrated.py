"""Gates with their numbers filled in: each once per calibration, and in a sweep again only where the sweep reaches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from qubitd.compiler.composites import flatten
from qubitd.compiler.gate_table import NOT_GATES, GateKey
from qubitd.compiler.memory import Memory
from qubitd.compiler.numbers import GateNumbers, tabulate
from qubitd.compiler.resolve import NOTHING_OWN, ResolvedGate, SweptValues, resolve_gate
from qubitd.compiler.templates import lines_of
from qubitd.core.circuit import Operation
from qubitd.core.device import CompositeGate, Device
from qubitd.core.envelope import Envelope
from qubitd.core.errors import InvalidCalibrationError, Problem
from qubitd.core.snapshot import Snapshot

_KEPT = 8
"""Calibrations whose gates are kept."""
_kept: OrderedDict[tuple[int, int, str], CalibratedGates] = OrderedDict()
"""By the device's identity, and the snapshot's revision and digest."""


def calibrated_gates(device: Device, snapshot: Snapshot) -> CalibratedGates:
    """Give the gates of a device at a snapshot; the last few that were asked for are kept, whoever asks again."""
    key = id(device), snapshot.revision, snapshot.digest
    gates = _kept.pop(key, None) or CalibratedGates(device, snapshot)
    _kept[key] = gates
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
    return gates


class CalibratedGates:
    """The pulse gates of a device at one snapshot, resolved when first asked for."""

    def __init__(self, device: Device, snapshot: Snapshot, own: Mapping[str, Envelope] = NOTHING_OWN) -> None:
        """Take a device at a snapshot, with a job's own envelopes by the names of what they are for."""
        self.device = device
        self.snapshot = snapshot
        self.lines = lines_of(device)
        self.memory = Memory()
        """What is known of circuits at this calibration."""
        self.gate_memory = Memory()
        """What is known of gates, for themselves: long circuits do not push it out."""
        self.sound: set[GateKey] = set()
        """Operations on which a check found nothing wrong."""
        self.sound_rows: set[Operation] = set()
        """Rows of tables of operations in which it found nothing wrong."""
        self._own = own
        self._resolved: dict[GateKey, ResolvedGate] = {}

    def get(self, key: GateKey) -> ResolvedGate:
        """Give a pulse gate on operands on which it exists.

        Raises:
            InvalidCalibrationError: its values are missing or contradict each other.
        """
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._resolve(key, {})
        return found

    def at(self, keys: Sequence[GateKey], point: Mapping[str, float]) -> list[ResolvedGate]:
        """Give pulse gates at one point of a sweep over the snapshot; their terms are still without values.

        Raises:
            InvalidCalibrationError: as `get`.
        """
        return [
            gate if gate.shaping.isdisjoint(point) else self._resolve(key, point)
            for key, gate in ((key, self.get(key)) for key in keys)
        ]

    def numbers(self, keys: tuple[GateKey, ...], fixed: Mapping[str, float]) -> GateNumbers:
        """Give the numbers of pulse gates, worked out once unless a fixed value shapes one of them.

        Args:
            keys: of the gates.
            fixed: values of a point of a sweep.

        Raises:
            InvalidCalibrationError: as `get`.
        """
        known = self.gate_memory.recall(
            (tabulate, keys), 16 * len(keys) + 16, lambda: tabulate(self.at(keys, {}), self.lines, self.snapshot)
        )
        if known.shaping.isdisjoint(fixed):
            return known
        return tabulate(self.at(keys, fixed), self.lines, self.snapshot)

    def pulse_gates(self, key: GateKey) -> tuple[GateKey, ...]:
        """Give what a gate is made of: itself, or the body of a composite gate. A reset plays nothing."""
        if key.name in NOT_GATES:
            return ()
        if not isinstance(self.device.gates[key.name], CompositeGate):
            return (key,)
        return tuple(
            GateKey(name=step.gate, operands=tuple(key.operands[i] for i in step.operands))
            for step in flatten(self.device.gates, key.name)
        )

    def problems(self, key: GateKey) -> tuple[Problem, ...]:
        """Say what keeps a gate from being played at this snapshot."""
        found: dict[Problem, None] = {}
        for pulse in self.pulse_gates(key):
            try:
                self.get(pulse)
            except InvalidCalibrationError as error:
                found.update(dict.fromkeys(error.problems))
        return tuple(found)

    def _resolve(self, key: GateKey, point: Mapping[str, float]) -> ResolvedGate:
        gate = self.device.gates[key.name]
        if isinstance(gate, CompositeGate):
            raise TypeError(f"{key.name} is a composite gate; it has no numbers of its own")
        values = SweptValues(snapshot=self.snapshot, point=point)
        return resolve_gate(self.device, values, gate, key.operands, self._own)
