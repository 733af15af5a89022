"""While a run goes on, the next chunk goes to sequencers that stand idle: never to one that runs, and never stale.

What is armed ahead of its start plays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.wire.test_cluster_driver import (
    PATIENCE,
    Emulator,
    assembled,
    bell_program,
    chunk_of,
    connected,
    damaged,
    read_program,
)

from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.controller import Controller, LoadReport
from qubitd.drivers.errors import InstrumentFaultError, NotReadyError, SequencerBusyError
from qubitd.drivers.families import open_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

SHOTS = 2000
SPARE = "SLOT1:SEQuencer2"
"""That of q0.drive on the demo rack."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    running = Emulator("--real-time")
    yield running
    running.stop()


@pytest.fixture
def controller(emulator: Emulator) -> Iterator[Controller]:
    with connected(emulator.rack) as made:
        yield made
        made.stop()


@pytest.fixture
def chunks(make_program: ProgramBuilder) -> list[Chunk]:
    """Three that differ on q0.drive alone."""
    return [chunk_of(bell_program(make_program, phase=0.1 * n), shots=SHOTS) for n in range(3)]


def start(controller: Controller, chunk: Chunk) -> LoadReport:
    report = controller.load(controller.assemble(chunk))
    controller.start()
    return report


def finish(controller: Controller, *, acquisitions: int = 2) -> None:
    controller.wait(PATIENCE)
    assert controller.fetch().points[0].shape == (SHOTS, acquisitions)


def drive_bytes(assembly: ClusterAssembly) -> int:
    return next(load.upload_bytes for load in assembly.sequencers if load.wired.line == "q0.drive")


def test_what_a_run_gave_stays_as_it_was_however_often_another_is_read(
    controller: Controller, make_program: ProgramBuilder
) -> None:
    start(controller, chunk_of(bell_program(make_program), shots=SHOTS + 500))
    controller.wait(PATIENCE)
    first = controller.fetch()
    (points,) = first.points
    controller.start()
    controller.wait(PATIENCE)
    (again,), (later,) = controller.fetch().points, controller.fetch().points
    assert np.array_equal(again, later)
    assert not np.array_equal(points, again)
    assert np.array_equal(first.points[0], points)


def test_what_differs_is_there_before_the_next_chunk_is_loaded(controller: Controller, chunks: list[Chunk]) -> None:
    start(controller, chunks[0])
    following = assembled(controller, chunks[1])
    report = controller.load_ahead(following)
    assert report == LoadReport(upload_bytes=drive_bytes(following), reused_bytes=0)
    assert controller.load_ahead(following) is None
    finish(controller)
    assert start(controller, chunks[1]).upload_bytes == 0
    back = controller.load_ahead(assembled(controller, chunks[2]))
    assert back is not None
    assert back.upload_bytes < drive_bytes(following)  # the first sequencer still has the waves
    finish(controller)
    assert start(controller, chunks[2]).upload_bytes == 0
    finish(controller)


def test_a_wait_brings_it_between_two_looks(controller: Controller, chunks: list[Chunk]) -> None:
    start(controller, chunks[0])
    following = assembled(controller, chunks[1])
    sent: list[LoadReport | None] = []
    controller.wait(PATIENCE, meanwhile=lambda: sent.append(controller.load_ahead(following)))
    controller.fetch()
    assert sum(report.upload_bytes for report in sent if report is not None) == drive_bytes(following)
    assert start(controller, chunks[1]).upload_bytes == 0
    finish(controller)


def test_what_was_brought_ahead_is_what_is_played(controller: Controller, make_program: ProgramBuilder) -> None:
    resting, excited = (chunk_of(read_program(make_program, drive), shots=SHOTS) for drive in (0.0, 0.21))
    start(controller, resting)
    controller.load_ahead(assembled(controller, excited))
    controller.wait(PATIENCE)
    low = controller.fetch().points[0].mean()
    assert start(controller, excited).upload_bytes == 0
    controller.wait(PATIENCE)
    high = controller.fetch().points[0].mean()
    start(controller, replace(excited))
    controller.wait(PATIENCE)
    again = controller.fetch().points[0].mean()
    assert abs(high - low) > 5 * abs(high - again)


def test_a_line_that_has_no_other_sequencer_waits_for_the_gap(
    controller: Controller, make_program: ProgramBuilder
) -> None:
    program = read_program(make_program, 0.1)
    later = replace(program, acquisitions=replace(program.acquisitions, start=program.acquisitions.start + 4))
    start(controller, chunk_of(program, shots=SHOTS))
    following = assembled(controller, chunk_of(later, shots=SHOTS))
    assert controller.load_ahead(following) is None
    finish(controller, acquisitions=1)
    readout = next(load for load in following.sequencers if load.wired.line == "q0.readout")
    assert start(controller, chunk_of(later, shots=SHOTS)).upload_bytes == len(readout.program)
    finish(controller, acquisitions=1)


def test_a_line_that_takes_no_part_is_brought_up_on_its_own_sequencer(
    controller: Controller, chunks: list[Chunk], make_program: ProgramBuilder
) -> None:
    start(controller, chunk_of(read_program(make_program, 0.1), shots=SHOTS))
    following = assembled(controller, chunks[0])
    brought = []
    while (report := controller.load_ahead(following)) is not None:
        brought.append(report)
    assert len(brought) == 4  # q0.drive on its spare; q1.drive, q0.flux and q1.readout, which stand idle
    finish(controller, acquisitions=1)
    readout = next(load for load in following.sequencers if load.wired.line == "q0.readout")
    assert start(controller, chunks[0]).upload_bytes <= readout.upload_bytes
    finish(controller)


def test_what_somebody_took_away_meanwhile_is_sent_again(
    emulator: Emulator, controller: Controller, chunks: list[Chunk]
) -> None:
    start(controller, chunks[0])
    following = assembled(controller, chunks[1])
    assert controller.load_ahead(following) is not None
    finish(controller)
    emulator.say(f'{SPARE}:AWG:WLISt:WAVeform:DELete "all"')
    assert start(controller, chunks[1]).upload_bytes == drive_bytes(following)
    finish(controller)


def test_a_spare_that_somebody_armed_is_not_connected_anew(
    emulator: Emulator, controller: Controller, chunks: list[Chunk]
) -> None:
    start(controller, chunks[0])
    assert controller.load_ahead(assembled(controller, chunks[1])) is not None
    finish(controller)
    emulator.say(f"{SPARE}:CHANnelmap #17[[],[]]", f"{SPARE}:ARM")
    other = open_rack(emulator.rack)
    other.connect()
    with pytest.raises(SequencerBusyError, match=r"slot1\.seq2 is ARMED"):
        other.load(other.assemble(chunks[0]))
    other.close()


def test_after_a_reset_nothing_counts_as_brought(
    emulator: Emulator, controller: Controller, chunks: list[Chunk]
) -> None:
    start(controller, chunks[0])
    following = assembled(controller, chunks[1])
    assert controller.load_ahead(following) is not None
    finish(controller)
    emulator.say("*RST")
    report = start(controller, chunks[1])
    assert (report.upload_bytes, report.reused_bytes) == (following.upload_bytes, 0)
    finish(controller)


def test_a_run_that_was_broken_off_leaves_nothing_that_counts(controller: Controller, chunks: list[Chunk]) -> None:
    start(controller, chunks[0])
    following = assembled(controller, chunks[1])
    assert controller.load_ahead(following) is not None
    controller.stop()
    assert start(controller, chunks[1]).upload_bytes == following.upload_bytes
    finish(controller)


def test_another_job_may_come_first(controller: Controller, chunks: list[Chunk]) -> None:
    """What was brought ahead stays where it is, known by its content."""
    start(controller, chunks[0])
    assert controller.load_ahead(assembled(controller, chunks[1])) is not None
    finish(controller)
    assert start(controller, chunks[2]).upload_bytes > 0
    finish(controller)
    assert start(controller, chunks[1]).upload_bytes == 0
    finish(controller)


def test_a_piece_that_is_refused_fails_the_run_in_the_assemblers_words(
    controller: Controller, chunks: list[Chunk]
) -> None:
    start(controller, chunks[0])
    broken = damaged(assembled(controller, chunks[1]), "q0.drive", b"play 0,1,", b"play 2000,1,")

    def bring() -> None:
        controller.load_ahead(broken)

    with pytest.raises(InstrumentFaultError, match=r"(?s)slot1\.seq2 \(q0\.drive\): .*2000.*out of range"):
        controller.wait(PATIENCE, meanwhile=bring)
    controller.stop()
    start(controller, chunks[1])
    finish(controller)


def test_nothing_is_brought_ahead_of_what_does_not_run(controller: Controller, chunks: list[Chunk]) -> None:
    controller.load(controller.assemble(chunks[0]))
    with pytest.raises(NotReadyError, match="nothing runs"):
        controller.load_ahead(controller.assemble(chunks[1]))
    controller.start()
    finish(controller)
    with pytest.raises(NotReadyError, match="nothing runs"):
        controller.load_ahead(controller.assemble(chunks[1]))


def test_points_do_not_depend_on_what_was_brought_ahead(emulator: Emulator, make_program: ProgramBuilder) -> None:
    """The same chunks with one seed, one after the other and one ahead of the other."""
    chunks = [chunk_of(read_program(make_program, drive), shots=SHOTS) for drive in (0.02, 0.13, 0.2)]
    found = []
    for is_ahead in (False, True):
        with connected(emulator.rack) as controller:
            emulator.control("seed", value=7)
            points = []
            for chunk, following in zip(chunks, [*chunks[1:], chunks[0]], strict=True):
                start(controller, chunk)
                if is_ahead:
                    assert controller.load_ahead(assembled(controller, following)) is not None
                controller.wait(PATIENCE)
                points.append(controller.fetch().points[0])
            found.append(points)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_armed_plays_only_when_it_is_started(
    emulator: Emulator, controller: Controller, chunks: list[Chunk]
) -> None:
    before = emulator.control("runs")["runs"]
    controller.load(controller.assemble(chunks[0]))
    controller.arm()
    assert emulator.control("runs")["runs"] == before
    with pytest.raises(NotReadyError, match="call start first"):
        controller.wait(PATIENCE)
    with pytest.raises(NotReadyError, match="nothing runs"):
        controller.load_ahead(assembled(controller, chunks[1]))
    controller.start()
    finish(controller)
    assert emulator.control("runs")["runs"] == before + 1


def test_what_was_armed_and_is_stopped_is_not_started(controller: Controller, chunks: list[Chunk]) -> None:
    controller.load(controller.assemble(chunks[0]))
    controller.arm()
    controller.stop()
    with pytest.raises(NotReadyError, match="call load first"):
        controller.start()
    start(controller, chunks[0])
    finish(controller)
