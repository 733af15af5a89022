"""Compiles jobs from their bytes to verified programs and to Q1ASM, beside Qiskit's transpile of the same circuit.

Medians of interleaved runs. What is held against the goals is the way from validated bytes to verified programs: a job
of circuits never seen before has been checked, as the daemon does before it queues one, and is compiled for the first
time. Beside it stand the same without that check (nothing is known of the circuits), and the same circuits sent again
under other names. The loops in C are compiled first, if there is a compiler (`qubitd accelerate`); "NumPy" is the same
without them. The reference is a transpile at level 0, which returns a native circuit nearly untouched; what we make of
one is scheduled, so a transpile that schedules, too (`scheduling_method="alap"`, on a Target with the device's
durations), is beside it. The last line of `--json` is one JSON object: its `ratio` is our gates per second at depth
1000, bytes to verified program, over the reference's; `ratio_scheduled` is that over the other's.

`--scaling` measures time and peak memory from 10^3 to 3 x 10^6 gates instead, and what a job of 10 000 circuits takes
while it streams to Q1ASM, above its decoded circuits, beside one of 5000; `--peers` compiles the same layers with
LabOne Q and QubiC's distproc.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import peers
from qiskit import QuantumCircuit, transpile

from qubitd.compiler.block import Block
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import Compiled, compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.native import PASSES
from qubitd.compiler.verify import Verify
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.native import NativeError
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.cluster.native import LINES
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.provider.target import build_target
from qubitd.server.instruments.ceilings import ceilings_of
from qubitd.server.jobs.limits import limits_of
from qubitd.v1 import jobs_pb2
from qubitd.wire.backends import backend_info
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec, encode_spec

QUBITS = 5
REFERENCE = "5-qubit layers, depth 1000"
GOAL = 10
SCALES = (1_000, 10_000, 100_000, 1_000_000, 3_000_000)
GROWTH_GOALS = {27_005: 10, 267_190: 25}
"""MiB of peak memory for so many gates."""
FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()
RACK = load_rack()
VERIFY = Verify(ceilings=ceilings_of(RACK))
CONTROLLER = open_rack(RACK)
TARGET = build_target(
    backend_info(
        FILE.device, SNAPSHOT, limits=limits_of(FILE.device), operational=True, simulated=True, server_version=""
    )
)
NUMBERS = itertools.count()
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
    goal_text: float | None = None
    """Milliseconds that we promise from bytes to Q1ASM."""


def layers(depth: int, name: str = "layers") -> CircuitBuilder:
    """Turn every qubit with rz sx rz sx rz and join two pairs, `depth` times; then measure all."""
    rng = np.random.default_rng(depth)
    circuit = CircuitBuilder(name=name, num_qubits=QUBITS, num_clbits=QUBITS)
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


def bound() -> CircuitBuilder:
    """A circuit of 100 parameters, and 1000 rows of values for them."""
    circuit = CircuitBuilder(name="ansatz", num_qubits=QUBITS, num_clbits=QUBITS)
    for column in range(100):
        circuit.add("rz", column % QUBITS, params=(FromColumn(column=column),)).add("sx", column % QUBITS)
        if column % QUBITS == QUBITS - 1:
            circuit.add("cz", 0, 1).add("cz", 2, 3)
    for qubit in range(QUBITS):
        circuit.measure(qubit, qubit)
    return circuit.bind(np.random.default_rng(1).uniform(-math.pi, math.pi, (1000, 100)))


def message_of(batch: CircuitBatch, sweep: Sweep | None = None) -> bytes:
    """Write a job."""
    return encode_spec(JobSpec(batch=batch, sweep=sweep or Sweep(), shots=1000)).SerializeToString()


def work(
    name: str,
    builders: Sequence[CircuitBuilder],
    *,
    goal: float,
    goal_text: float | None = None,
    sweep: Sweep | None = None,
) -> Work:
    """Make a row from circuits."""
    batch = pack(builders)
    return Work(
        name=name,
        gates=sum(len(circuit) * circuit.num_bindings for circuit in batch.circuits),
        message=message_of(batch, sweep),
        goal_program=goal,
        goal_text=goal_text,
    )


def renamed(message: bytes) -> bytes:
    """Give the same job with circuits of other names, as a client sends it again."""
    spec = parse(jobs_pb2.JobSpec, message)
    for circuit in spec.batch.circuits:
        circuit.name = f"run {next(NUMBERS)}"
    return spec.SerializeToString()


def unseen(message: bytes) -> bytes:
    """Give the same job with other numbers of classical bits, so that nothing is remembered of its circuits."""
    spec = decode_spec(parse(jobs_pb2.JobSpec, renamed(message)))
    more = next(NUMBERS) % 2**15
    circuits = tuple(replace(circuit, num_clbits=circuit.num_clbits + more) for circuit in spec.batch.circuits)
    return encode_spec(replace(spec, batch=replace(spec.batch, circuits=circuits))).SerializeToString()


def validated(message: bytes) -> bytes:
    """Give a job of circuits that were checked but never compiled."""
    fresh = unseen(message)
    checked(fresh)
    return fresh


def checked(message: bytes) -> Compiled:
    """Decode and check a job, as the daemon does before it queues it; no program is made."""
    return compile_job(FILE.device, SNAPSHOT, decode_spec(parse(jobs_pb2.JobSpec, message)))


def to_programs(message: bytes) -> tuple[list[Block], int]:
    """Decode, check, compile and verify; a `Program`, which is a view of its block, is made where it is assembled."""
    compiled = checked(message)
    blocks: list[Block] = []
    for block in compiled.blocks():
        VERIFY.check(block)
        blocks.append(block)
    return blocks, compiled.reset


def to_text(message: bytes) -> int:
    """The same, and Q1ASM with waveforms for one shot of every program; gives the bytes."""
    blocks, reset = to_programs(message)
    chunks = Pack(capacity=CONTROLLER.capacity, reset=reset)(blocks, shots=1)
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


def scheduled(circuit: QuantumCircuit) -> QuantumCircuit:
    """Do what Qiskit does for a circuit that is native already, and say when each gate starts."""
    made: QuantumCircuit = transpile(circuit, target=TARGET, optimization_level=0, scheduling_method="alap")
    return made


def unscheduled(circuit: QuantumCircuit) -> QuantumCircuit:
    """The same without the times."""
    made: QuantumCircuit = transpile(circuit, target=TARGET, optimization_level=0)
    return made


def milliseconds(function: Callable[[_Argument], object], argument: _Argument) -> float:
    """Time one call."""
    start = time.perf_counter()
    function(argument)
    return (time.perf_counter() - start) * 1e3


def rows() -> list[Work]:
    """Make all work before anything is timed."""
    few, many = ([benchmarking(cliffords, seed) for seed in range(100)] for cliffords in (100, 1000))
    rabi = CircuitBuilder(name="rabi", num_qubits=QUBITS, num_clbits=1).add("x", 0).measure(0, 0)
    amplitudes = Sweep(axes=(SweepAxis(names=("q0.x.amplitude",), values=np.linspace(0, 0.9, 101)[None]),))
    return [
        work("5-qubit layers, depth 10", [layers(10)], goal=1),
        work("5-qubit layers, depth 100", [layers(100)], goal=2),
        work(REFERENCE, [layers(1000)], goal=12, goal_text=25),
        work("100 RB x 100 Cliffords", few, goal=4, goal_text=20),
        work("100 RB x 1000 Cliffords", many, goal=45, goal_text=180),
        work("Rabi sweep, 101 points", [rabi], goal=0.5, sweep=amplitudes),
        work("1000 x 100 parameters", [bound()], goal=20),
    ]


def compare(rounds: int) -> dict[str, float]:
    """Print the table and the ratio."""
    circuit = as_qiskit(layers(1000))
    times: dict[str, list[float]] = {"scheduled": [], "unscheduled": []}
    ours: dict[str, float] = {}
    print(
        f"{'work':28} {'gates':>7}  {'bytes to programs, ms':>26}  {'NumPy':>6}  {'unchecked':>9}  {'sent again':>10}  "
        f"{'bytes to Q1ASM, ms':>26}  {'NumPy':>7}"
    )
    for row in rows():
        programs: list[float] = []
        unchecked: list[float] = []
        again: list[float] = []
        texts: list[float] = []
        plain: list[tuple[float, float]] = []
        for _ in range(rounds):
            programs.append(milliseconds(to_programs, validated(row.message)))
            unchecked.append(milliseconds(to_programs, unseen(row.message)))
            again.append(milliseconds(to_programs, renamed(row.message)))
            texts.append(milliseconds(to_text, validated(row.message)))
            with PASSES.left_out(), LINES.left_out():
                own = (milliseconds(work, validated(row.message)) for work in (to_programs, to_text))
                plain.append((next(own), next(own)))
            if row.name == REFERENCE:
                times["scheduled"].append(milliseconds(scheduled, circuit))
                times["unscheduled"].append(milliseconds(unscheduled, circuit))
        ours[row.name] = statistics.median(programs)
        told = _told(ours[row.name], row.goal_program), _told(statistics.median(texts), row.goal_text)
        numpy_alone = [statistics.median(times) for times in zip(*plain, strict=True)]
        beside = f"{numpy_alone[0]:6.2f}  {statistics.median(unchecked):9.2f}  {statistics.median(again):10.2f}"
        print(f"{row.name:28} {row.gates:7}  {told[0]:>26}  {beside}  {told[1]:>26}  {numpy_alone[1]:7.2f}")
    reference = {name: statistics.median(values) for name, values in times.items()}
    found = {
        "ratio": reference["unscheduled"] / ours[REFERENCE],
        "ratio_scheduled": reference["scheduled"] / ours[REFERENCE],
        "ours_ms": ours[REFERENCE],
        "reference_ms": reference["unscheduled"],
        "reference_scheduled_ms": reference["scheduled"],
    }
    print(
        f"transpile(optimization_level=0) of {REFERENCE}: {reference['unscheduled']:.1f} ms, "
        f"{found['ratio']:.1f} times ours (goal {GOAL}); with scheduling {reference['scheduled']:.1f} ms, "
        f"{found['ratio_scheduled']:.1f} times ours"
    )
    return found


def of_size(gates: int) -> Work:
    """Make a job of about so many gates, in circuits of a million at most."""
    each = layers(min(gates, 999_000) // 27)
    return work(f"{gates} gates", [each] * max(1, round(gates / 999_000)), goal=math.inf)


def stream(message: bytes) -> int:
    """Decode, check, compile and verify, and keep no program."""
    plays = 0
    for block in checked(message).blocks():
        VERIFY.check(block)
        plays += sum(len(program.plays.start) for program in block)
    return plays


def growth(message: bytes) -> float:
    """Give the peak of the memory that a job takes, MiB."""
    tracemalloc.start()
    try:
        stream(message)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def streaming(circuits: int) -> float:
    """Give the peak that a job of so many circuits takes above its circuits while it streams to Q1ASM, MiB."""
    device = replace(FILE.device, max_circuits=circuits)
    message = message_of(pack([layers(2, name=f"circuit {number}") for number in range(circuits)]))
    spec = decode_spec(parse(jobs_pb2.JobSpec, message))
    tracemalloc.start()
    try:
        compiled = compile_job(device, SNAPSHOT, spec)
        for chunk in Pack(capacity=CONTROLLER.capacity, reset=compiled.reset)(verified(compiled.blocks()), shots=1):
            CONTROLLER.assemble(chunk)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def verified(blocks: Iterable[Block]) -> Iterator[Block]:
    """Give blocks one by one, each verified."""
    for block in blocks:
        VERIFY.check(block)
        yield block


def scaling(rounds: int) -> dict[str, float]:
    """Print time and memory against gates, and their exponents."""
    sizes = [of_size(gates) for gates in SCALES]
    limited = [rows()[2], rows()[4]]
    medians: list[float] = []
    peaks: list[float] = []
    print(f"{'work':28} {'gates':>8} {'ms':>9} {'ns/gate':>8} {'peak MiB':>9} {'bytes/gate':>11}")
    for row in sizes + limited:
        stream(row.message)
        medians.append(statistics.median(milliseconds(stream, unseen(row.message)) for _ in range(rounds)))
        peaks.append(growth(unseen(row.message)))
        each = f"{medians[-1] * 1e6 / row.gates:8.1f} {peaks[-1]:9.2f} {peaks[-1] * 2**20 / row.gates:11.1f}"
        print(f"{row.name:28} {row.gates:8} {medians[-1]:9.2f} {each}")
    gates = np.log([row.gates for row in sizes])
    exponents = [float(np.polyfit(gates, np.log(of[: len(sizes)]), 1)[0]) for of in (medians, peaks)]
    print(f"exponent of time {exponents[0]:.3f}, of memory {exponents[1]:.3f} (goal at most 1.02)")
    for row, peak, (about, goal) in zip(limited, peaks[len(sizes) :], GROWTH_GOALS.items(), strict=True):
        print(f"memory of {row.name}: {peak:.1f} MiB (goal {goal} MiB at {about} gates)")
    half, whole = streaming(5_000), streaming(10_000)
    print(f"peak above the circuits, streamed to Q1ASM: {half:.1f} MiB for 5000 circuits, {whole:.1f} MiB for 10 000")
    return {"exponent_time": exponents[0], "exponent_memory": exponents[1], "stream_growth": whole / half}


def beside_peers(rounds: int) -> dict[str, float]:
    """Print what others take for the layers, beside our bytes to Q1ASM."""
    ours: dict[int, float] = {}
    for depth in peers.DEPTHS:
        message = message_of(pack([layers(depth)]))
        ours[depth] = statistics.median(milliseconds(to_text, unseen(message)) for _ in range(rounds))
    return {f"{name}, depth {depth}": ratio for (name, depth), ratio in peers.compare(ours).items()}


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each row (%(default)s)")
    parser.add_argument("--scaling", action="store_true", help="time and memory from 10^3 to 3 x 10^6 gates")
    parser.add_argument("--peers", action="store_true", help="the same layers by other compilers, from PyPI")
    options = parser.parse_args()
    measure = beside_peers if options.peers else scaling if options.scaling else compare
    print(f"loops: {accelerated()}")
    found = measure(options.rounds)
    if options.json:
        print(json.dumps(found))
    return 0


def accelerated() -> str:
    """Have the loops compiled, if they can be, and say which are used."""
    try:
        return f"in C, {PASSES.build().name} and {LINES.build().name}"
    except NativeError as error:
        return f"NumPy's: {error}"


def _told(median: float, goal: float | None) -> str:
    return f"{median:.2f}" if goal is None else f"{median:.2f} ({median / goal:.1f} x goal {goal:g})"


if __name__ == "__main__":
    sys.exit(main())
