"""`qubitd pulses`: what a circuit file plays on each line over time, as a picture or as text; nothing is run."""

from __future__ import annotations

import argparse
from pathlib import Path

from qiskit.circuit import QuantumCircuit

from qubitd.calibration.folder import make_folder
from qubitd.cli.chosen_daemon import chosen_backend
from qubitd.cli.circuit_file import add_circuit, add_lowering, native_circuit
from qubitd.cli.pictures.pulses import draw_pulses
from qubitd.cli.planned import planned_lines
from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import DeviceFile, load_device, packaged_devices
from qubitd.compiler.text import program_text
from qubitd.compiler.verify_circuit import compared
from qubitd.core.errors import Problem
from qubitd.core.job import Decoupling, JobSpec, Scheduling
from qubitd.core.program import Program
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack
from qubitd.drivers.rack_file import load_rack, packaged_racks
from qubitd.provider import CircuitFileError, QubitdBackend
from qubitd.provider.encode import Encoder
from qubitd.provider.options import read_max_iterations
from qubitd.provider.qasm import read_circuit

MOST_PULSES = 2_000
"""More cannot be told apart in a picture."""
_FORMATS = (".svg", ".png", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_circuit(parser)
    add_lowering(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="picture: .svg, .png or .pdf (build/pulses/NAME.svg)"
    )
    parser.add_argument(
        "--device-file", metavar="FILE", help="of the daemon's device, if that is no packaged one: it holds the gates"
    )
    parser.add_argument("--text", action="store_true", help="print the program instead of drawing it")


def run(arguments: argparse.Namespace) -> int:
    """Compile the circuit with the calibration in force, and draw it."""
    circuit = read_circuit(arguments.file)
    output: Path = arguments.output or Path("build/pulses") / f"{arguments.file.stem}.svg"
    if output.suffix not in _FORMATS:
        what = f"is no picture that can be written; give a name that ends in {', '.join(_FORMATS)}"
        raise CircuitFileError([Problem(where=str(output), what=what)])
    with chosen_backend(arguments) as backend:
        native = native_circuit(
            circuit, backend, arguments.file, measures_all=arguments.measure_all, seed=arguments.seed
        )
        device = _device(backend.name, arguments.device or arguments.device_file)
        program = _compiled(native, backend, device, backend.calibration(), arguments)
        title = f"{native.name} on {backend.name}, calibration revision {backend.revision}"
    if arguments.text:
        print(program_text(program), end="")
        return 0
    _draw(program, device, output, title)
    print(output)
    return 0


def _device(name: str, given: str | None) -> DeviceFile:
    """Read the gates of a device, which no daemon tells."""
    if given is None and name not in packaged_devices():
        what = "is a device of the lab's own, and its daemon does not tell its gates; give its file with --device-file"
        raise CircuitFileError([Problem(where=name, what=what)])
    return load_device(given or name)


def _compiled(
    native: QuantumCircuit,
    backend: QubitdBackend,
    device: DeviceFile,
    snapshot: Snapshot,
    arguments: argparse.Namespace,
) -> Program:
    encoder = Encoder(backend.info, max_iterations=read_max_iterations({"max_iterations": arguments.max_iterations}))
    encoded = encoder.encode([native])
    if encoder.problems:
        raise CircuitFileError(encoder.problems)
    spec = JobSpec(
        batch=encoded.batch,
        sweep=Sweep(),
        shots=1,
        scheduling=Scheduling(arguments.scheduling),
        dd=None if arguments.dd is None else Decoupling(arguments.dd),
    )
    feedforward = open_rack(_rack(device)).feedforward
    job = compile_job(device.device, snapshot, spec, feedforward=feedforward)
    return next(compared(job, job.programs()))


def _draw(program: Program, device: DeviceFile, output: Path, title: str) -> None:
    count = len(program.plays.start)
    if not 0 < count <= MOST_PULSES:
        what = f"plays {count} pulses, and a picture shows 1 to {MOST_PULSES}; use --text"
        raise CircuitFileError([Problem(where=title, what=what)])
    make_folder(output.parent)
    draw_pulses(planned_lines(program, _rack(device)), title=title).savefig(output, dpi=150)


def _rack(device: DeviceFile) -> Rack:
    """Give the rack that comes with a packaged device, or the demo's."""
    name = device.device.name
    return load_rack(Path(name) if name in packaged_racks() else None)
