"""What a chip is: qubits, couplers, and gates whose numbers are calibration parameters.

A pulse gate is a template of plays, phase shifts and acquisitions; a composite gate is a sequence of other gates.
Neither holds a calibrated number: it names parameters, and a `Snapshot` gives their values. A name in a template is
relative to the operands: `sx.amplitude` on qubit q0 is the parameter `q0.sx.amplitude`, on a pair it is
`q0_q1.cz.amplitude` (pairs sorted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LineKind = Literal["drive", "flux", "readout"]
"""A qubit's three signal paths; `q0.drive` is the line of kind `drive` at qubit q0."""

BUILT_IN_OPERATIONS = ("barrier", "delay")
"""Operations that every device has and that need no template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A calibration parameter, named relative to a gate's operands."""

    name: str
    """Such as `sx.amplitude`, `frequency`, `readout.duration`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """constant + sum of factor x angle, over the gate's own angles."""

    constant: float
    terms: tuple[tuple[str, float], ...] = ()
    """(name of the angle, factor), each angle once."""

    def __add__(self, other: Affine) -> Affine:
        """Give the sum of both."""
        factors = dict(self.terms)
        for name, factor in other.terms:
            factors[name] = factors.get(name, 0.0) + factor
        return Affine(constant=self.constant + other.constant, terms=tuple(factors.items()))

    def scaled(self, factor: float) -> Affine:
        """Give the product with a number."""
        return Affine(constant=self.constant * factor, terms=tuple((name, f * factor) for name, f in self.terms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A calibration parameter times an expression of the gate's own angles."""

    reference: Reference
    by: Affine


Number = float | Reference | Affine | Scaled
"""A number of a template: fixed, calibrated, made from the angles that the circuit gives, or calibrated times these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayStep:
    """Play an envelope on one line, from the gate's start."""

    line: LineKind
    operand: int | Literal["pulsed"]
    """Which of the gate's operands; `pulsed` is the coupler's pulsed qubit."""
    envelope: str
    """Kind of envelope, a key of `qubitd.core.envelope.SHAPE_FIELDS`."""
    length: Number
    """Seconds, on the grid."""
    amplitude: Number
    """Fraction of the output's full scale, -1..1."""
    phase: Number = 0.0
    """Radians, on top of the frame's phase."""
    shape: Mapping[str, Number] = field(default_factory=dict[str, Number])
    """The envelope's other numbers (sigma, beta, rise), seconds."""
    samples: tuple[complex, ...] = ()
    """Of the envelope `sampled`, 1 tick apart; its `length` is as many ticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftPhaseStep:
    """Rotate one operand's frame: a virtual Rz by this angle."""

    operand: int
    phase: Number
    """Radians."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireStep:
    """Integrate the readout line of one operand."""

    operand: int
    delay: Number
    """Seconds from the gate's start to the first sample: the time of flight."""
    length: Number
    """Seconds, a multiple of 4 ns on the Cluster."""
    kernel: str = "boxcar"
    """Kind of integration kernel, a key of `qubitd.core.envelope.KERNEL_FIELDS`."""
    shape: Mapping[str, Number] = field(default_factory=dict[str, Number])
    """The kernel's other numbers (linewidth, chi), Hz."""


Step = PlayStep | ShiftPhaseStep | AcquireStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a gate is meant to do, for a gate that Qiskit does not know. Texts that `qubitd.core.definition` reads."""

    definition: str = ""
    """The gate in terms of Qiskit's, in OpenQASM 3: `gate sy q { ry(pi/2) q; }`. Its matrix follows from it."""
    equivalences: tuple[str, ...] = ()
    """Gates of Qiskit in terms of this one and others of Qiskit: `gate h q { z q; sy q; }`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseGate:
    """A gate that is pulses, phase shifts and acquisitions."""

    name: str
    operands: tuple[tuple[int, ...], ...]
    """The qubits, or ordered pairs, on which it exists."""
    symmetric: bool = False
    """Whether the order of its operands does not matter: the template then counts them sorted."""
    angles: tuple[str, ...] = ()
    """Names of the parameters that a circuit gives, in order; radians."""
    duration: Number
    """Seconds, on the grid: the slot that the gate takes on all of its operands."""
    error: Number | None
    """Average gate infidelity; without a value the gate is not in the Target. None: the Target states none."""
    steps: tuple[Step, ...]
    meaning: Meaning = field(default_factory=Meaning)
    internal: bool = False
    """Whether only composite gates are made of it, and no circuit may hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyStep:
    """One gate in the body of a composite gate."""

    gate: str
    operands: tuple[int, ...]
    """Positions among the composite gate's own operands."""
    angles: tuple[Affine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeGate:
    """A gate that is a sequence of other gates. Its duration is the sum of theirs as scheduled."""

    name: str
    operands: tuple[tuple[int, ...], ...]
    angles: tuple[str, ...] = ()
    error: Number | None
    """Average gate infidelity, as for a pulse gate."""
    body: tuple[BodyStep, ...]
    meaning: Meaning = field(default_factory=Meaning)
    internal: bool = False
    """Whether only other composite gates are made of it, and no circuit may hold it."""


Gate = PulseGate | CompositeGate


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupler:
    """Two coupled qubits."""

    qubits: tuple[int, int]
    """Sorted."""
    pulsed: int
    """The qubit whose flux line is played for a two-qubit gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A chip's structure and the limits of the backend that serves it."""

    name: str
    """Also the backend's name."""
    description: str
    qubits: tuple[str, ...]
    """Names, by index: q0, q1, ..."""
    couplers: tuple[Coupler, ...]
    gates: Mapping[str, Gate]
    max_shots: int
    """Per circuit."""
    max_circuits: int
    """Per job."""

    @property
    def num_qubits(self) -> int:
        """How many qubits there are, those out of service included."""
        return len(self.qubits)

    def operand_name(self, operands: tuple[int, ...]) -> str:
        """Give the prefix of the parameters of a gate on these qubits: `q0`, or `q0_q1` whichever way round."""
        return "_".join(self.qubits[i] for i in sorted(operands))

    def coupler(self, operands: tuple[int, ...]) -> Coupler | None:
        """Find the coupler between two qubits, whichever way round."""
        wanted = tuple(sorted(operands))
        return next((c for c in self.couplers if c.qubits == wanted), None)


def parameter_name(device: Device, operands: tuple[int, ...], reference: Reference) -> str:
    """Give the full dotted name of a parameter that a template on these operands refers to."""
    return f"{device.operand_name(operands)}.{reference.name}"
