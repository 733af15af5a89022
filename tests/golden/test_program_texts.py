"""A circuit and what it becomes, side by side: each file of `programs` holds both. `--update` writes the second."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qubitd.compiler.compile import Compiled, compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.pipeline import Pipeline
from qubitd.compiler.text import circuit_text, program_text, schedule_text
from qubitd.compiler.verify import Verify
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack

FOLDER = Path(__file__).parent / "programs"
CASES = sorted(FOLDER.glob("*.txt"))
CHIP = load_device(str(FOLDER / "chip.toml"))

HEADING = re.compile(r"circuit '(.*)': (\d+) qubits, (\d+) classical bits")
OPERATION = re.compile(r"  (\w+)(?:\((.*)\))? ([q\d, ]+?)(?: -> ([\d, ]+))?")


def read(source: str) -> CircuitBatch:
    first, *rest = source.splitlines()
    heading = HEADING.fullmatch(first)
    assert heading
    builder = CircuitBuilder(name=heading[1], num_qubits=int(heading[2]), num_clbits=int(heading[3]))
    for line in rest:
        found = OPERATION.fullmatch(line)
        assert found, line
        builder.add(
            found[1],
            *(int(qubit.removeprefix("q")) for qubit in found[3].split(", ")),
            params=[float(p) for p in found[2].split(", ")] if found[2] else [],
            clbits=[int(c) for c in found[4].split(", ")] if found[4] else [],
        )
    return pack([builder])


def scheduled(compiled: Compiled) -> str:
    """Write the schedule of a job's first circuit."""
    pipeline = Pipeline(compiled.gates, compiled.gathered, compiled.scheduling)
    prepared = pipeline.prepare(range(1))
    numbers = pipeline.numbers(prepared, {})
    length = pipeline.lengths(prepared, numbers)
    return schedule_text(prepared.columns, pipeline.schedule(prepared, numbers), length)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_circuit_becomes_schedule_and_program(case: Path, update: bool) -> None:
    source, _, made = case.read_text(encoding="utf-8").partition("\n\n")
    batch = read(source)
    assert circuit_text(batch.circuits[0], batch.operations) == source + "\n"
    compiled = compile_circuits(CHIP.device, CHIP.snapshot(), batch)
    (program,) = compiled.programs()
    Verify()(program)
    texts = f"{scheduled(compiled)}\n{program_text(program)}"
    if update:
        case.write_text(f"{source}\n\n{texts}", encoding="utf-8")
    else:
        assert texts == made


def test_there_are_cases() -> None:
    assert len(CASES) >= 5
