"""`qubitd run`: a circuit file through the provider, counts on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from qiskit import transpile
from qiskit.circuit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.result import Result
from rich.console import Console

from qubitd.cli.chosen_daemon import add_choice, chosen_backend, note
from qubitd.cli.display import block_character
from qubitd.core.errors import Problem
from qubitd.provider import CircuitFileError, QubitdBackend, QubitdJob
from qubitd.provider.narrow import without_idle_qubits
from qubitd.provider.qasm import read_circuit

_LEVEL = 2
_BAR_WIDTH = 32
_MAX_SEED = 2**32 - 1
_TRANSPILE_FAULTS = (QiskitError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What transpile raises on numbers that it does not expect, such as an OverflowError on an endless delay."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="circuit in OpenQASM 2 or 3")
    parser.add_argument("--shots", type=int, default=1024, metavar="N", help="times the circuit is run (%(default)s)")
    add_choice(parser)
    parser.add_argument("--seed", type=_seed, metavar="N", help="makes transpiling and an emulated chip repeatable")
    parser.add_argument("--measure-all", action="store_true", help="measure every qubit at the end")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Run the circuit and print its counts."""
    circuit = read_circuit(arguments.file)
    adds_measurements = _lacks_measurements(circuit, arguments.file, measure_all=arguments.measure_all)
    with chosen_backend(arguments.server, arguments.backend, arguments.device) as backend:
        narrow = _narrow(circuit, backend, arguments.file)
        if adds_measurements:
            narrow.measure_all()
        native = _native(narrow, backend, arguments.file, seed=arguments.seed)
        job = backend.run(native, shots=arguments.shots, seed_simulator=arguments.seed)
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
    measures = any(instruction.name == "measure" for instruction in circuit.data)
    if measures and measure_all:
        note(f"{file} measures already; --measure-all changes nothing")
    if not measures and not measure_all:
        what = "measures nothing, so there is nothing to count; add measurements, or use --measure-all"
        raise CircuitFileError([Problem(where=str(file), what=what)])
    return not measures


def _narrow(circuit: QuantumCircuit, backend: QubitdBackend, file: Path) -> QuantumCircuit:
    """Leave out qubits that are never used, if there are too many."""
    narrow = without_idle_qubits(circuit, backend.num_qubits)
    if narrow is not circuit:
        note(f"{file} declares {circuit.num_qubits} qubits and uses {narrow.num_qubits}; the idle ones are left out")
    if narrow.num_qubits > backend.num_qubits:
        what = f"uses {narrow.num_qubits} qubits; {backend.name} has {backend.num_qubits}"
        raise CircuitFileError([Problem(where=str(file), what=what)])
    return narrow


def _native(circuit: QuantumCircuit, backend: QubitdBackend, file: Path, *, seed: int | None) -> QuantumCircuit:
    try:
        with _warnings_as_notes():
            return transpile(circuit, backend, optimization_level=_LEVEL, seed_transpiler=seed)
    except _TRANSPILE_FAULTS as error:
        what = f"cannot be transpiled for {backend.name}: {getattr(error, 'message', error)}"
        raise CircuitFileError([Problem(where=str(file), what=what)]) from error


@contextmanager
def _warnings_as_notes() -> Generator[None]:
    """What Qiskit warns of, such as a rounded delay, is for the user to know; where in its code is not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for text in dict.fromkeys(str(entry.message) for entry in caught if issubclass(entry.category, UserWarning)):
        note(text)


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


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed <= _MAX_SEED:
        raise argparse.ArgumentTypeError(f"{seed} is no seed; give 0 to {_MAX_SEED}")
    return seed
