"""Circuits that look at outcomes, through compiler, Q1ASM, emulated Cluster and chip: the counts are as predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from qubitd.cli.rack_process import start_emulator
from qubitd.compiler.agreement import agrees
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.compiler.readout import counts, discriminators, merge_counts
from qubitd.compiler.result import Wanted, program_results
from qubitd.compiler.verify import Verify
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.job import InitialReset, JobSpec, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep
from qubitd.drivers.controller import Controller
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import with_address
from qubitd.drivers.rack_file import load_rack
from qubitd.server.instruments.simulator import Simulator

FILE = load_device("line5")
SHOTS = 2000
LEAST_P = 1e-3


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    """An emulated rack, seeded, with the driver connected to it."""
    with start_emulator(None) as emulator:
        found = open_rack(with_address(load_rack(), emulator.address))
        found.connect()
        Simulator(emulator.address, emulator.control_port).seed(7)
        yield found
        found.close()


def circuit(name: str, num_clbits: int) -> CircuitBuilder:
    return CircuitBuilder(name=name, num_qubits=5, num_clbits=num_clbits)


def bits(*clbits: int, truth: int = 0b10) -> Condition:
    return Condition(clbits=clbits, truth=truth, text=f"c{clbits}")


def hadamard(builder: CircuitBuilder, *qubits: int) -> CircuitBuilder:
    for qubit in qubits:
        builder.add("rz", qubit, params=(math.pi / 2,)).add("sx", qubit).add("rz", qubit, params=(math.pi / 2,))
    return builder


def teleportation(angle: float) -> CircuitBuilder:
    builder = circuit(f"teleport {angle}", 3)
    builder.add("sx", 0).add("rz", 0, params=(angle,)).add("sx", 0)
    hadamard(hadamard(builder, 1, 2).add("cz", 1, 2), 2)
    hadamard(hadamard(builder, 1).add("cz", 0, 1), 1, 0)
    builder.measure(0, 0).measure(1, 1)
    builder.if_(bits(1)).add("x", 2).end()
    builder.if_(bits(0)).add("rz", 2, params=(math.pi,)).end()
    builder.add("sx", 2).add("rz", 2, params=(-angle,)).add("sx", 2)
    return builder.measure(2, 2)


def resets() -> CircuitBuilder:
    builder = circuit("resets", 2).add("x", 0).add("reset", 0).measure(0, 0)
    return builder.add("sx", 0).add("reset", 0).measure(0, 1)


def until_success() -> CircuitBuilder:
    """Turn and measure until 1 is read, at most four times; q1 tells how it ended."""
    again = bits(0, truth=0b01)
    builder = circuit("until", 2).add("sx", 0).measure(0, 0)
    builder.while_(again, most=3).add("sx", 0).measure(0, 0).end()
    return builder.if_(bits(0)).add("x", 1).end().measure(1, 1)


def parity() -> CircuitBuilder:
    builder = circuit("parity", 3).add("sx", 0).add("sx", 1).measure(0, 0).measure(1, 1)
    return builder.if_(bits(0, 1, truth=0b0110)).add("x", 2).else_().add("sx", 2).end().measure(2, 2)


def skipped() -> CircuitBuilder:
    """A measurement in a branch; its bit holds an older outcome where it is skipped."""
    builder = circuit("skipped", 2).add("x", 1).measure(1, 1).add("sx", 0).measure(0, 0)
    return builder.if_(bits(0)).add("x", 1).measure(1, 1).end()


def conditional_pair() -> CircuitBuilder:
    """A CZ in a branch: its flux pulse and its phases are conditional."""
    builder = circuit("pair", 3).add("sx", 4).measure(4, 2)
    hadamard(builder, 0, 1)
    builder.if_(bits(2)).add("cz", 0, 1).end()
    return hadamard(builder, 1).measure(0, 0).measure(1, 1)


def run(
    controller: Controller,
    batch: CircuitBatch,
    *,
    shots: int = SHOTS,
    initial_reset: InitialReset = InitialReset.PASSIVE,
) -> list[dict[str, int]]:
    snapshot = FILE.snapshot()
    spec = JobSpec(batch=batch, sweep=Sweep(), shots=shots, initial_reset=initial_reset)
    job = compile_job(FILE.device, snapshot, spec, feedforward=controller.feedforward)
    found: dict[int, dict[str, int]] = {}
    for chunk in Pack(capacity=controller.capacity, reset=job.reset)(job.blocks(), shots=shots):
        Verify(feedforward=controller.feedforward)(*chunk.programs)
        controller.load(controller.assemble(chunk))
        controller.start()
        controller.wait(60.0)
        readings = controller.fetch()
        for i, program in enumerate(chunk.programs):
            wanted = Wanted(
                level=MeasLevel.CLASSIFIED,
                meas_return=MeasReturn.SINGLE,
                herald=False,
                discriminators=discriminators(FILE.device, snapshot, program),
            )
            told = readings.outcomes[i : i + 1]
            (result,) = program_results(program, [readings.points[i]], wanted, first=i, first_shot=0, told=told)
            assert result.bits is not None
            number = chunk.first_program + i
            found[number] = merge_counts([found.get(number, {}), counts(result.bits, program.num_clbits)])
    return [found[number] for number in sorted(found)]


CIRCUITS = (
    resets(),
    teleportation(0.0),
    teleportation(0.7),
    teleportation(2.1),
    until_success(),
    parity(),
    skipped(),
    conditional_pair(),
)


def test_counts_are_as_predicted(controller: Controller) -> None:
    batch = pack(CIRCUITS)
    predicted = expected(FILE.device, FILE.snapshot(), batch, feedforward=controller.feedforward)
    chances = {
        builder.name: agrees(seen, distribution)
        for builder, seen, distribution in zip(CIRCUITS, run(controller, batch), predicted, strict=True)
    }
    assert all(chance >= LEAST_P / len(CIRCUITS) for chance in chances.values()), chances
    assert np.median(list(chances.values())) > 0.01, chances


def test_what_decays_while_it_is_read_is_flipped_as_often_as_predicted(controller: Controller) -> None:
    """A qubit is read in the middle of its tone; if in that of the whole measurement, 9 standard deviations less."""
    builder = circuit("flipped", 2).add("x", 0).measure(0, 0)
    batch, shots = pack([builder.if_(bits(0)).add("x", 0).end().measure(0, 1)]), 100_000
    (seen,) = run(controller, batch, shots=shots)
    (predicted,) = expected(FILE.device, FILE.snapshot(), batch, feedforward=controller.feedforward)
    assert agrees(seen, predicted) >= LEAST_P


@pytest.mark.parametrize("prepared", ["0", "1"])
def test_what_an_active_reset_before_each_shot_leaves_is_predicted(controller: Controller, prepared: str) -> None:
    """It leaves more than a passive one: 20 standard deviations on q0 at this number of shots."""
    builder = circuit(f"from {prepared}", 1)
    if prepared == "1":
        builder.add("x", 0)
    batch, shots = pack([builder.measure(0, 0)]), 100_000
    (seen,) = run(controller, batch, shots=shots, initial_reset=InitialReset.ACTIVE)
    (active,), (passive,) = (
        expected(FILE.device, FILE.snapshot(), batch, initial_reset=kind, feedforward=controller.feedforward)
        for kind in (InitialReset.ACTIVE, InitialReset.PASSIVE)
    )
    assert agrees(seen, active) >= LEAST_P / 2
    assert agrees(seen, passive) < LEAST_P / 2
