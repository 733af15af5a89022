"""A backend as its clients see it <-> messages: structure, limits, and the Target's numbers at one revision."""

from __future__ import annotations

from dataclasses import dataclass, field

from qubitd.core.device import Device, Meaning
from qubitd.core.errors import Problem
from qubitd.core.properties import OperationProperties, QubitProperties, target_properties
from qubitd.core.snapshot import Snapshot
from qubitd.core.ticks import TICK
from qubitd.v1 import backends_pb2
from qubitd.wire.circuits import WIRE_VERSION
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, check_finite, check_text

MAX_QUBITS = 65_536
MAX_NAME = 128
_MAX_ARITY = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may ask for."""

    max_shots: int
    """Of each circuit at each grid point."""
    max_circuits: int
    max_total_shots: int
    """Circuits x bindings x grid points x shots."""
    max_job_bytes: int
    """Size of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSignature:
    """The shape of a gate, for clients that build circuits."""

    name: str
    num_qubits: int
    angles: tuple[str, ...] = ()
    """Their names, in order."""
    meaning: Meaning = field(default_factory=Meaning)
    """What it does, for a gate that Qiskit does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """A device that takes jobs, at one calibration revision."""

    name: str
    description: str
    revision: int
    revision_time_ns: int
    """When the revision was committed, ns since 1970-01-01 UTC."""
    qubits: tuple[QubitProperties, ...]
    """By index."""
    couplers: tuple[tuple[int, int], ...]
    """Pairs of qubit indices, sorted."""
    operations: tuple[OperationProperties, ...]
    """Gates of the Target. A gate without a known error is absent."""
    signatures: tuple[GateSignature, ...]
    limits: Limits
    dt: float
    """Seconds."""
    operational: bool
    """Whether the rack answers and jobs run."""
    server_version: str
    simulated: bool
    """Whether instruments and chip are emulated."""
    wire_versions: tuple[int, ...] = (WIRE_VERSION,)
    """Versions of the circuit columns that the daemon takes."""
    trouble: str = ""
    """Why jobs do not run now, for people; empty while operational."""

    def wire_problem(self) -> Problem | None:
        """Say why circuits that are written here cannot be read there, if so."""
        if WIRE_VERSION in self.wire_versions:
            return None
        taken = ", ".join(map(str, self.wire_versions)) or "none that it names"
        what = (
            f"the daemon reads circuits in wire version {taken}, and this client writes {WIRE_VERSION}; "
            f"install the client of the daemon's version, {self.server_version}"
        )
        return Problem(where=self.name, what=what)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendStanding:
    """How a backend stands."""

    name: str
    online: bool
    """Whether its daemon is there: jobs for one that is not wait until it is."""
    reason: str = ""
    """Why it is not, for people."""
    address: str = ""
    """Where its daemon serves, `host:port`; empty if there is but one daemon."""


def backend_info(
    device: Device,
    snapshot: Snapshot,
    *,
    limits: Limits,
    operational: bool,
    simulated: bool,
    server_version: str,
    trouble: str = "",
) -> BackendInfo:
    """Describe a device at a revision.

    Raises:
        InvalidCalibrationError: a duration that a gate needs is missing.
        OffGridError: a duration is off the grid.
    """
    properties = target_properties(device, snapshot)
    return BackendInfo(
        name=device.name,
        description=device.description,
        revision=snapshot.revision,
        revision_time_ns=snapshot.created_at,
        qubits=properties.qubits,
        couplers=tuple(coupler.qubits for coupler in device.couplers),
        operations=properties.operations,
        signatures=tuple(
            GateSignature(
                name=gate.name,
                num_qubits=len(gate.operands[0]) if gate.operands else 1,
                angles=gate.angles,
                meaning=gate.meaning,
            )
            for gate in device.gates.values()
            if not gate.internal
        ),
        limits=limits,
        dt=TICK,
        operational=operational,
        server_version=server_version,
        simulated=simulated,
        trouble=trouble,
    )


def encode_backend(info: BackendInfo) -> backends_pb2.Backend:
    """Give the message of a backend."""
    return backends_pb2.Backend(
        name=info.name,
        description=info.description,
        revision=info.revision,
        revision_time_ns=info.revision_time_ns,
        qubits=[backends_pb2.Qubit(name=q.name, t1=q.t1, t2=q.t2, frequency=q.frequency) for q in info.qubits],
        couplers=[backends_pb2.Pair(first=first, second=second) for first, second in info.couplers],
        gates=[
            backends_pb2.GateProperties(name=o.name, qubits=o.operands, duration=o.duration, error=o.error)
            for o in info.operations
        ],
        signatures=[_encode_signature(signature) for signature in info.signatures],
        limits=backends_pb2.Limits(
            max_shots=info.limits.max_shots,
            max_circuits=info.limits.max_circuits,
            max_total_shots=info.limits.max_total_shots,
            max_job_bytes=info.limits.max_job_bytes,
        ),
        dt=info.dt,
        operational=info.operational,
        server_version=info.server_version,
        simulated=info.simulated,
        wire_versions=info.wire_versions,
        trouble=info.trouble,
    )


def encode_standing(standing: BackendStanding) -> backends_pb2.BackendStanding:
    """Give the message of how a backend stands."""
    return backends_pb2.BackendStanding(
        name=standing.name, online=standing.online, reason=standing.reason, address=standing.address
    )


def decode_standing(message: backends_pb2.BackendStanding) -> BackendStanding:
    """Read how a backend stands.

    Raises:
        MalformedMessageError: it has no name.
    """
    return BackendStanding(
        name=check_text(message.name, where="name", least=1, most=MAX_NAME),
        online=message.online,
        reason=message.reason,
        address=message.address,
    )


def _encode_signature(signature: GateSignature) -> backends_pb2.GateSignature:
    return backends_pb2.GateSignature(
        name=signature.name,
        num_qubits=signature.num_qubits,
        angles=signature.angles,
        definition=signature.meaning.definition,
        equivalences=signature.meaning.equivalences,
    )


def decode_backend(message: backends_pb2.Backend) -> BackendInfo:
    """Read and check a backend.

    Raises:
        MalformedMessageError: a gate names a qubit that is not there, or a number makes no sense.
    """
    count = check_count(len(message.qubits), where="number of qubits", most=MAX_QUBITS)
    dt = check_finite(message.dt, where="dt")
    if dt <= 0:
        raise malformed("dt", f"is {dt} s; a tick takes longer than 0 s")
    return BackendInfo(
        name=check_text(message.name, where="name", least=1, most=MAX_NAME),
        description=message.description,
        revision=message.revision,
        revision_time_ns=message.revision_time_ns,
        qubits=tuple(_decode_qubit(qubit, index) for index, qubit in enumerate(message.qubits)),
        couplers=tuple(_decode_pair(pair, count) for pair in message.couplers),
        operations=tuple(_decode_gate(gate, count) for gate in message.gates),
        signatures=tuple(_decode_signature(signature) for signature in message.signatures),
        limits=Limits(
            max_shots=message.limits.max_shots,
            max_circuits=message.limits.max_circuits,
            max_total_shots=message.limits.max_total_shots,
            max_job_bytes=message.limits.max_job_bytes,
        ),
        dt=dt,
        operational=message.operational,
        server_version=message.server_version,
        simulated=message.simulated,
        wire_versions=tuple(message.wire_versions),
        trouble=message.trouble,
    )


def _decode_qubit(message: backends_pb2.Qubit, index: int) -> QubitProperties:
    def known(name: str, value: float) -> float | None:
        return check_finite(value, where=f"qubit {index}, {name}") if message.HasField(name) else None  # type: ignore[arg-type]  # the stub lists the names

    return QubitProperties(
        name=message.name,
        t1=known("t1", message.t1),
        t2=known("t2", message.t2),
        frequency=known("frequency", message.frequency),
    )


def _decode_pair(message: backends_pb2.Pair, count: int) -> tuple[int, int]:
    if not message.first < message.second < count:
        raise malformed("coupler", f"joins {message.first} and {message.second}; give two of {count} qubits, sorted")
    return message.first, message.second


def _decode_gate(message: backends_pb2.GateProperties, count: int) -> OperationProperties:
    where = f"gate {message.name}"
    operands = tuple(message.qubits)
    if len(set(operands)) != len(operands) or any(qubit >= count for qubit in operands):
        raise malformed(where, f"acts on qubits {list(operands)} of a device with {count}")
    return OperationProperties(
        name=check_text(message.name, where="name of a gate", least=1, most=MAX_NAME),
        operands=operands,
        duration=_not_negative(message.duration, f"{where}, duration") if message.HasField("duration") else None,
        error=_not_negative(message.error, f"{where}, error") if message.HasField("error") else None,
    )


def _not_negative(value: float, where: str) -> float:
    if check_finite(value, where=where) < 0:
        raise malformed(where, f"is {value}; the least is 0")
    return value


def _decode_signature(message: backends_pb2.GateSignature) -> GateSignature:
    where = f"signature of {message.name}"
    return GateSignature(
        name=check_text(message.name, where="name of a gate", least=1, most=MAX_NAME),
        num_qubits=check_count(message.num_qubits, where=f"{where}, num_qubits", most=_MAX_ARITY),
        angles=tuple(message.angles),
        meaning=Meaning(definition=message.definition, equivalences=tuple(message.equivalences)),
    )
