"""One program stands for all that differ from it in phases only if whatever these are it fits, and may be played."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, Scheduling
from qubitd.core.program import Chunk
from qubitd.core.sweep import Sweep
from qubitd.drivers.controller import Controller
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

FILE = load_device("line5")
NEARLY_FULL = 8300
"""Gates that fit a sequencer's 16384 instructions only as long as they set no phase."""


@pytest.fixture(scope="module")
def controller() -> Controller:
    return open_rack(load_rack())


def chunk(controller: Controller, circuit: CircuitBuilder, *, raw: bool = False) -> Chunk:
    """Give one shot of a circuit."""
    spec = JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1, scheduling=Scheduling.ASAP)
    job = compile_job(FILE.device, FILE.snapshot(), spec)
    (program,) = job.programs()
    return Pack(capacity=controller.capacity, reset=job.reset, raw=raw).alone(program)


def turned(angles: Iterable[float]) -> CircuitBuilder:
    circuit = CircuitBuilder(name="turned", num_qubits=1, num_clbits=1)
    for angle in angles:
        circuit.add("sx", 0).add("rz", 0, params=(angle,))
    return circuit.measure(0, 0)


def fits(controller: Controller, one: Chunk) -> bool:
    return all(usage.fits for usage in controller.capacity.usage(one))


def test_a_short_program_stands_for_others(controller: Controller) -> None:
    assert controller.vouch(chunk(controller, turned([0.1] * 10)))


def test_a_program_that_other_phases_would_not_leave_room_for_stands_for_none(controller: Controller) -> None:
    still = chunk(controller, turned([0.0] * NEARLY_FULL))
    assert fits(controller, still)
    assert not controller.vouch(still)


def test_a_program_whose_trace_the_scope_does_not_hold_stands_for_none(controller: Controller) -> None:
    wide = CircuitBuilder(name="wide", num_qubits=2, num_clbits=2).measure(0, 0).delay(1, 30e-6).measure(1, 1)
    assert controller.vouch(chunk(controller, wide))
    assert not fits(controller, chunk(controller, wide, raw=True))
    assert not controller.vouch(chunk(controller, wide, raw=True))


def test_a_program_that_drives_its_line_too_hard_stands_for_none(controller: Controller) -> None:
    rack = load_rack()
    one = chunk(controller, turned([0.1]))
    lines = {
        name: replace(wiring, ceiling=replace(wiring.ceiling, amplitude=0.0)) if name == "q0.drive" else wiring
        for name, wiring in rack.lines.items()
    }
    assert not open_rack(replace(rack, lines=lines)).vouch(one)
