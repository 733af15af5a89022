"""Counts the bytes that a pulse takes on the wire, on the workload of the most compact public peer format.

The workload is 100 sequences x 5 qubits x 100 pulses whose phases lie on a grid of 1024 points; IQM's playlists take
5.66 bytes per pulse for it. A pulse of a given phase is a virtual Z and an SX here; the whole message counts, tables
and names included. Phases of any value travel as lossless float64: 8 bytes each, and 0.7 for what is played.

The last line of `--json` is one JSON object; its `ratio` is 5.66 over our bytes per pulse on the grid.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import Circuit, CircuitBatch, Operation
from qubitd.provider.encode import Encoder
from qubitd.provider.reader import Reader, load_reader
from qubitd.server.jobs.limits import limits_of
from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.backends import backend_info
from qubitd.wire.circuits import decode_batch, encode_batch
from qubitd.wire.parsing import parse
from qubitd.wire.tables import KnownTables

SEQUENCES, QUBITS, PULSES = 100, 5, 100
SHAPE = (SEQUENCES, PULSES, QUBITS)
GRID = 1024
PEER = 5.66
"""Bytes per pulse of IQM's playlist on this workload."""
FLOOR = 8.7
"""Bytes per pulse below which no lossless form of this workload with phases of any value comes."""
GOAL = 1.42
OPERATIONS = (
    Operation(name="rz", num_qubits=1, num_params=1, num_clbits=0),
    Operation(name="sx", num_qubits=1, num_params=0, num_clbits=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one workload takes."""

    bytes_per_pulse: float
    bytes_when_known: float
    """The same when the daemon has the tables already."""
    encode: float
    """Microseconds per gate."""
    decode: float
    """Microseconds per gate, parsing and validation included."""


def workload(turns: NDArray[np.float64]) -> CircuitBatch:
    """Make the circuits from the virtual Z before each pulse, of shape `SHAPE`."""
    opcodes = np.tile(np.array([0, 1], dtype=np.uint16), QUBITS * PULSES)
    qubits = np.tile(np.repeat(np.arange(QUBITS, dtype=np.uint16), 2), PULSES)
    circuits = (
        Circuit(
            name=f"sequence {i}",
            num_qubits=QUBITS,
            num_clbits=0,
            opcodes=opcodes,
            qubits=qubits,
            params=turns[i].ravel(),
            clbits=np.zeros(0, dtype=np.uint32),
        )
        for i in range(SEQUENCES)
    )
    return CircuitBatch(operations=OPERATIONS, circuits=tuple(circuits))


def on_grid() -> CircuitBatch:
    """Phases on the grid: then the turn from one pulse to the next is on it, too."""
    points = np.random.default_rng(1).integers(0, GRID, SHAPE)
    return workload(np.diff(points, axis=1, prepend=0) % GRID * (2 * math.pi / GRID))


def anywhere() -> CircuitBatch:
    """Phases of any value."""
    return workload(np.random.default_rng(1).uniform(-math.pi, math.pi, SHAPE))


def measured(batch: CircuitBatch, rounds: int) -> Figures:
    """Count the bytes and take the times, after a look at whether what comes out is what went in."""
    pulses = math.prod(SHAPE)
    message = encode_batch(batch)
    data = message.SerializeToString()
    back = decode_batch(parse(circuits_pb2.CircuitBatch, data))
    if any((a.params != b.params).any() for a, b in zip(batch.circuits, back.circuits, strict=True)):
        raise AssertionError("an angle came back as another")
    known = KnownTables()
    spec = jobs_pb2.JobSpec(batch=message)
    known.note(known.name(spec))
    known.name(spec)
    return Figures(
        bytes_per_pulse=len(data) / pulses,
        bytes_when_known=spec.batch.ByteSize() / pulses,
        encode=microseconds(lambda: encode_batch(batch).SerializeToString(), rounds) / (2 * pulses),
        decode=microseconds(lambda: decode_batch(parse(circuits_pb2.CircuitBatch, data)), rounds) / (2 * pulses),
    )


def walked_and_read() -> tuple[float, float | None]:
    """Give microseconds per gate from a `QuantumCircuit` to columns: in Python, and by the compiled reader if any."""
    circuit = QuantumCircuit(QUBITS)
    for i in range(20_000):
        circuit.rz(i * 1e-4, i % QUBITS)
        circuit.sx(i % QUBITS)
    file = load_device("line5")
    limits = limits_of(file.device)
    info = backend_info(
        file.device, file.snapshot(), limits=limits, operational=True, simulated=True, server_version=""
    )

    def taken(reader: Reader | None) -> float:
        return microseconds(lambda: Encoder(info, reader=reader).encode([circuit]), 5) / len(circuit.data)

    reader = load_reader()
    return taken(None), None if reader is None else taken(reader)


def microseconds(work: Callable[[], object], rounds: int) -> float:
    """Give the median time of some calls."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def main() -> int:
    """Print both workloads, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each time (%(default)s)")
    options = parser.parse_args()
    grid, free = (measured(batch, options.rounds) for batch in (on_grid(), anywhere()))
    print(f"{'phases':22} {'bytes per pulse':>15} {'tables known':>13} {'encode, us/gate':>16} {'decode, us/gate':>16}")
    for name, found in ((f"grid of {GRID} points", grid), ("any value, float64", free)):
        told = f"{found.bytes_per_pulse:15.3f} {found.bytes_when_known:13.3f}"
        print(f"{name:22} {told} {found.encode:16.4f} {found.decode:16.4f}")
    walked, read = walked_and_read()
    print(f"QuantumCircuit to columns: {walked:.3f} us/gate in Python (goal 2)")
    asked = "python -m qubitd.provider.accelerate" if read is None else f"{read:.3f} us/gate (goal 0.2)"
    print(f"the same by the compiled reader: {asked}")
    ratio = PEER / grid.bytes_per_pulse
    print(f"on the grid {ratio:.2f} times fewer bytes than the peer's {PEER} (goal {GOAL})")
    print(f"any value: {free.bytes_per_pulse / FLOOR:.3f} times the floor of {FLOOR}")
    if options.json:
        sizes = {"bytes_per_pulse": grid.bytes_per_pulse, "bytes_per_pulse_float64": free.bytes_per_pulse}
        print(json.dumps({"ratio": ratio, **sizes, "decode_us_per_gate": grid.decode}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
