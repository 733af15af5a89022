"""Measures what a Qiskit user waits for, beside the plain client doing the same job in the same run.

The Bell job runs on the emulated rack, whose time is virtual: what is left is the way there and back, the compiler, the
instruments' conversation, and what the emulator computes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray
from qiskit.providers import JobStatus

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import BackendInfo, Limits, QubitdClient
from qubitd.core.job import Assignment, JobSpec, ProgramResult
from qubitd.core.properties import OperationProperties, QubitProperties
from qubitd.core.sweep import Sweep
from qubitd.provider import QubitdBackend, QubitdJob, QubitdProvider, QubitdSampler
from qubitd.provider.encode import Encoder
from qubitd.provider.target import build_target
from qubitd.server.store.frames import merged
from qubitd.wire.backends import GateSignature, decode_backend, encode_backend
from qubitd.wire.results import ResultsReader, ResultsWriter

SHOTS = 1024
BINDINGS = 10_000
BOUND_SHOTS = 100
IN_A_ROW = 20
MOST_ANSWER_BYTES = 1 << 18
"""Of small pieces of a result in one message."""
LIMITS = Limits(max_shots=100_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure."""

    name: str
    milliseconds: float
    """Median."""
    goal: float
    """Milliseconds; infinite where there is none."""


def median_ms(work: Callable[[], object], rounds: int) -> float:
    """Time something, after one round that does not count."""
    work()
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def bell(backend: QubitdBackend) -> QuantumCircuit:
    """Give a transpiled pair."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return transpile(circuit, backend, optimization_level=2, seed_transpiler=1)


def plain_job(client: QubitdClient, spec: JobSpec, backend: str) -> list[ProgramResult]:
    """Do a job with the plain client: submit, follow to the end, read."""
    job_id = client.submit(spec, backend)
    for _ in client.watch(job_id):
        pass
    return list(client.results(job_id))


def added_by_bindings_ms(backend: QubitdBackend, rounds: int) -> float:
    """What many bindings cost beside what the instruments take for their shots, as the job tells it itself."""
    angles = [Parameter(f"angle{i}") for i in range(4)]
    circuit = QuantumCircuit(2)
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 1)
    circuit.cx(0, 1)
    circuit.rz(angles[2], 0)
    circuit.rx(angles[3], 1)
    circuit.measure_all()
    circuit = transpile(circuit, backend, optimization_level=1, seed_transpiler=1)
    sampler = QubitdSampler(backend, default_shots=BOUND_SHOTS)
    added: list[float] = []
    for turn in range(rounds):
        values = np.random.default_rng(turn).random((BINDINGS, len(angles)))
        began = time.perf_counter()
        job = sampler.run([(circuit, values)])
        job.result()
        took = time.perf_counter() - began
        added.append(took - sum(one.metrics()["spent"]["run"] for one in job.jobs))
    return 1e3 * statistics.median(added)


def push_delay_ms(backend: QubitdBackend, circuit: QuantumCircuit, rounds: int) -> float:
    """Time from the moment at which a state began, by the daemon's clock, to the callback that tells of it."""
    delays: list[float] = []
    for _ in range(rounds):
        ended = threading.Event()

        def tell(_: str, status: JobStatus, job: QubitdJob, ended: threading.Event = ended) -> None:
            if status is JobStatus.DONE:
                delays.append(time.time_ns() - job.timeline[-1].time_ns)
                ended.set()

        backend.run(circuit, shots=1).on_status(tell)
        ended.wait(60)
    return statistics.median(delays) / 1e6


def against_a_daemon(rounds: int) -> tuple[list[Row], float]:
    """Measure jobs; also give how much longer a Qiskit user waits than the plain client."""
    with (
        tempfile.TemporaryDirectory() as directory,
        start_daemon(data_dir=Path(directory) / "data") as daemon,
        QubitdProvider(daemon.address) as provider,
    ):
        backend = provider.get_backend()
        circuit = bell(backend)
        batch = Encoder(backend.info).encode([circuit]).batch
        spec = JobSpec(batch=batch, sweep=Sweep(), shots=SHOTS)
        page = os.open(Path(directory) / "page", os.O_CREAT | os.O_RDWR)
        ours, plain, call, sync = in_turns(
            lambda: backend.run(circuit, shots=SHOTS).result().get_counts(),
            lambda: plain_job(provider.client, spec, backend.name),
            provider.client.backends,
            lambda: written_out(page),
            rounds=rounds,
        )
        os.close(page)
        rows = [
            Row(name=f"Bell job, {SHOTS} shots, run to result", milliseconds=ours, goal=8.0),
            Row(name="the same job, plain client", milliseconds=plain, goal=float("inf")),
            Row(name="one call that asks for next to nothing", milliseconds=call, goal=float("inf")),
            Row(name="one page brought to the disk; a job needs two", milliseconds=sync, goal=float("inf")),
            Row(name="end of a job to its callback", milliseconds=push_delay_ms(backend, circuit, rounds), goal=10.0),
            Row(
                name=f"{BINDINGS} bindings x {BOUND_SHOTS} shots, over the run",
                milliseconds=added_by_bindings_ms(backend, max(1, rounds // 20)),
                goal=500.0,
            ),
        ]
    return rows, ours / plain


def written_out(page: int) -> None:
    """Write a page of a database and have it on the disk."""
    os.pwrite(page, bytes(4096), 0)
    os.fdatasync(page)


def in_turns(*ways: Callable[[], object], rounds: int) -> list[float]:
    """Time several things in turns, so that all see the same machine, each some times in a row, as who uses it does;
    medians in ms, after a turn that does not count.
    """
    times: list[list[float]] = [[] for _ in ways]
    for turn in range(1 + -(-rounds // IN_A_ROW)):
        for way, taken in zip(ways, times, strict=True):
            for _ in range(IN_A_ROW):
                began = time.perf_counter()
                way()
                if turn:
                    taken.append(time.perf_counter() - began)
    return [1e3 * statistics.median(taken) for taken in times]


def chain(num_qubits: int) -> BackendInfo:
    """Describe a device of many qubits in a line."""
    qubits = tuple(QubitProperties(name=f"q{i}", t1=50e-6, t2=60e-6, frequency=5e9) for i in range(num_qubits))
    couplers = tuple((i, i + 1) for i in range(num_qubits - 1))
    single = ("rz", "sx", "x", "id", "measure", "reset")
    rows = [
        OperationProperties(name=name, operands=(i,), duration=40e-9, error=1e-3)
        for name in single
        for i in range(num_qubits)
    ]
    pairs = [
        OperationProperties(name="cz", operands=pair, duration=60e-9, error=5e-3)
        for first, second in couplers
        for pair in ((first, second), (second, first))
    ]
    return BackendInfo(
        name="chain",
        description="",
        revision=1,
        revision_time_ns=0,
        qubits=qubits,
        couplers=couplers,
        operations=(*rows, *pairs),
        signatures=(GateSignature(name="rz", num_qubits=1, angles=("theta",)), GateSignature(name="cz", num_qubits=2)),
        limits=LIMITS,
        dt=1e-9,
        operational=True,
        server_version="0",
        simulated=True,
    )


def big_circuits() -> list[QuantumCircuit]:
    """Give 100 circuits of 1000 gates in native gates."""
    rng = np.random.default_rng(1)
    circuits: list[QuantumCircuit] = []
    for _ in range(100):
        circuit = QuantumCircuit(5, 5)
        for kind, qubit, angle in zip(
            rng.integers(3, size=1000), rng.integers(4, size=1000), rng.random(1000), strict=True
        ):
            if kind == 0:
                circuit.rz(float(angle), int(qubit))
            elif kind == 1:
                circuit.sx(int(qubit))
            else:
                circuit.cz(int(qubit), int(qubit) + 1)
        circuits.append(circuit)
    return circuits


def answers() -> list[bytes]:
    """Give the result of 100 circuits, 10 000 shots and 20 bits each, in the messages that a daemon sends."""
    bits = np.random.default_rng(2).integers(256, size=(100, 10_000, 3), dtype=np.uint8)
    bits &= np.array([15, 255, 255], np.uint8)
    errors = tuple(Assignment(clbit=i, qubit=i, prob_meas1_prep0=0.01, prob_meas0_prep1=0.02) for i in range(20))
    results = (
        ProgramResult(program=i, first_shot=0, shots=10_000, bits=rows, assignment=errors)
        for i, rows in enumerate(bits)
    )
    return list(merged(map(ResultsWriter().write, results), most=MOST_ANSWER_BYTES))


def decoded(messages: Sequence[bytes]) -> list[BitArray]:
    """Bring results from the wire into Qiskit's arrays."""
    reader = ResultsReader()
    results = (result for message in messages for result in reader.read(message))
    return [BitArray(result.bits, 20) for result in results if result.bits is not None]


def import_ms(rounds: int) -> float:
    """Time the import of the provider where Qiskit is imported, each in an interpreter of its own, after one."""
    program = (
        "import qiskit, time; began = time.perf_counter(); import qubitd.provider; print(time.perf_counter() - began)"
    )
    command = [sys.executable, "-c", program]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(rounds + 1)]
    return 1e3 * statistics.median(float(run.stdout) for run in runs[1:])


def without_a_daemon(rounds: int) -> list[Row]:
    """Measure what the client does alone."""
    info = chain(5)
    circuits = big_circuits()
    messages = answers()
    hundred = encode_backend(chain(100))
    few = max(3, rounds // 10)
    return [
        Row(
            name="encode 100 circuits of 1000 gates",
            milliseconds=median_ms(lambda: Encoder(info).encode(circuits), few),
            goal=200.0,
        ),
        Row(
            name="decode 100 circuits x 10 000 shots x 20 bits",
            milliseconds=median_ms(lambda: decoded(messages), rounds),
            goal=2.0,
        ),
        Row(
            name="the same bits, copied once into new memory",
            milliseconds=median_ms(lambda: [memoryview(message).tobytes() for message in messages], rounds),
            goal=float("inf"),
        ),
        Row(
            name="Target of 100 qubits from its message",
            milliseconds=median_ms(lambda: build_target(decode_backend(hundred)), few),
            goal=50.0,
        ),
        Row(name="import of qubitd.provider after Qiskit's", milliseconds=import_ms(few), goal=300.0),
    ]


def main() -> None:
    """Print medians, goals, and the ratio to the plain client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="of each measurement (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON at the end")
    arguments = parser.parse_args()
    rows, ratio = against_a_daemon(arguments.rounds)
    rows += without_a_daemon(arguments.rounds)
    for row in rows:
        goal = "" if row.goal == float("inf") else f"   goal {row.goal:g}"
        print(f"{row.name:<46} {row.milliseconds:9.2f} ms{goal}")
    print(f"{'Qiskit user over plain client':<46} {ratio:9.2f}      goal 1.6")
    if arguments.json:
        print(json.dumps({"ratio": round(ratio, 3), "ms": {row.name: round(row.milliseconds, 3) for row in rows}}))


if __name__ == "__main__":
    main()
