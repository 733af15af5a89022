"""`qubitd run`: a circuit file through the provider, counts on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from qiskit.circuit import QuantumCircuit
from qiskit.result import Result
from rich.console import Console

from qubitd.cli.chosen_daemon import chosen_backend, note
from qubitd.cli.circuit_file import add_circuit, add_lowering, measures_anything, native_circuit
from qubitd.cli.display import block_character
from qubitd.core.errors import Problem
from qubitd.provider import CircuitFileError, QubitdJob
from qubitd.provider.qasm import read_circuit

_BAR_WIDTH = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_circuit(parser)
    add_lowering(parser)
    parser.add_argument("--shots", type=int, default=1024, metavar="N", help="times the circuit is run (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Run the circuit and print its counts."""
    circuit = read_circuit(arguments.file)
    adds_measurements = _lacks_measurements(circuit, arguments.file, measure_all=arguments.measure_all)
    with chosen_backend(arguments) as backend:
        native = native_circuit(circuit, backend, arguments.file, measures_all=adds_measurements, seed=arguments.seed)
        job = backend.run(
            native,
            shots=arguments.shots,
            seed_simulator=arguments.seed,
            scheduling=arguments.scheduling,
            dd=arguments.dd,
            max_iterations=arguments.max_iterations,
        )
        _wait(job)
        result = job.result()
        for line in job.logs():
            note(line)
    if arguments.json:
        print(json.dumps(_document(result, circuit, arguments.seed)))
    else:
        print("\n".join(_table(result)))
    return 0


def _lacks_measurements(circuit: QuantumCircuit, file: Path, *, measure_all: bool) -> bool:
    """Say whether measurements are to be added; a circuit without any is refused unless they are."""
    measures = measures_anything(circuit)
    if measures and measure_all:
        note(f"{file} measures already; --measure-all changes nothing")
    if not measures and not measure_all:
        what = "measures nothing, so there is nothing to count; add measurements, or use --measure-all"
        raise CircuitFileError([Problem(where=str(file), what=what)])
    return not measures


def _wait(job: QubitdJob) -> None:
    """Wait for the end, on a terminal with a line that shows the state. Ctrl-C cancels the job."""
    console = Console(stderr=True)
    try:
        if not console.is_terminal:
            job.wait_for_final_state()
            return
        with console.status(f"job {job.job_id()}") as line:
            for status in job.statuses():
                line.update(f"job {job.job_id()}: {status.name}")
    except KeyboardInterrupt:
        job.cancel()
        raise


def _document(result: Result, circuit: QuantumCircuit, seed: int | None) -> dict[str, object]:
    return {
        "counts": result.get_counts(),
        "shots": result.results[0].shots,
        "circuit": circuit.name,
        "backend": result.backend_name,
        "revision": result.revision,
        "job": result.job_id,
        "seed": seed,
        "seconds": result.time_taken,
    }


def _table(result: Result) -> Iterator[str]:
    """Counts, the most frequent first."""
    counts: dict[str, int] = result.get_counts()
    shots = result.results[0].shots
    most = max(counts.values())
    width = len(str(most))
    yield f"{result.backend_name}, revision {result.revision}, {shots} shots, job {result.job_id}"
    for outcome, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        bar = block_character() * round(_BAR_WIDTH * count / most)
        yield f"{outcome}  {count:>{width}}  {count / shots:>6.1%}  {bar}".rstrip()
