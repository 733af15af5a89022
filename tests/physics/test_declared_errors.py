"""What the packaged devices declare is what their chips do: every gate's error, and every measurement's.

A gate is compiled, played on the chip as the rack's registers would have it, and its whole channel compared with its
matrix. Declared and true errors may differ by a factor of two: declared ones are rounded up, some are the lab's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import DeviceFile, load_device
from qubitd.compiler.matrices import gate_matrix
from qubitd.compiler.pipeline import Pipeline
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.discriminator import discriminator_of
from qubitd.core.program import Program
from qubitd.core.properties import OperationProperties, target_properties
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.basis import LADDER, LEAKED, P0, P1, SIZE, X, Y, turn_about_z
from qubitd.emulator.chip.drive import Turn
from qubitd.emulator.chip.flux import Exchange
from qubitd.emulator.chip.register import Register
from qubitd.emulator.chip.tape import Tape

GAIN_STEPS = 32768
ANGLES = (0.7, -1.1, 2.2)
SHOTS = 100_000
KEPT = [P0, P1, X, Y]


@dataclass(frozen=True, eq=False)
class Lab:
    """A packaged device and its chip."""

    file: DeviceFile
    chip: Chip

    @property
    def properties(self) -> list[OperationProperties]:
        return list(target_properties(self.file.device, self.file.snapshot()).operations)


@pytest.fixture(scope="module", params=["line5", "classroom5"])
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab(file=load_device(request.param), chip=Chip(load_cabling(Path(request.param))))


def angles_of(lab: Lab, name: str) -> tuple[float, ...]:
    return ANGLES[: len(lab.file.device.gates[name].angles)]


def compiled(lab: Lab, name: str, operands: tuple[int, ...]) -> tuple[Program, NDArray[np.float64]]:
    """The program of one gate, and the virtual Z that nothing is played after."""
    builder = CircuitBuilder(name=name, num_qubits=5, num_clbits=0).add(name, *operands, params=angles_of(lab, name))
    batch = pack([builder])
    compiled = compile_circuits(lab.file.device, lab.file.snapshot(), batch)
    pipeline = Pipeline(compiled.gates, compiled.gathered)
    prepared = pipeline.prepare(range(1))
    frames = pipeline.frames(prepared, pipeline.numbers(prepared, {}))
    (program,) = compiled.programs()
    return program, frames.final[0]


def played(lab: Lab, program: Program, *, sign: float = 1.0) -> Tape:
    tape = Tape(lab.chip.cabling)
    plays = program.plays
    for i in range(len(plays.start)):
        line = program.lines[plays.line[i]]
        samples = program.tables.envelopes[int(plays.envelope[i])].samples
        tape.play(
            "feedline" if line.endswith(".readout") else line,
            samples,
            int(plays.start[i]),
            amplitude=round(float(plays.amplitude[i]) * GAIN_STEPS) / GAIN_STEPS,
            frequency=float(plays.frequency[i]),
            phase=sign * float(plays.phase[i]),
        )
    return tape


def channel(lab: Lab, name: str, operands: tuple[int, ...], *, sign: float) -> NDArray[np.float64]:
    """The gate's map on its qubits' numbers, each column the end of one of them."""
    program, final = compiled(lab, name, operands)
    events = lab.chip.events(played(lab, program, sign=sign).table(shots=1))
    register = Register(operands, t1=lab.chip.t1, t2=lab.chip.t2, zz=lab.chip.zz)
    size = SIZE ** len(operands)
    register.states = np.eye(size).reshape(size, *[SIZE] * len(operands))
    for event in events:
        if isinstance(event, Turn):
            register.apply(event.qubit, event.single, start=event.start, end=event.end, mixes=event.mixes)
        else:
            assert isinstance(event, Exchange)
            register.apply_pair(event.pulsed, event.partner, event.pair, begin=event.begin, end=event.end)
    for qubit in operands:
        register.apply(qubit, turn_about_z(final[qubit] / (2 * np.pi)), start=program.duration, end=program.duration)
        register.hold(qubit, time=program.duration)
    return np.asarray(register.states.reshape(size, size).T)


def ideal(lab: Lab, name: str, operands: tuple[int, ...]) -> NDArray[np.float64]:
    """The same for the gate's matrix, on the numbers of qubits that have not leaked."""
    matrix = gate_matrix(lab.file.device.gates, name, angles_of(lab, name))
    operators = LADDER[KEPT, :2, :2]
    if len(operands) == 2:
        operators = np.einsum("aij,bkl->abikjl", operators, operators).reshape(16, 4, 4)
    duals = operators / np.einsum("aij,aji->a", operators, operators)[:, None, None]
    return np.asarray(np.einsum("aij,bji->ab", duals, matrix @ operators @ matrix.conj().T).real)


def infidelity(lab: Lab, name: str, operands: tuple[int, ...], *, sign: float = 1.0) -> float:
    """Average gate infidelity; what leaks counts as lost."""
    dimension = 2 ** len(operands)
    single = np.arange(SIZE) != LEAKED
    inside = np.flatnonzero(single if len(operands) == 1 else np.kron(single, single))
    whole = channel(lab, name, operands, sign=sign)
    process = np.trace(np.linalg.solve(ideal(lab, name, operands), whole[np.ix_(inside, inside)])) / dimension**2
    levels = np.isin(np.arange(SIZE), (P0, P1))
    populations = np.flatnonzero(levels if len(operands) == 1 else np.kron(levels, levels))
    kept = whole[np.ix_(populations, populations)].sum() / dimension
    return float(1 - (dimension * process + kept) / (dimension + 1))


def test_every_gate_is_as_good_as_declared_within_a_factor_of_two(lab: Lab) -> None:
    declared = [row for row in lab.properties if row.error is not None and row.name != "measure"]
    assert {row.name for row in declared} >= {"sx", "x", "sy", "id", "rz"}
    for row in declared:
        assert row.error is not None
        true = infidelity(lab, row.name, row.operands)
        if row.error == 0:
            assert abs(true) < 1e-12, row
        else:
            assert true / 2 < row.error < 2 * true, (row, true)


def test_a_gate_with_the_wrong_sign_of_phase_is_found_out(lab: Lab) -> None:
    assert infidelity(lab, "sy", (0,), sign=-1.0) > 0.5


def test_every_measurement_errs_as_declared_within_a_factor_of_two(lab: Lab) -> None:
    snapshot = lab.file.snapshot()
    wrong = np.array([misread(lab, prepared=value) for value in (0, 1)]).mean(axis=0)
    for qubit, rate in zip(lab.file.device.qubits, wrong.tolist(), strict=True):
        declared = snapshot.value(f"{qubit}.measure.error")
        assert rate / 2 < declared < 2 * rate, (qubit, rate)


def misread(lab: Lab, *, prepared: int) -> NDArray[np.float64]:
    """Part of the shots in which each qubit is read wrongly."""
    builder = CircuitBuilder(name="read", num_qubits=5, num_clbits=5)
    for qubit in range(5):
        if prepared:
            builder.add("x", qubit)
        builder.measure(qubit, qubit)
    (program,) = compile_circuits(lab.file.device, lab.file.snapshot(), pack([builder])).programs()
    tape, acquisitions = played(lab, program), program.acquisitions
    for i in range(len(acquisitions.start)):
        tape.acquire(
            int(acquisitions.start[i]), int(acquisitions.length[i]), frequency=float(acquisitions.frequency[i])
        )
    points = lab.chip.run(tape.table(shots=SHOTS), np.random.default_rng(7))
    assert acquisitions.qubit.tolist() == list(range(5))
    assert len(set(acquisitions.start.tolist())) == 1
    return np.array(
        [
            np.mean(discriminator_of(lab.file.snapshot(), f"q{i}")(row.astype(np.complex64)) != bool(prepared))
            for i, row in enumerate(points)
        ]
    )
