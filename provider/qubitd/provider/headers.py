"""What a result says about its circuit: names and registers, in Qiskit's form.

Live objects in a circuit's metadata stay on this client; what is plain JSON travels with the job, so that another
process can read the result as well.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit

from qubitd.core.errors import Problem
from qubitd.provider.origins import AS_WRITTEN, Origins, read_origins
from qubitd.provider.sweep import Axis

FORM = 1
"""Version of the data that travel with a job."""
MAX_BYTES = 1 << 20
MAX_WRITTEN = 64 << 20
"""Bytes before they are compressed."""
_WRITER = json.JSONEncoder(separators=(",", ":"))
_LINE = re.compile(r"circuit (?P<circuit>\d+) .*, such as operation (?P<operation>\d+) from ")
"""How the daemon tells of delays that it rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitHeader:
    """One circuit of a job, as its result names it."""

    measures: bool
    """Whether the circuit measures anything at all."""
    fields: dict[str, Any]
    """As in Qiskit: name, creg_sizes, qreg_sizes, memory_slots, n_qubits, global_phase, metadata."""
    origins: Origins = AS_WRITTEN
    """Which of the user's operations each stems from that travels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHeader:
    """What is needed to turn the pieces of a result into Qiskit's `Result`."""

    circuits: tuple[CircuitHeader, ...]
    """Of each program: a circuit with bindings stands here once for each of them."""
    memory: bool
    """Whether the outcome of every shot was asked for."""
    axes: tuple[Axis, ...] = ()
    """Of a sweep, in the order in which they were asked for."""
    is_mean: bool | None = None
    """Whether the mean over shots was asked for; None where another client did not say."""

    def told(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Give the daemon's problems with the places of operations in the user's circuits."""
        origins = self._origins()
        return tuple(
            origins[problem.circuit].told(problem)
            if problem.circuit is not None and problem.circuit < len(origins)
            else problem
            for problem in problems
        )

    def told_line(self, line: str) -> str:
        """Give a line of the daemon's log with the place of an operation that it names in the user's circuit."""
        match = _LINE.match(line)
        origins = self._origins() if match is not None else []
        if match is None or int(match["circuit"]) >= len(origins):
            return line
        position = origins[int(match["circuit"])].of(int(match["operation"]))
        return line[: match.start("operation")] + str(position) + line[match.end("operation") :]

    def _origins(self) -> list[Origins]:
        """Of each circuit, however often it is run."""
        return [next(same).origins for _, same in itertools.groupby(self.circuits, key=id)]


def circuit_header(circuit: QuantumCircuit, *, measures: bool, origins: Origins = AS_WRITTEN) -> CircuitHeader:
    """Describe a circuit."""
    fields = {
        "name": circuit.name,
        "creg_sizes": _register_sizes(circuit.clbits, circuit.cregs),
        "qreg_sizes": _register_sizes(circuit.qubits, circuit.qregs),
        "memory_slots": circuit.num_clbits,
        "n_qubits": circuit.num_qubits,
        "global_phase": float(circuit.global_phase) if _is_number(circuit.global_phase) else 0.0,
        "metadata": circuit.metadata or {},
    }
    return CircuitHeader(measures=measures, fields=fields, origins=origins)


def write_header(header: JobHeader) -> bytes:
    """Give the part of a header that can travel. Metadata are left out where they are not JSON, and all if too long.

    What is too long is compressed, as thousands of circuits are, before anything is left out.
    """
    for with_metadata in (True, False):
        written = _dump(header, with_metadata=with_metadata)
        if len(written) > MAX_WRITTEN:
            continue
        data = written if len(written) <= MAX_BYTES else zlib.compress(written)
        if len(data) <= MAX_BYTES:
            return data
    return b""


def read_header(data: bytes, *, num_programs: int) -> JobHeader:
    """Read what `write_header` wrote; where nothing was written, or by another client, name the circuits by number."""
    try:
        document = json.loads(_inflated(data))
        runs = [c["runs"] for c in document["circuits"]]
        if document["form"] != FORM or min(runs) < 1 or sum(runs) != num_programs:
            return _nameless(num_programs)
        circuits = [header for c in document["circuits"] for header in [_circuit_header(c)] * c["runs"]]
        axes = tuple(
            Axis(
                names=tuple(axis["names"]),
                values=np.array(axis["values"], dtype=np.float64),
                is_lab=tuple(bool(lab) for lab in axis["is_lab"]),
            )
            for axis in document.get("axes", ())
        )
        is_mean = None if document.get("mean") is None else bool(document["mean"])
        return JobHeader(circuits=tuple(circuits), memory=bool(document["memory"]), axes=axes, is_mean=is_mean)
    except (ValueError, KeyError, TypeError, zlib.error):
        return _nameless(num_programs)


def _inflated(data: bytes) -> bytes:
    """Give what was written, compressed or not; nothing of what is longer than anybody writes."""
    if data[:1] in (b"", b"{"):
        return data
    stream = zlib.decompressobj()
    written = stream.decompress(data, MAX_WRITTEN)
    return written if stream.eof else b""


def _circuit_header(document: dict[str, Any]) -> CircuitHeader:
    origins = read_origins(document.get("origins", ()))
    return CircuitHeader(measures=bool(document["measures"]), fields=dict(document["header"]), origins=origins)


def _nameless(num_programs: int) -> JobHeader:
    circuits = (
        CircuitHeader(measures=True, fields={"name": f"circuit-{i}", "metadata": {}}) for i in range(num_programs)
    )
    return JobHeader(circuits=tuple(circuits), memory=False)


def _dump(header: JobHeader, *, with_metadata: bool) -> bytes:
    circuits: list[dict[str, Any]] = []
    for _, same in itertools.groupby(header.circuits, key=id):
        circuit, *others = same
        metadata = circuit.fields["metadata"] if with_metadata else {}
        fields = circuit.fields | {"metadata": _plain(metadata)}
        written: dict[str, Any] = {"measures": circuit.measures, "header": fields, "runs": 1 + len(others)}
        circuits.append(written | ({"origins": circuit.origins.spans} if circuit.origins.spans else {}))
    document = {"form": FORM, "memory": header.memory, "mean": header.is_mean, "circuits": circuits}
    if header.axes:
        document["axes"] = [
            {"names": axis.names, "values": axis.values.tolist(), "is_lab": axis.is_lab} for axis in header.axes
        ]
    return _WRITER.encode(document).encode()


def _plain(metadata: dict[Any, Any]) -> dict[str, Any]:
    """Keep the entries that JSON gives back as they were."""
    kept: dict[str, Any] = {}
    for key, value in metadata.items():
        try:
            if isinstance(key, str) and json.loads(json.dumps(value, allow_nan=False)) == value:
                kept[key] = value
        except (TypeError, ValueError, RecursionError):
            continue
    return kept


def _register_sizes(bits: Sequence[Any], registers: Sequence[Any]) -> list[list[Any]]:
    """Cut the row of bits into registers. A loose bit is a register of one; `Result` would lose shots otherwise.

    Registers that share bits, or whose bits are scattered, cannot be shown as a row of registers: then all bits stand
    together.
    """
    if len(registers) == 1 and bits and list(registers[0]) == list(bits):
        return [[registers[0].name, len(bits)]]
    starts = {register[0]: register for register in registers if len(register)}
    owned = {bit for register in registers for bit in register}
    sizes: list[list[Any]] = []
    place = 0
    while place < len(bits):
        register = starts.get(bits[place])
        if register is None and bits[place] not in owned:
            sizes.append([f"bit{place}", 1])
            place += 1
        elif register is not None and list(bits[place : place + len(register)]) == list(register):
            sizes.append([register.name, len(register)])
            place += len(register)
        else:
            return [["bits", len(bits)]]
    covered = sum(size for _, size in sizes) == len(bits) and len(sizes) >= sum(1 for r in registers if len(r))
    return sizes if covered else [["bits", len(bits)]]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
