"""Native gates to counts without a daemon: compiler, Q1ASM, TCP, emulated Cluster, chip. What is wrong shows."""

from __future__ import annotations

import json
import math
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.cli.rack_process import start_emulator
from qubitd.compiler.agreement import agrees
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import DeviceFile, load_device
from qubitd.compiler.expected import expected
from qubitd.compiler.readout import classify, counts, discriminators, pack_bits
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.program import Chunk, Program
from qubitd.core.properties import target_properties
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.controller import Controller
from qubitd.drivers.errors import InstrumentFaultError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack, with_address
from qubitd.drivers.rack_file import load_rack
from qubitd.emulator.events import EventTable
from qubitd.emulator.played import from_document
from qubitd.server.instruments.simulator import Simulator

SHOTS = 4000
_MOST_PROLONGED = 100
"""ns by which a reset may be longer than asked for."""
LEAST_P = 1e-3

Counts = dict[str, int]
Damage = Callable[[str], str]
"""Changes the Q1ASM text of a sequencer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """An emulated rack and the driver that is connected to it."""

    controller: Controller
    simulator: Simulator
    events: Callable[[], EventTable]
    """What was played last."""

    def play(self, device: DeviceFile, batch: CircuitBatch, *, damage: Damage = lambda text: text) -> Chunk:
        """Run a batch once, its Q1ASM damaged on the way, and give the chunk that it should have been."""
        compiled = compile_circuits(device.device, device.snapshot(), batch)
        (chunk,) = Pack(capacity=self.controller.capacity, reset=compiled.reset)(compiled.blocks(), shots=100)
        assembly = self.controller.assemble(chunk)
        assert isinstance(assembly, ClusterAssembly)
        self.controller.load(replace(assembly, sequencers=tuple(_damaged(s, damage) for s in assembly.sequencers)))
        self.controller.start()
        self.controller.wait(30.0)
        return chunk

    def points(
        self, device: DeviceFile, snapshot: Snapshot, batch: CircuitBatch, *, shots: int = SHOTS
    ) -> list[tuple[Program, NDArray[np.complex64]]]:
        """Run a batch and give each program with its IQ points."""
        compiled = compile_circuits(device.device, snapshot, batch)
        gathered: dict[int, list[NDArray[np.complex64]]] = {}
        programs: dict[int, Program] = {}
        self.simulator.seed(20)
        for chunk in Pack(capacity=self.controller.capacity, reset=compiled.reset)(compiled.blocks(), shots=shots):
            assembly = self.controller.assemble(chunk)
            self.controller.load(assembly)
            self.controller.start()
            self.controller.wait(30.0)
            for i, iq in enumerate(self.controller.fetch().points):
                programs[chunk.first_program + i] = chunk.programs[i]
                gathered.setdefault(chunk.first_program + i, []).append(iq)
        return [(programs[i], np.concatenate(parts)) for i, parts in sorted(gathered.items())]

    def counts(self, device: DeviceFile, batch: CircuitBatch, *, shots: int = SHOTS) -> list[Counts]:
        """Run a batch and give the counts of each circuit."""
        snapshot = device.snapshot()
        found: list[Counts] = []
        for program, iq in self.points(device, snapshot, batch, shots=shots):
            outcomes = classify(iq, program.acquisitions, discriminators(device.device, snapshot, program))
            bits = pack_bits(outcomes, program.acquisitions, program.num_clbits)
            found.append(counts(bits, program.num_clbits))
        return found


def _damaged(load: SequencerLoad, damage: Damage) -> SequencerLoad:
    text = damage(load.program.decode())
    return replace(load, program=text.encode(), digest=f"{load.digest} {hash(text)}")


def _events(address: str, port: int) -> EventTable:
    with socket.create_connection((address, port), timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(b'{"command": "events"}\n')
        (document,) = json.loads(answers.readline())["tables"]
    return from_document(document)


MakeLab = Callable[[Path | None], Lab]


@pytest.fixture(scope="module")
def make_lab() -> Iterator[MakeLab]:
    """Start emulated racks with the cabling given, and connect to each."""
    with ExitStack() as stack:

        def make(cabling: Path | None) -> Lab:
            emulator = stack.enter_context(start_emulator(cabling))
            controller = open_rack(with_address(load_rack(), emulator.address))
            controller.connect()
            stack.callback(controller.close)
            address, port = emulator.address, emulator.control_port
            return Lab(controller=controller, simulator=Simulator(address, port), events=lambda: _events(address, port))

        yield make


@pytest.fixture(scope="module")
def lab(make_lab: MakeLab) -> Lab:
    """The demo rack."""
    return make_lab(None)


@pytest.fixture(scope="module")
def line5() -> DeviceFile:
    """The demo device."""
    return load_device("line5")


def with_parameters(device: DeviceFile, values: Mapping[str, float]) -> DeviceFile:
    """Give a device file that states other first values."""
    known = {parameter.name for parameter in device.first_values}
    assert known >= values.keys()
    changed = tuple(replace(p, value=values.get(p.name, p.value)) for p in device.first_values)
    return replace(device, first_values=changed)


def rewired(tmp_path: Path, *pairs: tuple[str, str]) -> Path:
    """Write the demo rack's cabling with the ends of some cables swapped."""
    text = files("qubitd.emulator").joinpath("cablings/line5.toml").read_text(encoding="utf-8")
    for first, second in pairs:
        assert text.count(f'to = "{first}"') == text.count(f'to = "{second}"') == 1
        text = text.replace(f'to = "{first}"', 'to = "?"').replace(f'to = "{second}"', f'to = "{first}"')
        text = text.replace('to = "?"', f'to = "{second}"')
    path = tmp_path / "cabling.toml"
    path.write_text(text, encoding="utf-8")
    return path


def hadamard(circuit: CircuitBuilder, qubit: int) -> None:
    circuit.add("rz", qubit, params=(math.pi / 2,)).add("sx", qubit).add("rz", qubit, params=(math.pi / 2,))


def eighth_turn(circuit: CircuitBuilder, qubit: int) -> None:
    """Rx(pi/4), written with two sx."""
    for angle in (math.pi / 2, math.pi / 4 + math.pi):
        circuit.add("rz", qubit, params=(angle,)).add("sx", qubit)
    circuit.add("rz", qubit, params=(math.pi / 2,))


def two_qubits(*pair: int) -> CircuitBuilder:
    return CircuitBuilder(name=f"pair {pair}", num_qubits=5, num_clbits=2)


def bell(a: int, b: int, *, after_cz: Mapping[int, float] | None = None) -> CircuitBuilder:
    """A Bell pair; `after_cz` are angles of rz that follow the CZ."""
    circuit = two_qubits(a, b)
    hadamard(circuit, a)
    hadamard(circuit, b)
    circuit.add("cz", a, b)
    for qubit, angle in (after_cz or {}).items():
        circuit.add("rz", qubit, params=(angle,))
    hadamard(circuit, b)
    return circuit.measure(a, 0).measure(b, 1)


def bell_of_eighths(a: int, b: int) -> CircuitBuilder:
    """What a Bell circuit becomes when every sx turns by pi/4 only."""
    circuit = two_qubits(a, b)

    def weak_hadamard(qubit: int) -> None:
        circuit.add("rz", qubit, params=(math.pi / 2,))
        eighth_turn(circuit, qubit)
        circuit.add("rz", qubit, params=(math.pi / 2,))

    weak_hadamard(a)
    weak_hadamard(b)
    circuit.add("cz", a, b)
    weak_hadamard(b)
    return circuit.measure(a, 0).measure(b, 1)


def flipped(*qubits: int) -> CircuitBuilder:
    """X on some qubits, then all five read."""
    circuit = CircuitBuilder(name=f"x on {qubits}", num_qubits=5, num_clbits=5)
    for qubit in qubits:
        circuit.add("x", qubit)
    for qubit in range(5):
        circuit.measure(qubit, qubit)
    return circuit


def predicted(device: DeviceFile, circuits: Sequence[CircuitBuilder]) -> list[dict[str, float]]:
    found = expected(device.device, device.snapshot(), pack(circuits))
    return [dict(distribution) for distribution in found]


def ones(counts: Counts, clbit: int) -> float:
    """Fraction of shots in which a classical bit is 1."""
    return sum(n for bits, n in counts.items() if bits[-1 - clbit] == "1") / sum(counts.values())


COUPLED = ((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3))


def test_a_bell_pair_on_every_coupler_in_both_directions_is_as_expected(lab: Lab, line5: DeviceFile) -> None:
    circuits = [bell(a, b) for a, b in COUPLED]
    measured = lab.counts(line5, pack(circuits))
    for pair, found, prediction in zip(COUPLED, measured, predicted(line5, circuits), strict=True):
        assert agrees(found, prediction, seed=1) >= LEAST_P / len(COUPLED), (pair, found, prediction)


def test_half_the_drive_amplitude_makes_every_sx_an_eighth_of_a_turn(lab: Lab, line5: DeviceFile) -> None:
    halved = {p.name: p.value / 2 for p in line5.first_values if p.name.endswith(".sx.amplitude")}
    (found,) = lab.counts(with_parameters(line5, halved), pack([bell(0, 1)]))
    weak, full = predicted(line5, [bell_of_eighths(0, 1), bell(0, 1)])
    assert agrees(found, weak, seed=1) >= LEAST_P
    assert agrees(found, full, seed=1) < LEAST_P


def test_without_its_z_phases_a_cz_makes_the_bell_pair_that_follows_from_them(lab: Lab, line5: DeviceFile) -> None:
    snapshot = line5.snapshot()
    names = {0: "q0_q1.cz.phase_first", 1: "q0_q1.cz.phase_second"}
    lost = {qubit: -snapshot.value(name) for qubit, name in names.items()}
    without = with_parameters(line5, dict.fromkeys(names.values(), 0.0))
    # On q1 alone a phase shows in the counts of a Bell pair; on q0 it shows with the pair turned round.
    circuits = [bell(0, 1), bell(1, 0)]
    measured = lab.counts(without, pack(circuits))
    predictions = predicted(line5, [bell(0, 1, after_cz=lost), bell(1, 0, after_cz=lost)])
    for found, prediction in zip(measured, predictions, strict=True):
        assert agrees(found, prediction, seed=1) >= LEAST_P / 2
    right = predicted(line5, circuits)
    assert min(agrees(f, p, seed=1) for f, p in zip(measured, right, strict=True)) < LEAST_P


def test_swapped_drive_cables_excite_neither_qubit(make_lab: MakeLab, line5: DeviceFile, tmp_path: Path) -> None:
    swapped = make_lab(rewired(tmp_path, ("q0.drive", "q1.drive")))
    (found,) = swapped.counts(line5, pack([flipped(0, 1)]))
    assert max(ones(found, 0), ones(found, 1)) < 0.05


def test_swapped_flux_cables_break_the_cz_and_no_single_qubit_gate(
    make_lab: MakeLab, line5: DeviceFile, tmp_path: Path
) -> None:
    swapped = make_lab(rewired(tmp_path, ("q0.flux", "q1.flux")))
    circuits = [bell(0, 1), flipped(0, 1)]
    pair, single = swapped.counts(line5, pack(circuits))
    right_pair, right_single = predicted(line5, circuits)
    assert agrees(pair, right_pair, seed=1) < LEAST_P
    assert agrees(single, right_single, seed=1) >= LEAST_P


def test_a_duration_in_the_device_file_is_the_one_in_target_schedule_and_waveform(lab: Lab, line5: DeviceFile) -> None:
    longer = with_parameters(line5, {"q0.sx.duration": 52e-9})
    stated = {
        (row.name, row.operands): row.duration for row in target_properties(longer.device, longer.snapshot()).operations
    }
    assert stated["sx", (0,)] == 52e-9
    circuit = CircuitBuilder(name="two", num_qubits=5, num_clbits=1)
    circuit.add("sx", 0).add("sx", 0).measure(0, 0)
    (program, _), *_ = lab.points(longer, longer.snapshot(), pack([circuit]), shots=10)
    drive = program.lines.index("q0.drive")
    starts = program.plays.start[program.plays.line == drive]
    assert np.diff(starts).tolist() == [52]
    assert program.plays.length[program.plays.line == drive].tolist() == [52, 52]
    played = [envelope.samples for envelope in program.tables.envelopes]
    assert 52 in {len(samples) for samples in played}


def odd_pulses(name: str, delay: float) -> CircuitBuilder:
    """All kinds of pulses, at times and phases that no common multiple hides."""
    circuit = CircuitBuilder(name=name, num_qubits=5, num_clbits=2)
    circuit.add("sx", 0).add("rz", 0, params=(0.7,)).delay(0, delay).add("x", 0)
    hadamard(circuit, 1)
    circuit.add("cz", 0, 1).add("rz", 1, params=(1.1,)).add("sx", 1).add("sx", 0)
    return circuit.measure(0, 0).measure(1, 1)


def differences(rack: Rack, chunk: Chunk, table: EventTable) -> list[str]:
    """Say where what left the connectors differs from the programs: to the tick, the register's gain and 1e-6 turn.

    A driver may prolong the resets between programs, never anything inside one.
    """
    begin, found = 0, list[str]()
    for program in chunk.programs:
        reset, begin = begin, begin + chunk.reset
        origin: set[int] = set()
        for index, line in enumerate(program.lines):
            found += _line_differences(rack, program, index, line, table, origin, reset=reset, begin=begin)
        if len(origin) != 1 or not 0 <= min(origin) < _MOST_PROLONGED:
            found.append(f"pulses of {program.name} begin at {sorted(origin)} ns from their places")
        begin += program.duration + min(origin, default=0)
    return found


def _line_differences(
    rack: Rack, program: Program, index: int, line: str, table: EventTable, origin: set[int], *, reset: int, begin: int
) -> list[str]:
    wiring = rack.lines[line]
    port = f"slot{wiring.slot}.out{wiring.output}"
    rows = np.flatnonzero(program.plays.line == index)
    played = _played_rows(table, port, program.plays.frequency[rows], begin, begin + program.duration)
    if len(played) != len(rows):
        return [f"{line} of {program.name}: {len(played)} pulses instead of {len(rows)}"]
    plays, wanted = table.plays, program.plays
    start = plays.start[played] - begin - wanted.start[rows]
    origin.update(start.tolist())
    found = [
        f"{line} of {program.name}: samples of pulse {row} differ"
        for row, at in zip(rows, played, strict=True)
        if not _same_samples(program, int(row), table, int(at))
    ]
    framed = wanted.frame[rows] >= 0
    since_reset = (plays.start[played] - reset - start) * 1e-9
    turns = plays.phase[played] - plays.frequency[played] * since_reset - wanted.phase[rows] / (2 * np.pi)
    off = np.abs(turns - np.rint(turns))[framed]
    if np.any(off > 1e-6):
        found.append(f"{line} of {program.name}: phases are off by {off} turns")
    windows = program.acquisitions.line == index
    opened = table.acquisitions.start[_windows(table, port, begin, begin + program.duration + 300)]
    wanted_windows = begin + min(origin, default=0) + program.acquisitions.start[windows]
    if not np.all(np.isin(wanted_windows, opened)):
        found.append(f"{line} of {program.name}: windows open at {opened}, not at {wanted_windows}")
    return found


def _played_rows(
    table: EventTable, port: str, frequency: NDArray[np.float64], begin: int, end: int
) -> NDArray[np.int64]:
    ports = [i for i, output in enumerate(table.outputs) if output.name == port]
    los = np.array([output.lo_frequency for output in table.outputs])
    carrier = los[table.plays.port] + table.plays.frequency
    near = np.any(np.abs(carrier[:, None] - np.unique(frequency)[None, :]) < 1.0, axis=1)
    within = (table.plays.start >= begin) & (table.plays.start < end + 100)
    return np.flatnonzero(np.isin(table.plays.port, ports) & near & within)


def _windows(table: EventTable, port: str, begin: int, end: int) -> NDArray[np.bool_]:
    slot = port.split(".", maxsplit=1)[0]
    ports = [i for i, entry in enumerate(table.inputs) if entry.name.startswith(slot)]
    start = table.acquisitions.start
    return np.isin(table.acquisitions.port, ports) & (start >= begin) & (start < end + 100)


def _same_samples(program: Program, row: int, table: EventTable, at: int) -> bool:
    wave = table.waveforms[table.plays.waveform[at]].samples
    output = table.plays.gain_i[at] * wave.real + 1j * table.plays.gain_q[at] * wave.imag
    envelope = program.tables.envelopes[program.plays.envelope[row]].samples
    wanted = program.plays.amplitude[row] * envelope
    return len(output) == len(wanted) and bool(np.all(np.abs(output - wanted) < 4e-5))


def _without_first(pattern: str) -> Damage:
    return lambda text: re.sub(pattern, "", text, count=1, flags=re.MULTILINE)


def _later_acquisition(text: str) -> str:
    return re.sub(r"play (\d+),(\d+),(\d+)\nacquire", lambda m: f"play {m[1]},{m[2]},{int(m[3]) + 4}\nacquire", text)


def _swapped_paths(text: str) -> str:
    text = re.sub(r"set_awg_gain (-?\d+),(-?\d+)", r"set_awg_gain \2,\1", text)
    return re.sub(r"play (\d+),(\d+),", r"play \2,\1,", text)


DAMAGES: dict[str, Damage] = {
    "a phase is dropped": _without_first(r"^set_ph .*\n"),
    "an acquisition comes 4 ns late": _later_acquisition,
    "I and Q are swapped": _swapped_paths,
    "the phase reset is left out": lambda text: text.replace("reset_ph", "nop"),
    "a gain is dropped": _without_first(r"^set_awg_gain .*\n"),
    "the RF switch stays closed": lambda text: re.sub(r"set_mrk \d+", "set_mrk 0", text),
}


def test_what_is_played_is_the_program_to_the_tick(lab: Lab, line5: DeviceFile) -> None:
    chunk = lab.play(line5, pack([odd_pulses("a", 13e-9), odd_pulses("b", 101e-9)]))
    assert differences(load_rack(), chunk, lab.events()) == []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_q1asm_does_not_pass_for_the_program(lab: Lab, line5: DeviceFile, damage: Damage) -> None:
    batch = pack([odd_pulses("a", 13e-9), odd_pulses("b", 101e-9)])
    try:
        found = differences(load_rack(), lab.play(line5, batch, damage=damage), lab.events())
    except InstrumentFaultError as fault:
        lab.controller.stop()
        found = list(fault.words)
    assert found
    assert differences(load_rack(), lab.play(line5, batch), lab.events()) == []
