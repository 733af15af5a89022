"""Every memory of a sequencer, one below its limit, at it and one above: our count and the instrument agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import ProgramTooLargeError
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembler import sequencer_load
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.chunk_lines import chunk_line_programs
from qubitd.drivers.cluster.columns import chunk_columns
from qubitd.drivers.cluster.exertion import line_exertion
from qubitd.drivers.cluster.line_memory import LineMemory
from qubitd.drivers.cluster.wiring import cluster_wiring
from qubitd.drivers.errors import CapacityError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.emulator.cluster.profile import MODULE_KINDS, Profile
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.q1.assembler import assemble

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

RACK = load_rack()
CONTROLLER = open_rack(RACK)
FLUX, READOUT, TONE = "q0.flux", "q0.readout", 7.45e9
LINES = (FLUX, READOUT)
Make = Callable[["ProgramBuilder", int], Chunk]


def chunk(make: ProgramBuilder, *, shots: int = 1, **rows: object) -> Chunk:
    program = make(lines=LINES, **{"envelopes": [], "duration": 10**6} | rows)  # type: ignore[arg-type]
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=shots, reset=0)


def distinct(lengths: list[int]) -> list[NDArray[np.complex128]]:
    """Envelopes of some lengths, none like another."""
    return [np.linspace(0.1, 0.2 + i * 1e-4, length).astype(np.complex128) for i, length in enumerate(lengths)]


def of_waveforms(make: ProgramBuilder, lengths: list[int]) -> Chunk:
    start = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    plays = [(FLUX, start[i], i, 0.5, 0.0, 0.0) for i in range(len(lengths))]
    return chunk(make, envelopes=distinct(lengths), plays=plays, duration=start[-1])


def irregular(count: int) -> list[int]:
    """Times from 0 on with gaps that never come again, or else a loop would do."""
    gaps = np.random.default_rng(1).integers(100, 50_000, count - 1)
    return [0, *np.cumsum(gaps).tolist()]


def instructions_of_a_player(make: ProgramBuilder, count: int) -> Chunk:
    """Eight around the plays, one for each of them."""
    start = irregular(count - 8)
    plays = [(FLUX, each, 0, 0.5, 0.0, 0.0) for each in start]
    return chunk(make, envelopes=distinct([8]), plays=plays, duration=start[-1] + 10)


def instructions_of_a_reader(make: ProgramBuilder, count: int) -> Chunk:
    """Nine around the acquisitions, three for each of them; the silence after the first takes what is left over."""
    number, waits = divmod(count - 9, 3)
    start = [0, *(each + 65_535 * waits for each in irregular(number)[1:])]
    acquisitions = [(READOUT, each, 4, TONE, 0.0) for each in start]
    return chunk(make, acquisitions=acquisitions, duration=start[-1] + 100)


def waveforms(make: ProgramBuilder, count: int) -> Chunk:
    return of_waveforms(make, [8] * count)


def waveform_samples(make: ProgramBuilder, count: int) -> Chunk:
    return of_waveforms(make, [8000, count - 8000])


def bins(make: ProgramBuilder, count: int) -> Chunk:
    return chunk(make, acquisitions=[(READOUT, 0, 400, TONE, 0.0)], shots=count)


def of_weights(make: ProgramBuilder, lengths: list[int]) -> Chunk:
    acquisitions = [(READOUT, 10_000 * i, length, TONE, 0.0) for i, length in enumerate(lengths)]
    made = chunk(make, envelopes=distinct(lengths), acquisitions=acquisitions)
    (program,) = made.programs
    kernel = np.arange(len(lengths), dtype=np.int32)
    return replace(made, programs=(replace(program, acquisitions=replace(program.acquisitions, kernel=kernel)),))


def weights(make: ProgramBuilder, count: int) -> Chunk:
    return of_weights(make, [8] * count)


def weight_samples(make: ProgramBuilder, count: int) -> Chunk:
    """Windows are multiples of 4 ns, and so is the limit: a step of 4 samples is the smallest there is."""
    return of_weights(make, [8000, count - 8000])


CASES = [
    (instructions_of_a_player, "instructions", 16_384),
    (instructions_of_a_reader, "instructions", 12_288),
    (waveforms, "waveforms", 1_024),
    (waveform_samples, "waveform samples", 16_384),
    (weights, "weights", 64),
    (bins, "bins", 131_072),
]


def load_of(chunk: Chunk) -> SequencerLoad:
    """What the one sequencer would get, whether or not it fits."""
    (instrument,) = RACK.instruments.values()
    columns = chunk_columns(chunk)
    (part,) = chunk_line_programs(columns, cluster_wiring(RACK, instrument), LineMemory())
    return sequencer_load(part, chunk.shots, line_exertion(part))


def upload(load: SequencerLoad) -> None:
    """Give it to an emulated sequencer, as the driver does."""
    sequencer = Sequencer(slot=1, number=0, kind=MODULE_KINDS[load.wired.module.name], profile=Profile())
    for index, waveform in enumerate(load.waveforms):
        sequencer.waveforms.new(waveform.name, len(waveform.samples))
        sequencer.waveforms.set_data(waveform.name, bytearray(waveform.samples.tobytes()))
        sequencer.waveforms.entries.set_index(waveform.name, index)
    for index, weight in enumerate(load.weights):
        sequencer.weights.new(weight.name, len(weight.samples))
        sequencer.weights.set_data(weight.name, bytearray(weight.samples.tobytes()))
        sequencer.weights.entries.set_index(weight.name, index)
    if load.bins:
        sequencer.acquisitions.new("iq", load.bins)
    sequencer.load_program(load.program.decode())


@pytest.mark.parametrize(("make", "memory", "limit"), CASES, ids=[make.__name__ for make, _, _ in CASES])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_the_instrument_takes_what_we_count_up_to_its_limit_and_no_more(
    make_program: ProgramBuilder, make: Make, memory: str, limit: int, off: int
) -> None:
    asked = make(make_program, limit + off)
    (usage,) = (usage for usage in CONTROLLER.capacity.usage(asked) if usage.memory == memory)
    assert (usage.used, usage.limit, usage.fits) == (limit + off, limit, off <= 0)
    if off <= 0:
        CONTROLLER.assemble(asked)
        upload(load_of(asked))
        return
    with pytest.raises(CapacityError, match=memory):
        CONTROLLER.assemble(asked)
    with pytest.raises(EmulatorError):
        upload(load_of(asked))


@pytest.mark.parametrize("off", [-4, 0, 4])
def test_the_instrument_holds_as_many_samples_of_weights_as_we_think(make_program: ProgramBuilder, off: int) -> None:
    asked = weight_samples(make_program, 16_384 + off)
    (usage,) = (usage for usage in CONTROLLER.capacity.usage(asked) if usage.memory == "weight samples")
    assert (usage.used, usage.limit, usage.fits) == (16_384 + off, 16_384, off <= 0)
    if off <= 0:
        upload(load_of(asked))
        return
    with pytest.raises(EmulatorError):
        upload(load_of(asked))


@pytest.mark.parametrize(("wait", "taken"), [(3, False), (4, True), (65_535, True), (65_536, False)])
def test_the_instrument_waits_in_one_instruction_as_long_as_we_think(wait: int, taken: bool) -> None:
    if taken:
        assemble(f"wait {wait}\nstop", memory=100)
        return
    with pytest.raises(EmulatorError, match="out of range"):
        assemble(f"wait {wait}\nstop", memory=100)


def test_the_instrument_counts_as_many_turns_of_a_loop_as_we_think() -> None:
    assemble(f"move {2**32 - 1},R2\nstop", memory=100)
    with pytest.raises(EmulatorError, match="out of range"):
        assemble(f"move {2**32},R2\nstop", memory=100)


def test_the_instrument_has_room_for_the_one_acquisition_that_we_take(make_program: ProgramBuilder) -> None:
    usage = next(u for u in CONTROLLER.capacity.usage(bins(make_program, 10)) if u.memory == "acquisitions")
    assert (usage.used, usage.limit) == (1, 32)
    sequencer = Sequencer(slot=1, number=0, kind=MODULE_KINDS["QRM-RF"], profile=Profile())
    for index in range(usage.limit):
        sequencer.acquisitions.new(str(index), 1)
    with pytest.raises(EmulatorError, match="all 32 indices are taken"):
        sequencer.acquisitions.new("one more", 1)


@pytest.mark.parametrize(
    ("make", "count", "words"),
    [
        (
            instructions_of_a_player,
            16_385,
            r"one shot takes 16385 instructions of slot4\.seq0 \(q0\.flux\), which holds 16384",
        ),
        (waveform_samples, 16_385, r"one shot takes 16385 waveform samples of .*, which holds 16384"),
    ],
)
def test_a_shot_that_does_not_fit_is_refused_with_sequencer_count_and_limit(
    make_program: ProgramBuilder, make: Make, count: int, words: str
) -> None:
    pack = Pack(capacity=CONTROLLER.capacity, reset=0)
    with pytest.raises(ProgramTooLargeError, match=words):
        list(pack(zip(make(make_program, count).programs), shots=1))
    (fits,) = pack(zip(make(make_program, count - 1).programs), shots=1)
    assert fits.shots == 1


def test_shots_are_cut_where_the_bins_end_and_never_inside_a_shot(make_program: ProgramBuilder) -> None:
    acquisitions = [(READOUT, 1000 * i, 400, TONE, 0.0) for i in range(3)]
    (program,) = chunk(make_program, acquisitions=acquisitions).programs
    pack = Pack(capacity=CONTROLLER.capacity, reset=0, run_time=10**15)
    cut = list(pack([(program,)], shots=100_000))
    assert [part.shots for part in cut] == [43_690, 43_690, 12_620]
    assert [part.first_shot for part in cut] == [0, 43_690, 87_380]


def test_programs_with_other_windows_share_a_chunk_as_long_as_there_is_room_for_weights(
    make_program: ProgramBuilder,
) -> None:
    def program(length: int) -> Chunk:
        return chunk(make_program, acquisitions=[(READOUT, 0, length, TONE, 0.0)])

    programs = [program(length).programs[0] for length in (400, 8000, 480, 8400, 9000, 400)]
    cut = list(Pack(capacity=CONTROLLER.capacity, reset=0)(zip(programs), shots=10))
    assert [len(part.programs) for part in cut] == [4, 2]


def counted_gains(make: ProgramBuilder, series: int) -> Chunk:
    """Programs whose plays differ from each other in gains, each of which counts at a rate of its own."""
    programs = []
    for number in range(8):
        gains = [(100 + row + (row + 1) * number) / 32768 for row in range(series)]
        plays = [(FLUX, 10_000 * row, 0, gain, 0.0, 0.0) for row, gain in enumerate(gains)]
        made = make(lines=LINES, envelopes=distinct([8]), plays=plays, duration=10_000 * series)
        programs.append(made)
    return Chunk(programs=tuple(programs), first_program=0, first_shot=0, shots=1, reset=10_000)


@pytest.mark.parametrize(("series", "is_loop"), [(57, True), (58, True), (59, False)])
def test_numbers_count_in_a_loop_as_long_as_the_processor_has_registers(
    make_program: ProgramBuilder, series: int, is_loop: bool
) -> None:
    """Four registers are the program's own, one counts the turns, and one holds the gain that stays."""
    asked = counted_gains(make_program, series)
    (plan,) = CONTROLLER.assemble(asked).loops
    assert (plan.nests, plan.written_out) == (((8,),), 0) if is_loop else ((), 8)
    assert plan.reason == ("" if is_loop else "there are too many numbers for the registers")
    upload(load_of(asked))


def test_registers_for_what_rounding_adds_are_counted_too(make_program: ProgramBuilder) -> None:
    file = load_device("line5")
    builders = []
    for number in range(16):
        builder = CircuitBuilder(name=str(number), num_qubits=5, num_clbits=5)
        for layer in range(40):
            for qubit in range(5):
                builder.add("sx", qubit).add("rz", qubit, params=(0.01 * number * layer,))
        builders.append(builder.measure(0, 0))
    programs = tuple(compile_circuits(file.device, file.snapshot(), pack(builders)).programs())
    assembly = CONTROLLER.assemble(Chunk(programs=programs, first_program=0, first_shot=0, shots=1, reset=10_000))
    assert isinstance(assembly, ClusterAssembly)
    assert any(plan.nests for plan in assembly.loops)
    for load in assembly.sequencers:
        upload(load)
