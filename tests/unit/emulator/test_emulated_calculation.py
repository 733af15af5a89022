"""An emulated Cluster answers while it works out what a run does, however long that takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.events import EventTable
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.outcomes import Decide, needs_no_decision

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

WORKING = "OKAY;RUNNING;;;;"
OVER = "OKAY;STOPPED;ACQ BINNING DONE,;;;"


class Slow(Loopback):
    """A cable that keeps its points back until it is told to give them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.was_asked = threading.Event()
        self.failure: EmulatorError | None = None

    def run(
        self, table: EventTable, rng: np.random.Generator, decide: Decide = needs_no_decision
    ) -> NDArray[np.complex128]:
        self.was_asked.set()
        self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return super().run(table, rng, decide)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def bench(slow: Slow, make_bench: Callable[..., Bench]) -> Bench:
    made = make_bench({6: "QRM-RF"}, digitiser=slow, patience=0.0)
    made.ask("SLOT6:LO1:ENA 1")
    made.readout(shots=3)
    return made


def over(bench: Bench, where: str = "6.0") -> str:
    """Ask for a state until it is another one than RUNNING."""
    while (state := bench.state(where)) == WORKING:
        pass
    return state


def test_it_counts_as_running_until_the_run_is_known(bench: Bench, slow: Slow) -> None:
    assert bench.run("6.0") == [WORKING]
    assert bench.text("*IDN?").startswith("Qblox")
    assert bench.state("6.0") == WORKING
    assert bench.bins("6.0")["count"].sum() == 0
    slow.gate.set()
    assert over(bench) == OVER
    assert bench.bins("6.0")["count"].tolist()[:4] == [1, 1, 1, 0]
    assert bench.errors() == '0,"No error"'


def test_short_runs_are_known_at_the_first_look(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({6: "QRM-RF"})
    bench.readout(shots=3)
    assert bench.run("6.0") == [OVER]


@pytest.mark.parametrize("command", ["SLOT6:SEQ0:STOP", "*RST"])
def test_a_run_that_is_stopped_adds_nothing_more(bench: Bench, slow: Slow, command: str) -> None:
    bench.run("6.0")
    assert slow.was_asked.wait(60)
    bench.ask(command)
    if command != "*RST":
        assert bench.state("6.0") == "ERROR;STOPPED;;;FORCED STOP,;"
    bench.ask("*CLS;SLOT6:LO1:ENA 1")
    if command == "*RST":
        bench.readout(shots=3)
    assert bench.run("6.0") == [WORKING]
    slow.gate.set()
    assert over(bench) == OVER
    assert bench.bins("6.0")["count"].tolist()[:4] == [1, 1, 1, 0]
    assert bench.cluster.clock.now() == 6308  # what was stopped took no time


def test_a_run_that_cannot_be_followed_is_a_fault_whenever_that_is_known(bench: Bench, slow: Slow) -> None:
    slow.failure = EmulatorError("no idea")
    assert bench.run("6.0") == [WORKING]
    slow.gate.set()
    assert over(bench).startswith("ERROR;STOPPED;")
    assert "no idea" in bench.errors()
