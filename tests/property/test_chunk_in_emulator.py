"""Random chunks through the driver's assembler into the emulated Cluster: what leaves it is what was asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.envelope import Drag, Square, sample_envelope
from qubitd.core.program import BOXCAR, Chunk, Program
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.cluster import chunk_lines, q1asm_loops
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.columns import LEAD, TAIL
from qubitd.drivers.cluster.protocol import BIN as DOWNLOADED
from qubitd.drivers.cluster.readout import program_iq
from qubitd.drivers.cluster.settings import run_changes
from qubitd.drivers.cluster.waveforms import Waveform
from qubitd.drivers.errors import CapacityError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.emulator.cluster.bins import BIN, Acquisition
from qubitd.emulator.cluster.configuration import default_document, interpret, merge
from qubitd.emulator.cluster.performance import Outcome, play, score_in_short, sheet_of
from qubitd.emulator.cluster.player import ModuleSettings, Player
from qubitd.emulator.cluster.profile import MODULE_KINDS
from qubitd.emulator.cluster.waves import HeldWaves, WaveList
from qubitd.emulator.events import EventTable
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.flags import INFORMATION
from qubitd.emulator.q1.shotloop import run

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
LO = {"q0.drive": 6.25e9, "q1.drive": 5.45e9, "q0.readout": 7.28e9, "q1.readout": 7.28e9, "q0.flux": 0.0}
LINES = tuple(LO)
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Square(length=59)),
    sample_envelope(Square(length=400)),
    np.linspace(0.2, 1, 240).astype(np.complex128),
    np.sin(np.arange(240) / 77).astype(np.complex128),
]
SHOTS = 10
RESET = 5_000


def random_program(rng: np.random.Generator, make: ProgramBuilder, name: str) -> Program:
    plays, acquisitions, end = [], [], 0
    for line in LINES:
        time = int(rng.integers(0, 50))
        for _ in range(int(rng.integers(0, 5))):
            is_flux, is_readout = line.endswith("flux"), line.endswith("readout")
            envelope = 2 if is_readout else 1 if is_flux else 0
            tone = LO[line] + float(rng.choice([-80e6, 45.25e6])) if LO[line] else 0.0
            phase = 0.0 if is_flux else float(rng.uniform(-10, 10))
            plays.append((line, time, envelope, float(rng.choice([-1, 1]) * rng.uniform(0.01, 0.2)), phase, tone))
            if is_readout:
                acquisitions.append((line, time + 150, 240, tone, float(rng.uniform(-3, 3))))
            time += len(ENVELOPES[envelope]) + int(rng.choice([4, 6, 300, 1_001, 70_000]))
        end = max(end, time)
    made = make(lines=LINES, envelopes=ENVELOPES, plays=plays, acquisitions=acquisitions, duration=end, name=name)
    if not acquisitions:
        return made
    kernel = rng.choice([BOXCAR, BOXCAR, 3, 4], len(acquisitions)).astype(np.int32)
    length = np.where(kernel == BOXCAR, rng.choice([240, 240, 120, 16], len(acquisitions)), 240)
    return replace(made, acquisitions=replace(made.acquisitions, kernel=kernel, length=length))


def wave_list(waveforms: tuple[Waveform, ...], *, indices: int) -> HeldWaves:
    waves = WaveList(indices=indices, samples=16_384)
    for index, waveform in enumerate(waveforms):
        waves.new(str(index), len(waveform.samples))
        waves.set_data(str(index), bytearray(np.asarray(waveform.samples, dtype="<f4").tobytes()))
    return waves.held()


def player(load: SequencerLoad) -> Player:
    document: Any = default_document()
    slot, number = load.wired.address.slot, load.wired.address.sequencer
    for key, rows in run_changes(load).items():
        document[key] = merge(document[key], rows)
    path0, path1 = load.wired.port.paths
    return Player(
        slot=slot,
        number=number,
        kind=MODULE_KINDS[load.wired.module.name],
        module=ModuleSettings(
            lo_frequency=(load.wired.lo,) * 2,
            lo_enabled=(True, True),
            output_attenuation=(0.0,) * 4,
            input_attenuation=(0.0,) * 2,
        ),
        configuration=interpret(document),
        code=prepare(assemble(load.program.decode(), memory=12_288)),
        waves=wave_list(load.waveforms, indices=1024),
        weights=wave_list(load.weights, indices=64),
        acquisitions={0: Acquisition(np.zeros(load.bins, dtype=BIN))} if load.bins else {},
        outputs=(frozenset(path0), frozenset(path1)),
        inputs=(frozenset({0}), frozenset({1})),
    )


def played(chunk: Chunk) -> tuple[ClusterAssembly, list[Player], Outcome]:
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    players = [player(load) for load in assembly.sequencers]
    score = score_in_short(players, [run(each.code) for each in players], {})
    assert score is not None
    return assembly, players, play(sheet_of(score), players, Loopback(), np.random.default_rng(0))


def rows_on(table: EventTable, load: SequencerLoad, frequencies: set[float]) -> np.ndarray[Any, Any]:
    ports = [i for i, port in enumerate(table.outputs) if port.name == load.wired.output_name]
    tones = np.isin(table.plays.frequency, list(frequencies))
    return np.flatnonzero(np.isin(table.plays.port, ports) & tones)


@pytest.fixture(scope="module")
def make(make_program: ProgramBuilder) -> ProgramBuilder:
    return make_program


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_leaves_the_connectors_is_what_was_asked_for(seed: int, make: ProgramBuilder) -> None:
    rng = np.random.default_rng(seed)
    programs = [random_program(rng, make, f"p{i}") for i in range(int(rng.integers(1, 4)))]
    chunk = Chunk(programs=tuple(programs), first_program=0, first_shot=0, shots=SHOTS, reset=RESET)
    assembly, players, outcome = played(chunk)
    assert all(ending.ends and ending.flags <= INFORMATION for ending in outcome.endings)
    if not outcome.tables:
        return
    (table,) = outcome.tables
    assert (table.shots, table.duration) == (SHOTS, assembly.iteration)
    starts = np.cumsum([RESET, *(program.duration + TAIL + RESET for program in programs[:-1])])
    assert LEAD < RESET
    assert len(table.plays.start) == sum(len(program.plays.start) for program in programs)
    for load in assembly.sequencers:
        _compare_plays(table, load, chunk, starts)
        _compare_windows(table, load, chunk, starts)
    bins = [acquisition.bins.view(DOWNLOADED) for each in players for acquisition in each.acquisitions.values()]
    assert all((filled["count"] == 1).all() for filled in bins)
    for program, points in zip(programs, program_iq(assembly, bins), strict=True):
        np.testing.assert_allclose(points, np.tile(_heard(program), (SHOTS, 1)), atol=2e-3)


def test_swept_delays_are_played_to_the_nanosecond() -> None:
    file, delays = load_device("line5"), np.array([0, 3, 4, 65_535, 65_536, 300_000])
    circuit = CircuitBuilder(name="echo", num_qubits=1, num_clbits=1)
    circuit.add("x", 0).delay(0, FromColumn(column=0)).add("x", 0).measure(0, 0).bind(delays[:, np.newaxis] * 1e-9)
    programs = tuple(compile_circuits(file.device, file.snapshot(), pack([circuit])).programs())
    _, _, outcome = played(Chunk(programs=programs, first_program=0, first_shot=0, shots=SHOTS, reset=RESET))
    assert all(ending.ends and ending.flags <= INFORMATION for ending in outcome.endings)
    (table,) = outcome.tables
    pulse = int(programs[0].plays.length[programs[0].plays.line == programs[0].lines.index("q0.drive")][0])
    plays = table.plays
    tones = np.flatnonzero(plays.length == pulse)
    first, second = plays.start[tones].reshape(-1, 2).T
    np.testing.assert_array_equal(second - first, pulse + delays)
    windows = table.acquisitions.start - second
    assert (windows == windows[0]).all()
    durations = np.array([program.duration for program in programs])
    np.testing.assert_array_equal(np.diff(first), durations[:-1] + RESET + TAIL)


def rabi(amplitudes: np.ndarray[Any, Any]) -> Chunk:
    file = load_device("line5")
    circuit = CircuitBuilder(name="rabi", num_qubits=1, num_clbits=1).add("x", 0).measure(0, 0)
    sweep = Sweep(axes=(SweepAxis(names=("q0.x.amplitude",), values=amplitudes[np.newaxis]),))
    programs = tuple(compile_circuits(file.device, file.snapshot(), pack([circuit]), sweep).programs())
    return Chunk(programs=programs, first_program=0, first_shot=0, shots=SHOTS, reset=RESET)


def ramsey(longest: float) -> Chunk:
    """Delays that a register waits, and phases that follow them."""
    file, delays = load_device("line5"), np.linspace(0, longest, 31)
    circuit = CircuitBuilder(name="ramsey", num_qubits=1, num_clbits=1)
    circuit.add("sx", 0).delay(0, FromColumn(column=0)).add("rz", 0, params=(FromColumn(column=1),)).add("sx", 0)
    circuit.measure(0, 0).bind(np.stack([np.rint(delays * 1e9) * 1e-9, delays * 2.34e6], axis=1))
    programs = tuple(compile_circuits(file.device, file.snapshot(), pack([circuit])).programs())
    return Chunk(programs=programs, first_program=0, first_shot=0, shots=SHOTS, reset=RESET)


def piece_of_a_grid(first: int, stop: int) -> Chunk:
    """Points of a grid of 5 x 6 x 7, from one within a row to one within another."""
    file = load_device("line5")
    circuit = CircuitBuilder(name="grid", num_qubits=1, num_clbits=1).add("x", 0).delay(0, FromColumn(column=0))
    circuit.add("rz", 0, params=(FromColumn(column=1),)).add("x", 0).measure(0, 0)
    points = [(4e-9 * delay, 0.1 * angle) for delay in range(5) for angle in range(6)]
    axis = SweepAxis(names=("q0.x.amplitude",), values=np.linspace(0, 0.31, 7)[np.newaxis])
    compiled = compile_circuits(file.device, file.snapshot(), pack([circuit.bind(points)]), Sweep(axes=(axis,)))
    programs = tuple(compiled.programs())[first:stop]
    return Chunk(programs=programs, first_program=0, first_shot=0, shots=SHOTS, reset=RESET)


@pytest.mark.parametrize(
    ("first", "stop", "loops"),
    [
        (0, 210, [(5, 6, 7)]),
        (0, 3 * 42 + 5 * 7 + 6, [(3, 6, 7), (5, 7), (6,)]),
        (1, 3 * 42, [(6,), (5, 7), (2, 6, 7)]),
        (6, 3 * 42 + 12, [(5, 7), (2, 6, 7), (7,), (5,)]),
        (2, 42 - 1, [(5,), (4, 7), (6,)]),
        (2, 12, [(2, 5)]),
        (2, 13, [(5,), (6,)]),
    ],
)
def test_a_grid_that_was_cut_anywhere_is_loops_that_play_what_it_would_play_written_out(
    first: int, stop: int, loops: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = piece_of_a_grid(first, stop)
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    (drive,) = (plan for plan in assembly.loops if "q0.drive" in plan.sequencer)
    assert list(drive.nests) == loops
    assert (drive.reason == "") == (drive.written_out == 0)
    assert drive.written_out == stop - first - sum(math.prod(nest) for nest in loops) < 4
    folded = as_played(chunk)
    monkeypatch.setattr(chunk_lines, "folded", lambda part: part)
    chunk = replace(chunk, programs=tuple(replace(program) for program in chunk.programs))
    for one, other in zip(folded, as_played(chunk), strict=True):
        np.testing.assert_array_equal(one, other)


SCANS = {
    "rabi": lambda: rabi(np.linspace(0, 0.31, 101)),
    "rabi, falling": lambda: rabi(np.linspace(0.17, -0.2, 64)),
    "ramsey": lambda: ramsey(30e-6),
    "ramsey, longer than an instruction waits": lambda: ramsey(300e-6),
}


def as_played(chunk: Chunk) -> list[np.ndarray[Any, Any]]:
    """All that leaves the connectors and all windows, in the order of time."""
    _, _, outcome = played(chunk)
    assert all(ending.ends and ending.flags <= INFORMATION for ending in outcome.endings)
    (table,) = outcome.tables
    plays, windows = table.plays, table.acquisitions
    order = np.lexsort((plays.frequency, plays.port, plays.start))
    columns = (plays.start, plays.length, plays.port, plays.gain_i, plays.gain_q, plays.frequency, plays.phase)
    return [*(column[order] for column in columns), windows.start, windows.length, windows.frequency]


@pytest.mark.parametrize("scan", SCANS)
def test_a_scan_is_one_small_loop_that_plays_what_it_would_play_written_out(
    scan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = SCANS[scan]()
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    assert max(load.program.count(b"\n") for load in assembly.sequencers) < 50
    folded = as_played(chunk)
    monkeypatch.setattr(chunk_lines, "folded", lambda part: part)
    chunk = replace(chunk, programs=tuple(replace(program) for program in chunk.programs))
    for one, other in zip(folded, as_played(chunk), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_scan_along_no_line_is_written_out() -> None:
    assembly = CONTROLLER.assemble(rabi(np.geomspace(0.01, 0.3, 101)))
    assert isinstance(assembly, ClusterAssembly)
    assert [(plan.nests, plan.written_out, plan.reason) for plan in assembly.loops] == [
        ((), 101, "their numbers lie on no line once they are rounded"),
        (((101,),), 0, ""),
    ]
    drive, readout = assembly.sequencers
    assert drive.program.count(b"play") == 101
    assert readout.program.count(b"play") == 1


@pytest.mark.parametrize("scan", SCANS)
def test_a_step_that_is_wrong_by_one_is_seen(scan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = SCANS[scan]()
    right = as_played(chunk)
    written = q1asm_loops._step

    def damaged(one: Any, level: int) -> str:
        text, stride = written(one, level), one.series.strides[level]
        return text.replace(f",{stride & 0xFFFFFFFF},", f",{stride + 1 & 0xFFFFFFFF},", 1) if stride else text

    monkeypatch.setattr(q1asm_loops, "_step", damaged)
    wrong = as_played(replace(chunk, programs=tuple(replace(program) for program in chunk.programs)))
    assert any(one.shape != other.shape or (one != other).any() for one, other in zip(right, wrong, strict=True))


def repeated(turns: int, *, angle: float = 0.0) -> Chunk:
    file = load_device("line5")
    circuit = CircuitBuilder(name="repeated", num_qubits=1, num_clbits=1).add("sx", 0)
    for turn in range(turns):
        circuit.add("x", 0).add("rz", 0, params=(angle * turn,)).delay(0, 100e-9).add("sx", 0)
    circuit.add("x", 0).measure(0, 0)
    programs = tuple(compile_circuits(file.device, file.snapshot(), pack([circuit])).programs())
    return Chunk(programs=programs, first_program=0, first_shot=0, shots=SHOTS, reset=RESET)


def test_a_shot_that_fits_only_as_a_loop_is_played_to_the_nanosecond() -> None:
    chunk = repeated(5000)
    (program,) = chunk.programs
    assembly, _, outcome = played(chunk)
    assert max(load.program.count(b"\n") for load in assembly.sequencers) < 50
    assert [plan.nests for plan in assembly.loops] == [((5000,),)]
    assert all(ending.ends and ending.flags <= INFORMATION for ending in outcome.endings)
    (table,) = outcome.tables
    on = program.plays.line == program.lines.index("q0.drive")
    tones = table.plays.length < 100
    np.testing.assert_array_equal(table.plays.start[tones], RESET + program.plays.start[on])
    np.testing.assert_allclose(table.plays.gain_i[tones], program.plays.amplitude[on], atol=2e-5)
    assert (table.shots, table.duration) == (SHOTS, RESET + program.duration + TAIL)


def test_a_shot_that_fits_in_no_way_is_refused_by_sequencer_count_and_limit() -> None:
    with pytest.raises(CapacityError, match=r"slot1\.seq0 \(q0\.drive\) needs 2\d{4} instructions, it holds 16384"):
        CONTROLLER.assemble(repeated(5000, angle=1e-7))


def _heard(program: Program) -> np.ndarray[Any, Any]:
    """What each acquisition of a program hears of the tones that are played on the connector of both readout lines."""
    plays, windows = program.plays, program.acquisitions
    tones = [row for row, line in enumerate(plays.line.tolist()) if LINES[line].endswith("readout")]
    points = []
    for row in range(len(windows.start)):
        time = windows.start[row] + np.arange(windows.length[row])
        signal = np.zeros(len(time), dtype=np.complex128)
        for tone in tones:
            inside = (time >= plays.start[tone]) & (time < plays.start[tone] + plays.length[tone])
            turns = plays.frequency[tone] * 1e-9 * time + plays.phase[tone] / (2 * np.pi)
            signal += plays.amplitude[tone] * inside * np.exp(2j * np.pi * turns)
        mixed = signal * np.exp(-2j * np.pi * windows.frequency[row] * 1e-9 * time - 1j * windows.phase[row])
        kernel = np.ones(len(time)) if windows.kernel[row] == BOXCAR else ENVELOPES[windows.kernel[row]].real
        points.append((kernel * mixed).sum() / kernel.sum())
    return np.array(points)


def _compare_plays(table: EventTable, load: SequencerLoad, chunk: Chunk, starts: np.ndarray[Any, Any]) -> None:
    line = LINES.index(load.wired.line)
    asked = [
        (int(starts[number] + program.plays.start[row]), program, row)
        for number, program in enumerate(chunk.programs)
        for row in np.flatnonzero(program.plays.line == line).tolist()
    ]
    tones = {program.plays.frequency[row] - load.wired.lo for _, program, row in asked}
    # Two readout lines share a connector; here they may share a tone, too, but then not a start and an amplitude.
    rows = rows_on(table, load, tones)
    for start, program, row in asked:
        matching = [i for i in rows.tolist() if table.plays.start[i] == start and _agrees(table, i, program, row, load)]
        assert matching, f"{load.wired.line} at {start}"


def _agrees(table: EventTable, i: int, program: Program, row: int, load: SequencerLoad) -> bool:
    plays, wanted = table.plays, program.plays
    samples = table.waveforms[plays.waveform[i]].samples[: plays.length[i]]
    signal = plays.gain_i[i] * samples.real + 1j * plays.gain_q[i] * samples.imag
    envelope = wanted.amplitude[row] * ENVELOPES[wanted.envelope[row]]
    if len(signal) != len(envelope) or not np.allclose(signal, envelope, atol=1e-4):
        return False
    tone = wanted.frequency[row] - load.wired.lo
    turns = wanted.phase[row] / (2 * np.pi) + tone * 1e-9 * wanted.start[row]
    return bool(plays.frequency[i] == tone and abs((plays.phase[i] - turns + 0.5) % 1 - 0.5) < 1e-6)


def _compare_windows(table: EventTable, load: SequencerLoad, chunk: Chunk, starts: np.ndarray[Any, Any]) -> None:
    line = LINES.index(load.wired.line)
    windows = table.acquisitions
    found = windows.sequencer == load.wired.address.slot * 8 + load.wired.address.sequencer
    asked = [
        (int(starts[number] + start), int(length), float(tone - load.wired.lo))
        for number, program in enumerate(chunk.programs)
        for start, length, tone, of in zip(
            program.acquisitions.start,
            program.acquisitions.length,
            program.acquisitions.frequency,
            program.acquisitions.line,
            strict=True,
        )
        if of == line
    ]
    rows = zip(windows.start[found], windows.length[found], windows.frequency[found], strict=True)
    assert [(int(start), int(length), float(tone)) for start, length, tone in rows] == asked


@pytest.mark.parametrize("silence", [65_535, 65_536, 1_100_000_000, 3_000_000_001])
def test_a_silence_of_any_length_is_as_long_as_it_was_asked_for(make: ProgramBuilder, silence: int) -> None:
    program = make(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[("q0.flux", 0, 1, 0.5, 0.0, 0.0), ("q0.flux", 59 + silence, 1, 0.5, 0.0, 0.0)],
        duration=2 * 59 + silence,
    )
    chunk = Chunk(programs=(program,), first_program=0, first_shot=0, shots=4, reset=0)
    _, _, outcome = played(chunk)
    (table,) = outcome.tables
    assert np.diff(table.plays.start).tolist() == [59 + silence]
    assert (table.shots, table.duration) == (4, LEAD + 2 * 59 + silence + TAIL)
