"""The Cluster's driver against the emulated one over TCP: what is played, what is sent, what others may do to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.left_open import leave_open

from qubitd.cli.child import Child
from qubitd.core.envelope import Drag, Square, sample_envelope
from qubitd.core.program import Chunk, Program
from qubitd.drivers.check import check_rack
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.controller import Controller, Readings
from qubitd.drivers.errors import (
    CeilingError,
    DriverError,
    InstrumentChangedError,
    InstrumentFaultError,
    LinkClosedError,
    LinkTimeoutError,
    NotReadyError,
    RunBrokenOffError,
    RunTimeoutError,
    SequencerBusyError,
    WrongInstrumentError,
)
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack, with_address
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

LINES = ("q0.drive", "q1.drive", "q0.flux", "q0.readout", "q1.readout")
ENVELOPES = [
    sample_envelope(Drag(length=40, sigma=8e-9, beta=-0.3e-9)),
    sample_envelope(Square(length=59)),
    sample_envelope(Square(length=400)),
]
Q0, Q1, R0, R1 = 6.05e9, 5.25e9, 7.45e9, 7.25e9
RESET = 210_000
PATIENCE = 60.0


class Emulator:
    """An emulated rack in a process of its own."""

    def __init__(self, *options: str) -> None:
        self._process = Child("qubitd.emulator", ["--seed", "1", *options], name="the emulated rack")
        words = self._process.first_line().split()
        self.address, self.control_port = words[3], int(words[5])

    @property
    def rack(self) -> Rack:
        return with_address(load_rack(), self.address)

    def control(self, command: str, **values: object) -> dict[str, Any]:
        with socket.create_connection((self.address, self.control_port)) as connection:
            connection.sendall(json.dumps({"command": command, **values}).encode() + b"\n")
            reply = json.loads(connection.makefile().readline())
        assert reply["ok"], reply
        assert isinstance(reply, dict)
        return reply

    def say(self, *messages: str) -> None:
        """Speak to the Cluster as another client, until it has obeyed."""
        with socket.create_connection((self.address, 5025)) as connection:
            connection.sendall("".join(f"{message}\n" for message in [*messages, "*OPC?"]).encode())
            assert connection.makefile().readline().strip() == "1"

    def outputs(self) -> dict[str, dict[str, Any]]:
        outputs = self.control("outputs")["outputs"]
        assert isinstance(outputs, dict)
        return outputs

    def stop(self) -> None:
        self._process.stop()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    running = Emulator()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def slow_emulator() -> Iterator[Emulator]:
    """One whose runs last as long as they would."""
    running = Emulator("--real-time")
    yield running
    running.stop()


@contextmanager
def connected(rack: Rack) -> Generator[Controller, None, None]:
    controller = open_rack(rack)
    controller.connect()
    controller.stop()
    try:
        yield controller
    finally:
        controller.close()


@pytest.fixture
def controller(emulator: Emulator) -> Iterator[Controller]:
    with connected(emulator.rack) as made:
        yield made


@pytest.fixture
def bell(make_program: ProgramBuilder) -> Chunk:
    return chunk_of(bell_program(make_program))


def bell_program(make_program: ProgramBuilder, *, phase: float = 0.5) -> Program:
    return make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[
            ("q0.drive", 0, 0, 0.105, phase, Q0),
            ("q1.drive", 0, 0, 0.105, 0.0, Q1),
            ("q0.flux", 40, 1, 0.1, 0.0, 0.0),
            ("q1.drive", 110, 0, 0.105, -0.4, Q1),
            ("q0.readout", 150, 2, 0.15, 0.0, R0),
            ("q1.readout", 151, 2, 0.2, 0.0, R1),
        ],
        acquisitions=[("q0.readout", 350, 400, R0, 0.0), ("q1.readout", 351, 400, R1, 0.0)],
        duration=770,
    )


def read_program(make_program: ProgramBuilder, drive: float) -> Program:
    return make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[("q0.drive", 0, 0, drive, 0.0, Q0), ("q0.readout", 50, 2, 0.15, 0.0, R0)],
        acquisitions=[("q0.readout", 250, 400, R0, 0.0)],
        duration=700,
    )


def chunk_of(*programs: Program, shots: int = 20) -> Chunk:
    shared = tuple(replace(program, tables=programs[0].tables) for program in programs)
    return Chunk(programs=shared, first_program=0, first_shot=0, shots=shots, reset=RESET)


def assembled(controller: Controller, chunk: Chunk) -> ClusterAssembly:
    assembly = controller.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    return assembly


def run(controller: Controller, chunk: Chunk) -> tuple[np.ndarray, ...]:
    return run_of(controller, chunk).points


def run_of(controller: Controller, chunk: Chunk) -> Readings:
    controller.load(controller.assemble(chunk))
    controller.start()
    controller.wait(PATIENCE)
    return controller.fetch()


def works(controller: Controller, chunk: Chunk) -> bool:
    return [points.shape for points in run(controller, chunk)] == [(chunk.shots, 2)]


def test_what_leaves_the_connectors_is_the_program(emulator: Emulator, controller: Controller, bell: Chunk) -> None:
    run(controller, bell)
    table = emulator.control("events")["tables"][-1]
    names = [port["name"] for port in table["outputs"]]
    plays = {key: np.array(values) for key, values in table["plays"].items()}
    ports = [names[port] for port in plays["port"]]
    first = plays["start"].min()
    assert table["shots"] == bell.shots
    assert sorted(zip(plays["start"] - first, ports, strict=True)) == [
        (0, "slot1.out0"),
        (0, "slot1.out1"),
        (40, "slot4.out0"),
        (110, "slot1.out1"),
        (150, "slot6.out0"),
        (151, "slot6.out0"),
    ]
    gains = dict(zip(ports, plays["gain_i"], strict=True))
    assert gains["slot4.out0"] == pytest.approx(0.1, abs=2e-5)
    carriers = {
        (port, table["outputs"][names.index(port)]["lo_frequency"] + frequency)
        for port, frequency in zip(ports, plays["frequency"], strict=True)
    }
    assert carriers == {
        ("slot1.out0", Q0),
        ("slot1.out1", Q1),
        ("slot4.out0", 0.0),
        ("slot6.out0", R0),
        ("slot6.out0", R1),
    }
    acquired = table["acquisitions"]
    assert (np.array(acquired["start"]) - first).tolist() == [350, 351]
    assert acquired["length"] == [400, 400]


def test_phase_of_every_play_is_its_frames_at_its_tick(
    emulator: Emulator, controller: Controller, make_program: ProgramBuilder
) -> None:
    tones = [Q0, Q0 + 1.25e6, Q0 - 0.75e6, Q0]
    plays = [("q0.drive", 100 * row, 0, 0.1, 0.3 * row, tone) for row, tone in enumerate(tones)]
    run(controller, chunk_of(make_program(lines=LINES, envelopes=ENVELOPES, plays=plays, duration=400)))
    played = emulator.control("events")["tables"][-1]["plays"]
    nco = np.array(tones) - 6.25e9
    wanted = np.arange(4) * 0.3 / (2 * np.pi) + nco * 1e-9 * 100 * np.arange(4)
    difference = np.array(played["phase"]) - wanted
    np.testing.assert_allclose((difference + 0.5) % 1 - 0.5, 0, atol=1e-8)
    assert played["frequency"] == nco.tolist()


def test_long_delays_last_as_long_on_every_line(
    emulator: Emulator, controller: Controller, make_program: ProgramBuilder
) -> None:
    late = 3_000_001
    program = make_program(
        lines=LINES,
        envelopes=ENVELOPES,
        plays=[
            ("q0.drive", 0, 0, 0.2, 0.0, Q0),
            ("q0.flux", late, 1, 0.1, 0.0, 0.0),
            ("q0.readout", late, 2, 0.1, 0.0, R0),
        ],
        acquisitions=[("q0.readout", late + 200, 400, R0, 0.0)],
        duration=late + 700,
    )
    run(controller, chunk_of(program))
    table = emulator.control("events")["tables"][-1]
    starts = np.array(table["plays"]["start"])
    assert (starts - starts.min()).tolist() == [0, late, late]
    assert table["acquisitions"]["start"] == [starts.min() + late + 200]


def test_points_tell_an_excited_qubit_from_a_resting_one(controller: Controller, make_program: ProgramBuilder) -> None:
    resting, excited, again = run(
        controller, chunk_of(*(read_program(make_program, drive) for drive in (0.0, 0.21, 0.0)), shots=400)
    )
    assert resting.shape == excited.shape == (400, 1)
    error = np.std(resting) / np.sqrt(400)
    assert abs(np.mean(resting) - np.mean(again)) < 6 * error
    assert abs(np.mean(resting) - np.mean(excited)) > 20 * error


def test_demodulation_phase_turns_the_point(controller: Controller, make_program: ProgramBuilder) -> None:
    def at(phase: float) -> Program:
        program = read_program(make_program, 0.0)
        return replace(program, acquisitions=replace(program.acquisitions, phase=np.array([phase])))

    straight, turned = run(controller, chunk_of(at(0.0), at(1.0), shots=2000))
    assert np.angle(np.mean(turned) / np.mean(straight)) == pytest.approx(-1.0, abs=0.1)


def test_a_trace_is_the_signal_that_the_points_are_made_of(controller: Controller, bell: Chunk) -> None:
    (program,) = bell.programs
    read = replace(program, acquisitions=replace(program.acquisitions, qubit=np.array([0, 1], dtype=np.uint16)))
    readings = run_of(controller, replace(bell, programs=(read,), raw=True, shots=2000))
    (trace,) = readings.traces
    assert (trace.qubits, len(trace.samples)) == ((0, 1), 401)
    assert trace.samples.dtype == np.complex64
    for column, (start, tone) in enumerate([(0, R0), (1, R1)]):
        time = np.arange(400) + start + 0.5
        mean = np.mean(trace.samples[start : start + 400] * np.exp(-2j * np.pi * (tone - 7.28e9) * 1e-9 * time))
        points = readings.points[0][:, column]
        assert abs(mean) == pytest.approx(abs(points.mean()), abs=6 * points.std() / np.sqrt(2000) + 2e-4)
    assert not run_of(controller, bell).traces


def test_nothing_is_sent_twice(controller: Controller, make_program: ProgramBuilder, bell: Chunk) -> None:
    first = controller.load(controller.assemble(bell))
    assert first.reused_bytes == 0
    controller.start()
    controller.wait(PATIENCE)
    points = controller.fetch().points
    again = controller.load(controller.assemble(bell))
    assert (again.upload_bytes, again.reused_bytes) == (0, first.upload_bytes)
    controller.start()
    controller.wait(PATIENCE)
    assert not np.array_equal(controller.fetch().points[0], points[0])

    other = assembled(controller, chunk_of(bell_program(make_program, phase=0.6)))
    report = controller.load(other)
    assert report.upload_bytes == next(len(load.program) for load in other.sequencers if load.wired.line == "q0.drive")


def test_content_is_sent_again_after_somebody_reset_the_cluster(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    run(controller, bell)
    emulator.say("*RST")
    report = controller.load(controller.assemble(bell))
    assert report.reused_bytes == 0
    controller.start()
    controller.wait(PATIENCE)
    controller.fetch()


def test_waveforms_that_somebody_replaced_are_sent_again(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    run(controller, bell)
    emulator.say('SLOT1:SEQuencer0:AWG:WLISt:WAVeform:DELete "all"')
    assembly = assembled(controller, bell)
    report = controller.load(assembly)
    (touched,) = [load for load in assembly.sequencers if load.wired.line == "q0.drive"]
    assert report.upload_bytes == touched.upload_bytes


INTRUSIONS = [
    "*RST",
    "SLOT1:STATus:QUEStionable:FREQuency:LO0 5000000000",
    "SLOT1:LO0:ENAble 0",
    "SLOT6:AFE:ATT:OUT0 4",
    'SLOT6:SEQuencer0:ACQ:ALISt:ACQuisition:DATA:DELete "iq"',
]


@pytest.mark.parametrize("intrusion", INTRUSIONS)
def test_run_that_somebody_disturbed_never_ends_well(
    emulator: Emulator, controller: Controller, bell: Chunk, intrusion: str
) -> None:
    controller.load(controller.assemble(bell))
    controller.start()
    controller.wait(PATIENCE)
    emulator.say(intrusion)
    with pytest.raises(InstrumentChangedError, match="somebody else controls it, or it restarted"):
        controller.fetch()
    assert works(controller, bell)


@pytest.mark.parametrize("intrusion", INTRUSIONS[:4])
def test_chunk_that_somebody_disturbed_before_its_start_never_ends_well(
    emulator: Emulator, controller: Controller, bell: Chunk, intrusion: str
) -> None:
    controller.load(controller.assemble(bell))
    emulator.say(intrusion)
    with pytest.raises(DriverError):
        start_wait_fetch(controller)
    controller.stop()
    assert works(controller, bell)


def test_cluster_that_lost_its_programs_cannot_be_armed(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    controller.load(controller.assemble(bell))
    emulator.say("*RST")
    with pytest.raises(InstrumentFaultError, match=r"refused to start.*slot 1 sequencer 0 holds no program"):
        controller.start()


def start_wait_fetch(controller: Controller) -> None:
    controller.start()
    controller.wait(PATIENCE)
    controller.fetch()


def test_connecting_changes_nothing(emulator: Emulator, controller: Controller, bell: Chunk) -> None:
    run(controller, bell)
    emulator.say("SLOT2:STATus:QUEStionable:FREQuency:LO0 5000000000", "SLOT2:AFE:ATT:OUT0 6")
    before = emulator.outputs()
    newcomer = open_rack(emulator.rack)
    newcomer.connect()
    newcomer.close()
    assert emulator.outputs() == before


def test_front_end_is_set_for_a_run_and_its_switches_are_closed_after_it(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    run(controller, bell)
    outputs = emulator.outputs()
    assert outputs["slot1.out0"] == {
        "lo_enabled": True,
        "lo_frequency": 6.25e9,
        "attenuation_db": 20,
        "switch_open": False,
    }
    assert not any(output["switch_open"] for output in outputs.values())


def test_switch_that_was_left_open_is_closed_before_the_next_job_and_by_stop(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    run(controller, bell)
    configuration = {"marker_ovr": {"en": True, "val": 1}}
    leave_open(emulator.address, "SLOT3:SEQuencer0", configuration)
    assert emulator.outputs()["slot3.out0"]["switch_open"]
    with connected(emulator.rack) as other:
        assert not emulator.outputs()["slot3.out0"]["switch_open"]
        leave_open(emulator.address, "SLOT3:SEQuencer0", configuration)
    newcomer = open_rack(emulator.rack)
    newcomer.connect()
    newcomer.load(newcomer.assemble(bell))
    assert not emulator.outputs()["slot3.out0"]["switch_open"]
    newcomer.close()
    assert other is not newcomer


def damaged(assembly: ClusterAssembly, line: str, old: bytes, new: bytes) -> ClusterAssembly:
    def change(program: bytes) -> bytes:
        assert old in program
        return program.replace(old, new)

    return replace(
        assembly,
        sequencers=tuple(
            replace(load, program=change(load.program)) if load.wired.line == line else load
            for load in assembly.sequencers
        ),
    )


def test_program_that_does_not_assemble_is_refused_in_the_assemblers_words(controller: Controller, bell: Chunk) -> None:
    broken = damaged(assembled(controller, bell), "q0.drive", b"play 0,1,", b"play 2000,1,")
    with pytest.raises(
        InstrumentFaultError, match=r"(?s)refused to take a chunk.*slot1\.seq0 \(q0\.drive\): .*2000.*out of range"
    ):
        controller.load(broken)
    with pytest.raises(NotReadyError, match="nothing is loaded"):
        controller.start()
    assert works(controller, bell)


def test_flag_of_a_sequencer_fails_the_run_in_its_words_and_not_the_next(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    controller.load(damaged(assembled(controller, bell), "q0.drive", b"play 0,1,", b"play 9,1,"))
    controller.start()
    emulator.control("errors", count=1)
    with pytest.raises(InstrumentFaultError) as caught:
        controller.wait(PATIENCE)
    assert "slot1.seq0 (q0.drive)" in str(caught.value)
    assert "AWG WAVE PLAYBACK INDEX INVALID PATH 0" in str(caught.value)
    assert "the run failed: -240," in str(caught.value)
    controller.stop()
    assert works(controller, bell)


def test_member_that_stops_early_is_not_a_good_run(controller: Controller, bell: Chunk) -> None:
    controller.load(damaged(assembled(controller, bell), "q0.readout", b"acquire 0,R1,", b"wait "))
    controller.start()
    controller.wait(PATIENCE)
    with pytest.raises(InstrumentChangedError, match="filled 0 of 20 bins"):
        controller.fetch()


def test_errors_in_the_queue_fail_the_batch_and_not_the_next(
    emulator: Emulator, controller: Controller, bell: Chunk
) -> None:
    emulator.control("errors", count=3)
    with pytest.raises(InstrumentFaultError) as caught:
        controller.load(controller.assemble(bell))
    assert len(caught.value.words) == 3
    assert works(controller, bell)


@pytest.mark.parametrize("kind", ["stall", "half", "late", "close", "reset"])
def test_job_after_a_broken_link_works(emulator: Emulator, bell: Chunk, kind: str) -> None:
    rack = emulator.rack
    hasty = replace(rack, instruments={"cluster": replace(rack.instruments["cluster"], timeout=1.0)})
    with connected(hasty) as controller:
        emulator.control("fault", kind=kind, seconds=2.0)
        with pytest.raises((LinkTimeoutError, LinkClosedError)):
            controller.load(controller.assemble(bell))
        with pytest.raises(LinkClosedError, match="closed since"):
            controller.load(controller.assemble(bell))
        emulator.control("clear_faults")
        controller.stop()
        assert works(controller, bell)


def test_run_that_takes_too_long_times_out_by_name_and_can_be_stopped(
    slow_emulator: Emulator, bell: Chunk, make_program: ProgramBuilder
) -> None:
    with connected(slow_emulator.rack) as controller:
        long = replace(bell, shots=100_000)
        controller.load(controller.assemble(long))
        controller.start()
        with pytest.raises(RunTimeoutError, match=r"did not end within 0.01 s: slot1.seq0 \(q0.drive\) is RUNNING"):
            controller.wait(0.01)
        with pytest.raises(SequencerBusyError, match=r"slot1\.seq0 is RUNNING"):
            controller.load(controller.assemble(bell))
        controller.stop()
        assert not any(output["switch_open"] for output in slow_emulator.outputs().values())
        assert works(controller, bell)


def test_daemon_that_died_in_a_run_leaves_a_rack_that_the_next_one_makes_safe(
    slow_emulator: Emulator, bell: Chunk
) -> None:
    with connected(slow_emulator.rack) as controller:
        controller.load(controller.assemble(replace(bell, shots=100_000)))
        controller.start()
    with connected(slow_emulator.rack) as successor:
        assert works(successor, bell)


def test_stop_works_from_any_state(controller: Controller, bell: Chunk) -> None:
    controller.stop()
    controller.load(controller.assemble(bell))
    controller.stop()
    with pytest.raises(NotReadyError):
        controller.start()
    run(controller, bell)
    controller.close()
    controller.stop()
    assert works(controller, bell)


def test_a_load_that_is_given_up_sends_no_more_and_the_next_job_works(controller: Controller, bell: Chunk) -> None:
    asked: list[int] = []

    def is_second() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(RunBrokenOffError):
        controller.load(controller.assemble(bell), give_up=is_second)
    assert len(asked) == 2
    with pytest.raises(NotReadyError):
        controller.start()
    controller.stop()
    assert works(controller, bell)


def test_chunk_without_pulses_runs_without_sequencers(controller: Controller, make_program: ProgramBuilder) -> None:
    (points,) = run(controller, chunk_of(make_program(lines=LINES, envelopes=ENVELOPES, duration=100)))
    assert points.shape == (20, 0)


def test_full_bin_memory_is_read_back(controller: Controller, make_program: ProgramBuilder) -> None:
    (points,) = run(controller, chunk_of(read_program(make_program, 0.0), shots=131_072))
    assert points.shape == (131_072, 1)
    assert np.all(points != 0)


def test_use_out_of_order_is_refused(emulator: Emulator, controller: Controller, bell: Chunk) -> None:
    unconnected = open_rack(emulator.rack)
    assembly = unconnected.assemble(bell)
    with pytest.raises(NotReadyError, match="is not connected; call connect first"):
        unconnected.load(assembly)
    with pytest.raises(NotReadyError, match="nothing is loaded"):
        controller.wait(1.0)
    run(controller, bell)
    controller.load(controller.assemble(bell))
    with pytest.raises(NotReadyError, match="has not been started"):
        controller.wait(1.0)
    with pytest.raises(NotReadyError, match="no run has ended"):
        controller.fetch()
    controller.start()
    with pytest.raises(NotReadyError, match="no run has ended"):
        controller.fetch()
    controller.wait(PATIENCE)
    controller.fetch()
    with pytest.raises(NotReadyError, match="cannot load str"):
        controller.load("chunk")  # type: ignore[arg-type]  # what a wrong engine would do


def test_chunk_above_a_ceiling_is_refused_before_anything_is_sent(
    emulator: Emulator, controller: Controller, make_program: ProgramBuilder
) -> None:
    before = emulator.control("clock")
    program = make_program(lines=LINES, envelopes=ENVELOPES, plays=[("q0.readout", 0, 2, 0.6, 0.0, R0)], duration=500)
    with pytest.raises(
        CeilingError, match=r"line q0\.readout: amplitude of 0\.6 of full scale exceeds the ceiling of 0\.5"
    ):
        controller.load(controller.assemble(chunk_of(program)))
    assert emulator.control("clock") == before


def test_another_serial_number_is_refused(emulator: Emulator) -> None:
    rack = emulator.rack
    other = replace(rack, instruments={"cluster": replace(rack.instruments["cluster"], serial="00000_0000_001")})
    with pytest.raises(WrongInstrumentError, match="the rack file says 00000_0000_001"):
        open_rack(other).connect()


def test_rack_check_finds_the_instruments(emulator: Emulator) -> None:
    found = check_rack(emulator.rack, {}, connect=True)
    assert found.is_good
    assert "connection: good" in str(found)
