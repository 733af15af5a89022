"""Random chunks on the Cluster: what the emitted Q1ASM does, executed by a small reader, is what was asked."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.compiled import loops_in_c, loops_in_numpy

from qubitd.core.envelope import Drag, Square, sample_envelope
from qubitd.core.program import Chunk, Program
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.columns import LEAD, TAIL
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
LO = {"q0.drive": 6.25e9, "q1.drive": 5.45e9, "q0.readout": 7.28e9, "q1.readout": 7.28e9, "q0.flux": 0, "q4.flux": 0}
LINES = tuple(LO)
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Drag(length=24, sigma=5e-9, beta=0.2e-9)),
    sample_envelope(Square(length=59)),
    sample_envelope(Square(length=400)),
]
REAL = (2, 3)
REAL_TIME = ("play", "acquire", "upd_param", "wait")
WORD = 2**32 - 1
COMPUTED = {"add": operator.add, "sub": operator.sub, "asr": operator.rshift}
MARKERS = {"q0.drive": 1, "q1.drive": 2, "q0.readout": 2, "q1.readout": 2}


PlayRow = tuple[str, int, int, float, float, float]
AcquisitionRow = tuple[str, int, int, float, float]
Rows = tuple[list[PlayRow], list[AcquisitionRow], int]
"""Plays, acquisitions, and the duration in ticks."""


@dataclass(kw_only=True)
class Played:
    """A play or an acquisition as the sequencer performs it."""

    time: int
    what: str
    arguments: tuple[int, ...]
    gain: tuple[int, int]
    frequency: float
    turns: float
    marker: int


@dataclass
class Sequencer:
    """Executes the few instructions that the assembler uses, in exact integers: Hz/4 x ns = quarter nanoturns."""

    base: float
    registers: dict[str, int] = field(default_factory=dict)
    time: int = 0
    frequency: int = 0
    accumulated: int = 0
    offset: int = 0
    pending: dict[str, tuple[int, ...]] = field(default_factory=dict)
    gain: tuple[int, int] = (0, 0)
    marker: int = 0
    events: list[Played] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    shots: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frequency = round(self.base * 4)

    def run(self, text: str) -> None:
        rows, labels = read(text)
        at = 0
        while rows[at][0] != "stop":
            name, arguments = rows[at]
            if at == labels["shot"]:
                self.shots.append(self.time)
            at = self.step(name, arguments, at, labels)
        self.shots.append(self.time)

    def step(self, name: str, arguments: list[str], at: int, labels: dict[str, int]) -> int:
        if name == "move":
            self.registers[arguments[1]] = self.value(arguments[0])
        elif name in COMPUTED:
            left, right = self.value(arguments[0]), self.value(arguments[1])
            self.registers[arguments[2]] = COMPUTED[name](left, right) & WORD
        elif name == "jlt":
            return labels[arguments[2][1:]] if self.value(arguments[0]) < int(arguments[1]) else at + 1
        elif name == "loop":
            self.registers[arguments[0]] -= 1
            return labels[arguments[1][1:]] if self.registers[arguments[0]] else at + 1
        elif name in ("set_ph", "set_freq", "set_awg_gain", "set_mrk", "reset_ph"):
            self.pending[name] = tuple(signed(self.value(argument)) for argument in arguments)
        elif name in REAL_TIME:
            self.perform(name, [self.value(argument) for argument in arguments])
        else:
            assert name in ("nop", "wait_sync")
        return at + 1

    def perform(self, name: str, values: list[int]) -> None:
        *arguments, wait = values
        assert 4 <= wait <= 65535
        if name != "wait":
            self.latch()
        if name in ("play", "acquire"):
            units = self.accumulated + 4 * self.offset
            self.events.append(
                Played(
                    time=self.time,
                    what=name,
                    arguments=tuple(arguments),
                    gain=self.gain,
                    frequency=self.frequency / 4,
                    turns=units % 4_000_000_000 / 4e9,
                    marker=self.marker,
                )
            )
        self.waits.append(wait)
        self.time += wait
        self.accumulated = (self.accumulated + self.frequency * wait) % 4_000_000_000

    def latch(self) -> None:
        for name, values in self.pending.items():
            if name == "reset_ph":
                self.accumulated = self.offset = 0
            elif name == "set_ph":
                assert 0 <= values[0] < 1_000_000_000
                self.offset = values[0]
            elif name == "set_freq":
                self.frequency = values[0]
            elif name == "set_mrk":
                self.marker = values[0]
                self.marks.append((self.time, values[0]))
            else:
                assert all(-32768 <= value <= 32767 for value in values)
                self.gain = (values[0], values[1])
        self.pending.clear()

    def value(self, argument: str) -> int:
        return self.registers[argument] if argument.startswith("R") else int(argument)


def signed(value: int) -> int:
    """Give a register's word as a number with a sign."""
    return value - 2**32 if value >= 2**31 else value


def read(text: str) -> tuple[list[tuple[str, list[str]]], dict[str, int]]:
    rows: list[tuple[str, list[str]]] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        label, colon, rest = line.rpartition(":")
        if colon:
            labels[label] = len(rows)
        name, _, arguments = rest.strip().partition(" ")
        rows.append((name, [argument.strip() for argument in arguments.split(",")] if arguments else []))
    return rows, labels


def random_rows(rng: np.random.Generator, used: list[str]) -> Rows:
    plays: list[PlayRow] = []
    acquisitions: list[AcquisitionRow] = []
    end = 0
    for line in used:
        time = int(rng.choice([0, 1, 3, 7, 500]))
        for _ in range(int(rng.integers(0, 6))):
            envelope = int(rng.choice(REAL)) if line.endswith("flux") else int(rng.integers(len(ENVELOPES)))
            tone = LO[line] + float(rng.integers(-400_000_000, 400_000_000)) / 4 if LO[line] else 0.0
            if rng.random() < 0.8 and LO[line]:
                tone = LO[line] - 125e6
            amplitude = float(rng.choice([0.1, rng.uniform(-0.3, 0.3)]))
            phase = float(rng.choice([0, np.pi / 2, rng.normal(), 1e4 * rng.normal()]))
            length = 0
            if not line.endswith("readout") or rng.random() < 0.8:
                plays.append((line, time, envelope, amplitude, phase if LO[line] else 0.0, tone))
                length = len(ENVELOPES[envelope])
            if line.endswith("readout") and rng.random() < 0.7:
                flight = int(rng.integers(4, 300))
                acquisitions.append((line, time + flight, 200, tone, float(rng.normal())))
                length = max(length, flight + 200)
            time += length + int(rng.choice([0, 1, 2, 3, 4, 60, 65535, 65536, 65540, 262_140, 262_141, 1_234_567]))
        end = max(end, time)
    return plays, acquisitions, end


def scanned_rows(rng: np.random.Generator, used: list[str]) -> list[Rows]:
    """Rows of a scan: one program, and at each point of a grid some of its numbers changed."""
    turns = ([int(rng.integers(4, 40))], [3, int(rng.integers(2, 12))], [2, 3, 5])[int(rng.integers(3))]
    base, points = random_rows(rng, used), int(np.prod(turns))
    grid = np.unravel_index(np.arange(points), turns)
    made = [base] * points
    for _ in range(int(rng.integers(0, 5))):
        along = grid[int(rng.integers(len(turns)))]
        line, cut = str(rng.choice(used)) if used else "", int(rng.integers(0, base[2] + 1))
        first, last = rng.uniform(-1, 1, 2).tolist()
        at = np.linspace(first, last, points)[along]
        change = rng.choice(["amplitude", "phase", "frequency", "delay", "detuned delay"])
        reach = float(rng.choice([20, 2000, 400_000]))
        made = [changed(rows, str(change), line, cut, float(x), reach) for rows, x in zip(made, at, strict=True)]
    return made


def changed(rows: Rows, change: str, line: str, cut: int, x: float, reach: float) -> Rows:
    """Change what one line plays from some tick on, or delay what all of them do; x is -1 to 1."""
    plays, acquisitions, end = rows
    if "delay" in change:
        later = round((1 + x) * reach)
        turn = reach * (1 + x) if change == "detuned delay" else 0.0
        moved = [
            (a, t + later * (t >= cut), e, g, p + turn * (t >= cut) * (LO[a] > 0), f) for a, t, e, g, p, f in plays
        ]
        read = [(a, t + later * (t >= cut), n, f, p) for a, t, n, f, p in acquisitions]
        return moved, read, end + later
    hit = [a == line and (t >= cut or change == "frequency") for a, t, *_ in plays]
    shift = {"amplitude": (x / 4, 0, 0), "phase": (0, 7 * x, 0), "frequency": (0, 0, round(x * 4e7) / 4)}[change]
    g, p, f = (np.array(shift) * [1, LO[line] > 0, LO[line] > 0]).tolist() if line else (0.0, 0.0, 0.0)
    swept = [(a, t, e, b + g * on, q + p * on, h + f * on) for (a, t, e, b, q, h), on in zip(plays, hit, strict=True)]
    read = [(a, t, n, h + f * (a == line), q) for a, t, n, h, q in acquisitions]
    return swept, read, end


def random_chunk(seed: int, make_program: ProgramBuilder) -> Chunk:
    rng = np.random.default_rng(seed)
    used = [line for line in LINES if rng.random() < 0.6]
    rows = scanned_rows(rng, used) if seed % 2 else [random_rows(rng, used) for _ in range(int(rng.integers(1, 5)))]
    programs = [
        make_program(lines=LINES, envelopes=ENVELOPES, plays=p, acquisitions=a, duration=end, name=f"p{index}")
        for index, (p, a, end) in enumerate(rows)
    ]
    shared = tuple(
        Program(
            name=program.name,
            lines=program.lines,
            plays=program.plays,
            acquisitions=program.acquisitions,
            duration=program.duration,
            num_clbits=program.num_clbits,
            tables=programs[0].tables,
        )
        for program in programs
    )
    reset = int(rng.choice([0, 1, 39, 40, 41, 43, 45, 210_000, 20_000_000]))
    return Chunk(programs=shared, first_program=0, first_shot=0, shots=2, reset=reset)


def assemble(chunk: Chunk) -> ClusterAssembly:
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    return assembly


def executed(load: SequencerLoad) -> Sequencer:
    sequencer = Sequencer(load.nco_frequency)
    sequencer.run(load.program.decode())
    return sequencer


def program_starts(chunk: Chunk) -> list[int]:
    starts, time = [], 0
    for program in chunk.programs:
        time += max(chunk.reset, LEAD)
        starts.append(time)
        time += program.duration + TAIL
    return starts


def rows_on(chunk: Chunk, line: str) -> Iterator[tuple[int, Program, int]]:
    for start, program in zip(program_starts(chunk), chunk.programs, strict=True):
        for row in np.flatnonzero(program.plays.line == LINES.index(line)).tolist():
            yield start, program, row


@pytest.fixture(scope="module")
def make(make_program: ProgramBuilder) -> ProgramBuilder:
    return make_program


SEEDS = st.integers(0, 2**32 - 1)
settings_for_chunks = settings(max_examples=120)


@settings_for_chunks
@given(seed=SEEDS)
def test_usage_equals_what_is_emitted(seed: int, make: ProgramBuilder) -> None:
    chunk = random_chunk(seed, make)
    counted = {(usage.sequencer, usage.memory): usage.used for usage in CONTROLLER.capacity.usage(chunk)}
    emitted = {}
    for load in assemble(chunk).sequencers:
        name = load.wired.name
        emitted[name, "instructions"] = len(load.program.splitlines())
        emitted[name, "waveforms"] = len(load.waveforms)
        emitted[name, "waveform samples"] = sum(len(waveform.samples) for waveform in load.waveforms)
        if load.bins:
            emitted |= {(name, "bins"): load.bins, (name, "acquisitions"): 1}
            emitted |= {(name, "weights"): len(load.weights), (name, "weight samples"): 0}
    assert counted == emitted


@settings_for_chunks
@given(seed=SEEDS)
def test_every_sequencer_takes_the_same_time_in_every_shot(seed: int, make: ProgramBuilder) -> None:
    chunk = random_chunk(seed, make)
    assembly = assemble(chunk)
    for load in assembly.sequencers:
        assert np.diff(executed(load).shots).tolist() == [assembly.iteration] * 2


@settings_for_chunks
@given(seed=SEEDS)
def test_plays_start_on_their_tick_with_their_shape_frequency_and_phase(seed: int, make: ProgramBuilder) -> None:
    chunk = random_chunk(seed, make)
    for load in assemble(chunk).sequencers:
        sequencer = executed(load)
        played = [event for event in sequencer.events if event.what == "play"]
        asked = list(rows_on(chunk, load.wired.line))
        assert len(played) == 2 * len(asked)
        for event, (start, program, row) in zip(played, asked, strict=False):
            plays = program.plays
            assert event.time == sequencer.shots[0] + start + plays.start[row]
            np.testing.assert_allclose(
                sampled(load, event),
                plays.amplitude[row] * ENVELOPES[plays.envelope[row]],
                atol=1.6e-5,
            )
            if load.wired.is_rf:
                assert event.frequency == plays.frequency[row] - load.wired.lo
                wanted = plays.phase[row] / (2 * np.pi) + event.frequency * 1e-9 * plays.start[row]
                assert abs((event.turns - wanted + 0.5) % 1 - 0.5) < 1e-8


@settings_for_chunks
@given(seed=SEEDS)
def test_each_shot_repeats_the_first(seed: int, make: ProgramBuilder) -> None:
    for load in assemble(random_chunk(seed, make)).sequencers:
        sequencer = executed(load)
        first, second, _ = sequencer.shots
        half = len(sequencer.events) // 2
        for one, other in zip(sequencer.events[:half], sequencer.events[half:], strict=True):
            assert other.time - second == one.time - first
            assert (other.frequency, other.turns) == (one.frequency, one.turns)
            assert other.gain == one.gain or one.what == "acquire"


@settings_for_chunks
@given(seed=SEEDS)
def test_bins_count_up_by_one_and_rotations_give_the_demodulation_phase(seed: int, make: ProgramBuilder) -> None:
    chunk = random_chunk(seed, make)
    assembly = assemble(chunk)
    loads = [load for load in assembly.sequencers if load.bins]
    for load, readout in zip(loads, assembly.readouts, strict=True):
        sequencer = executed(load)
        acquired = [event for event in sequencer.events if event.what == "acquire"]
        assert [event.arguments for event in acquired] == [(0, index) for index in range(load.bins)]
        starts = program_starts(chunk)
        for event, program, column, rotation in zip(
            acquired, readout.program, readout.column, readout.rotation, strict=False
        ):
            asked = chunk.programs[program].acquisitions
            assert event.time == sequencer.shots[0] + starts[program] + asked.start[column]
            wanted = asked.phase[column] / (2 * np.pi) + event.frequency * 1e-9 * asked.start[column]
            np.testing.assert_allclose(
                rotation * np.exp(-2j * np.pi * event.turns), np.exp(-2j * np.pi * wanted), atol=1e-6
            )


@settings_for_chunks
@given(seed=SEEDS)
def test_switches_are_open_15_ns_before_the_first_sample_until_the_last_and_closed_in_the_end(
    seed: int, make: ProgramBuilder
) -> None:
    for load in assemble(random_chunk(seed, make)).sequencers:
        sequencer = executed(load)
        changes = [*sequencer.marks, (sequencer.time, 0)]
        intervals = [
            (begin, end)
            for (begin, marker), (end, _) in itertools.pairwise(changes)
            if marker == MARKERS.get(load.wired.line)
        ]
        for event in sequencer.events:
            if event.what == "play" and load.wired.is_rf:
                end = event.time + len(sampled(load, event))
                assert any(begin <= event.time - 15 and end <= close for begin, close in intervals)
        assert sequencer.marker == 0
        assert all(marker in (0, MARKERS.get(load.wired.line)) for _, marker in sequencer.marks)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@settings_for_chunks
@given(seed=SEEDS)
def test_compiled_loops_write_the_same(seed: int, make: ProgramBuilder, cache: Path) -> None:
    chunk = random_chunk(seed, make)
    with loops_in_c(cache):
        fast = open_rack(load_rack()).assemble(chunk)
    with loops_in_numpy():
        plain = open_rack(load_rack()).assemble(chunk)
    assert isinstance(fast, ClusterAssembly)
    assert isinstance(plain, ClusterAssembly)
    for mine, other in zip(fast.sequencers, plain.sequencers, strict=True):
        assert mine.program.decode() == other.program.decode()
        assert (mine.exertion, mine.digest) == (other.exertion, other.digest)


def sampled(load: SequencerLoad, event: Played) -> NDArray[np.complex128]:
    real, imag = (load.waveforms[index].samples.astype(np.float64) for index in event.arguments)
    return np.asarray((event.gain[0] * real + 1j * event.gain[1] * imag) / 32768, dtype=np.complex128)
