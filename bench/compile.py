"""Compiles jobs from their bytes to verified programs and to Q1ASM, beside Qiskit's transpile of the same circuit.

Medians of interleaved runs. The last line of `--json` is one JSON object; its `ratio` is our gates per second at depth
1000, bytes to verified program, over those of `transpile(optimization_level=0)`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from qiskit import QuantumCircuit, transpile

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.verify import Verify
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.program import Program
from qubitd.core.sweep import Sweep
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.server.ceilings import ceilings_of
from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec, encode_spec

QUBITS = 5
REFERENCE = "5-qubit layers, depth 1000"
FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()
RACK = load_rack()
VERIFY = Verify(ceilings=ceilings_of(RACK))
CONTROLLER = open_rack(RACK)
_Argument = TypeVar("_Argument")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One row of the table."""

    name: str
    gates: int
    message: bytes
    """A `JobSpec`, as it comes over the wire."""
    goal_program: float
    """Milliseconds that we promise from bytes to verified programs."""
    goal_text: float | None
    """Milliseconds that we promise from bytes to Q1ASM."""


def layers(depth: int) -> CircuitBuilder:
    """Turn every qubit with rz sx rz sx rz and join two pairs, `depth` times; then measure all."""
    rng = np.random.default_rng(depth)
    circuit = CircuitBuilder(name=f"layers {depth}", num_qubits=QUBITS, num_clbits=QUBITS)
    for layer in range(depth):
        for qubit in range(QUBITS):
            angles = rng.uniform(-math.pi, math.pi, 3).tolist()
            for angle in angles[:2]:
                circuit.add("rz", qubit, params=(angle,)).add("sx", qubit)
            circuit.add("rz", qubit, params=(angles[2],))
        for first in (0, 2) if layer % 2 else (1, 3):
            circuit.add("cz", first, first + 1)
    for qubit in range(QUBITS):
        circuit.measure(qubit, qubit)
    return circuit


def benchmarking(cliffords: int, seed: int) -> CircuitBuilder:
    """Something like randomized benchmarking of one qubit: quarter turns about z between sx."""
    rng = np.random.default_rng(seed)
    circuit = CircuitBuilder(name=f"rb {seed}", num_qubits=QUBITS, num_clbits=1)
    for _ in range(cliffords):
        circuit.add("rz", 0, params=(float(rng.integers(4)) * math.pi / 2,)).add("sx", 0)
        if rng.random() < 2 / 3:
            circuit.add("rz", 0, params=(float(rng.integers(4)) * math.pi / 2,))
    return circuit.measure(0, 0)


def message_of(batch: CircuitBatch) -> bytes:
    """Write a job."""
    return encode_spec(JobSpec(batch=batch, sweep=Sweep(), shots=1000)).SerializeToString()


def work(name: str, builders: Sequence[CircuitBuilder], *, goals: tuple[float, float | None]) -> Work:
    """Make a row from circuits."""
    batch = pack(builders)
    return Work(
        name=name,
        gates=sum(len(circuit) for circuit in batch.circuits),
        message=message_of(batch),
        goal_program=goals[0],
        goal_text=goals[1],
    )


def to_programs(message: bytes) -> tuple[list[Program], int]:
    """Decode, check, compile and verify."""
    spec = decode_spec(parse(jobs_pb2.JobSpec, message))
    compiled = compile_circuits(FILE.device, SNAPSHOT, spec.batch, spec.sweep)
    programs: list[Program] = []
    for block in compiled.blocks():
        VERIFY(*block)
        programs += block
    return programs, compiled.reset


def to_text(message: bytes) -> int:
    """The same, and Q1ASM with waveforms for one shot of every program; gives the bytes."""
    programs, reset = to_programs(message)
    chunks = Pack(capacity=CONTROLLER.capacity, reset=reset)(programs, shots=1)
    return sum(CONTROLLER.assemble(chunk).upload_bytes for chunk in chunks)


def as_qiskit(builder: CircuitBuilder) -> QuantumCircuit:
    """Write a circuit for Qiskit."""
    circuit = QuantumCircuit(QUBITS, QUBITS)
    for step in builder:
        match step.name:
            case "rz":
                circuit.rz(step.params[0], step.qubits[0])
            case "sx":
                circuit.sx(step.qubits[0])
            case "cz":
                circuit.cz(*step.qubits)
            case _:
                circuit.measure(step.qubits[0], step.clbits[0])
    return circuit


def at_level_0(circuit: QuantumCircuit) -> QuantumCircuit:
    """Do what Qiskit does for a circuit that is native already."""
    coupling = [[a, a + 1] for a in range(QUBITS - 1)] + [[a + 1, a] for a in range(QUBITS - 1)]
    made: QuantumCircuit = transpile(
        circuit, basis_gates=["rz", "sx", "x", "cz", "id"], coupling_map=coupling, optimization_level=0
    )
    return made


def milliseconds(function: Callable[[_Argument], object], argument: _Argument) -> float:
    """Time one call."""
    start = time.perf_counter()
    function(argument)
    return (time.perf_counter() - start) * 1e3


def rows() -> list[Work]:
    """Make all work before anything is timed."""
    few, many = ([benchmarking(cliffords, seed) for seed in range(100)] for cliffords in (100, 1000))
    return [
        work("5-qubit layers, depth 10", [layers(10)], goals=(1, None)),
        work("5-qubit layers, depth 100", [layers(100)], goals=(2, None)),
        work(REFERENCE, [layers(1000)], goals=(12, 25)),
        work("100 RB x 100 Cliffords", few, goals=(4, 20)),
        work("100 RB x 1000 Cliffords", many, goals=(45, 180)),
    ]


def main() -> int:
    """Print the table, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each row (%(default)s)")
    options = parser.parse_args()
    circuit = as_qiskit(layers(1000))
    theirs: list[float] = []
    ours: dict[str, float] = {}
    print(f"{'work':28} {'gates':>7}  {'bytes to programs, ms':>28}  {'bytes to Q1ASM, ms':>26}")
    for row in rows():
        programs: list[float] = []
        texts: list[float] = []
        for _ in range(options.rounds):
            programs.append(milliseconds(to_programs, row.message))
            texts.append(milliseconds(to_text, row.message))
            if row.name == REFERENCE:
                theirs.append(milliseconds(at_level_0, circuit))
        ours[row.name] = statistics.median(programs)
        told = _told(ours[row.name], row.goal_program), _told(statistics.median(texts), row.goal_text)
        print(f"{row.name:28} {row.gates:7}  {told[0]:>28}  {told[1]:>26}")
    reference = statistics.median(theirs)
    ratio = reference / ours[REFERENCE]
    print(f"transpile(optimization_level=0) of {REFERENCE}: {reference:.1f} ms, {ratio:.1f} times ours (goal 10)")
    if options.json:
        print(json.dumps({"ratio": ratio, "ours_ms": ours[REFERENCE], "reference_ms": reference}))
    return 0


def _told(median: float, goal: float | None) -> str:
    return f"{median:.2f}" if goal is None else f"{median:.2f} ({median / goal:.1f} x goal {goal:g})"


if __name__ == "__main__":
    sys.exit(main())
