"""The noise that a calibration states, or none at all: what `expected` and `ideal` differ in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qubitd.compiler.gate_table import GateKey
from qubitd.core.decoherence import coherence_limit
from qubitd.core.device import Device, Reference, parameter_name
from qubitd.core.snapshot import Snapshot
from qubitd.core.ticks import to_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class QubitNoise:
    """One qubit."""

    t1: float = math.inf
    """Seconds."""
    t2: float = math.inf
    """Seconds."""
    thermal_population: float = 0.0
    """Population of 1 that T1 leads to."""
    prob_meas1_prep0: float = 0.0
    prob_meas0_prep1: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateNoise:
    """One gate on its operands."""

    depolarising: float = 0.0
    """Average gate infidelity beyond decay and leakage."""
    leakage: float = 0.0
    """Part of 11 that leaves the two levels."""
    leaking: int = -1
    """The qubit that it leaves on: the pulsed one; -1 if there is no leakage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A chip's noise. Without any entry: none."""

    qubits: Sequence[QubitNoise]
    gates: dict[GateKey, GateNoise] = field(default_factory=dict[GateKey, GateNoise])
    zz: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])
    """Static ZZ of sorted pairs, Hz."""


def no_noise(device: Device) -> Noise:
    """Give a chip without noise."""
    return Noise(qubits=[QubitNoise()] * device.num_qubits)


def stated_noise(device: Device, snapshot: Snapshot, gates: dict[GateKey, int]) -> Noise:
    """Give the noise that a calibration states; what it does not hold counts as none.

    Args:
        device: whose couplers say which qubit is pulsed.
        snapshot: the calibration.
        gates: ticks of each gate that is played.
    """
    qubits = [_qubit_noise(snapshot, name) for name in device.qubits]
    pairs = {c.qubits: _known(snapshot, f"{device.operand_name(c.qubits)}.zz", 0.0) for c in device.couplers}
    return Noise(
        qubits=qubits,
        gates={key: _gate_noise(device, snapshot, key, ticks, qubits) for key, ticks in gates.items()},
        zz={pair: zz for pair, zz in pairs.items() if zz != 0},
    )


def _qubit_noise(snapshot: Snapshot, name: str) -> QubitNoise:
    t1 = _known(snapshot, f"{name}.t1", math.inf)
    return QubitNoise(
        t1=t1,
        t2=_known(snapshot, f"{name}.t2", 2 * t1),
        thermal_population=_known(snapshot, f"{name}.thermal_population", 0.0),
        prob_meas1_prep0=_known(snapshot, f"{name}.measure.prob_meas1_prep0", 0.0),
        prob_meas0_prep1=_known(snapshot, f"{name}.measure.prob_meas0_prep1", 0.0),
    )


def _gate_noise(
    device: Device, snapshot: Snapshot, key: GateKey, ticks: int, qubits: Sequence[QubitNoise]
) -> GateNoise:
    coupler = device.coupler(key.operands)
    leakage = _known(snapshot, f"{device.operand_name(key.operands)}.{key.name}.leakage", 0.0) if coupler else 0.0
    lifetimes = tuple((qubits[i].t1, qubits[i].t2) for i in key.operands)
    rest = _error(device, snapshot, key) - coherence_limit(to_seconds(ticks), lifetimes) - leakage / 4
    return GateNoise(
        depolarising=max(0.0, rest), leakage=leakage, leaking=coupler.pulsed if coupler and leakage else -1
    )


def _error(device: Device, snapshot: Snapshot, key: GateKey) -> float:
    """The gate's error; 0 if none was measured, for then it is not in the Target either."""
    number = device.gates[key.name].error
    if isinstance(number, Reference):
        return _known(snapshot, parameter_name(device, key.operands, number), 0.0)
    return number if isinstance(number, float) else 0.0


def _known(snapshot: Snapshot, name: str, otherwise: float) -> float:
    return snapshot.value(name) if name in snapshot else otherwise
