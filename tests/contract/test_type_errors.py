"""Mistakes that we promise a type checker will find: exactly the lines that say so, with the error they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MISTAKES = """
from typing import assert_never

from qubitd.core.circuit import CircuitBatch
from qubitd.core.device import Gate, PulseGate
from qubitd.core.envelope import Square
from qubitd.core.job import JobSpec, ProgramResult
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.core.ticks import to_seconds, to_ticks


def a_job_spec_is_named_field_by_field(batch: CircuitBatch, sweep: Sweep) -> None:
    JobSpec(batch=batch, sweep=sweep, shots=1000)
    JobSpec(batch, sweep, 1000)  # expect: call-arg
    JobSpec(batch=batch, sweep=sweep, shotz=1000)  # expect: call-arg
    JobSpec(batch=batch, sweep=sweep, shots="1000")  # expect: arg-type


def values_do_not_change(snapshot: Snapshot, square: Square) -> None:
    square.length = 3  # expect: misc
    snapshot.revision = 7  # expect: misc


def seconds_are_no_ticks() -> None:
    Square(length=20e-9)  # expect: arg-type
    to_seconds(20e-9)  # expect: arg-type
    Square(length=to_ticks(20e-9, what="pulse"))


def a_kind_of_gate_is_not_forgotten(gate: Gate) -> str:
    match gate:
        case PulseGate():
            return "pulses"
        case _:
            assert_never(gate)  # expect: arg-type


def a_result_may_hold_no_bits(result: ProgramResult) -> int:
    return len(result.bits)  # expect: arg-type
"""
EXPECTED = re.compile(r"# expect: (?P<code>[a-z-]+)")
FOUND = re.compile(r"^[^:]+:(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$", re.MULTILINE)


def expected(program: str) -> set[tuple[int, str]]:
    lines = enumerate(program.splitlines(), start=1)
    return {(number, match["code"]) for number, line in lines if (match := EXPECTED.search(line))}


def test_each_mistake_is_found_by_mypy_and_nothing_else_is(tmp_path: Path) -> None:
    program = tmp_path / "mistakes.py"
    program.write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", "--no-pretty", str(program)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = {(int(match["line"]), match["code"]) for match in FOUND.finditer(output)}
    assert found == expected(MISTAKES), output
