"""A run that is over at the first look is read with that look, and what has not been armed is armed with its start: it
gives what it gives otherwise, and what cannot be armed keeps everything from playing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.wire.test_cluster_driver import (
    PATIENCE,
    Emulator,
    bell_program,
    chunk_of,
    connected,
)

from qubitd.core.program import Chunk
from qubitd.drivers.controller import Controller
from qubitd.drivers.errors import InstrumentChangedError, InstrumentFaultError
from qubitd.drivers.visa.socket_link import SocketLink

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

SHOTS = 500


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    running = Emulator()
    yield running
    running.stop()


@pytest.fixture
def controller(emulator: Emulator) -> Iterator[Controller]:
    with connected(emulator.rack) as made:
        yield made
        made.stop()


@pytest.fixture
def chunk(make_program: ProgramBuilder) -> Chunk:
    return chunk_of(bell_program(make_program), shots=SHOTS)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes to instruments, each time."""
    messages: list[bytes] = []
    send = SocketLink._send

    def noted(link: SocketLink, parts: Any) -> None:
        messages.append(b"".join(map(bytes, parts)))
        send(link, parts)

    monkeypatch.setattr(SocketLink, "_send", noted)
    return messages


def run(controller: Controller) -> np.ndarray:
    controller.start()
    controller.wait(PATIENCE)
    return controller.fetch().points[0]


def play_once(emulator: Emulator, chunk: Chunk) -> None:
    """Have the emulator work a run out, so that it is over at the first look when it is played again."""
    with connected(emulator.rack) as controller:
        controller.load(controller.assemble(chunk))
        run(controller)
        controller.stop()


def test_the_second_of_two_quick_runs_gives_what_the_first_gives_in_one_exchange(
    emulator: Emulator, chunk: Chunk, sent: list[bytes]
) -> None:
    points, exchanges = [], []
    play_once(emulator, chunk)
    with connected(emulator.rack) as controller:
        for is_armed in (True, True, False):
            controller.load(controller.assemble(chunk))
            if is_armed:
                controller.arm()
            emulator.control("seed", value=5)
            sent.clear()
            points.append(run(controller))
            exchanges.append(len(sent))
        controller.stop()
    assert exchanges == [2, 1, 1]
    np.testing.assert_array_equal(points[1], points[0])
    np.testing.assert_array_equal(points[2], points[0])


def test_a_run_that_goes_on_at_the_first_look_is_read_at_its_end(chunk: Chunk) -> None:
    emulator = Emulator("--real-time")
    try:
        with connected(emulator.rack) as controller:
            controller.load(controller.assemble(chunk))
            controller.__dict__["_is_quick"] = True  # as after a run that was
            assert run(controller).shape == (SHOTS, 2)
            assert not controller.__dict__["_is_quick"]
    finally:
        emulator.stop()


def test_many_bins_are_not_asked_for_in_vain(
    emulator: Emulator, make_program: ProgramBuilder, sent: list[bytes]
) -> None:
    many = chunk_of(bell_program(make_program), shots=3_000)
    exchanges = []
    play_once(emulator, many)
    with connected(emulator.rack) as controller:
        for _ in range(2):
            controller.load(controller.assemble(many))
            sent.clear()
            assert run(controller).shape == (3_000, 2)
            exchanges.append(len(sent))
        controller.stop()
    assert exchanges == [2, 2]


def test_what_somebody_else_changed_is_seen_in_a_quick_run_too(
    emulator: Emulator, controller: Controller, chunk: Chunk
) -> None:
    controller.load(controller.assemble(chunk))
    run(controller)
    controller.load(controller.assemble(chunk))
    controller.arm()
    emulator.say("SLOT1:AFE:ATT:OUT0 12")
    with pytest.raises(InstrumentChangedError, match="ATT:OUT0 is 12"):
        run(controller)


@pytest.mark.parametrize("is_quick", [False, True])
def test_a_sequencer_that_cannot_be_armed_keeps_the_others_from_playing(
    emulator: Emulator, controller: Controller, chunk: Chunk, is_quick: bool
) -> None:
    if is_quick:
        controller.load(controller.assemble(chunk))
        run(controller)
    controller.load(controller.assemble(replace(chunk, shots=SHOTS + 1)))
    before = emulator.control("runs")["runs"]
    emulator.say("SLOT6:SEQuencer0:PROGram #19no_such_x")
    with pytest.raises(InstrumentFaultError, match="refused to start"):
        controller.start()
    assert emulator.control("runs")["runs"] == before
    controller.stop()
    controller.load(controller.assemble(chunk))
    assert run(controller).shape == (SHOTS, 2)
