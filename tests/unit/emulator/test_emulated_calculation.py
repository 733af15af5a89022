"""An emulated Cluster answers while it works out what a run does, however long that takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.cluster import performance
from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.events import EventTable
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.outcomes import Decide, needs_no_decision
from qubitd.emulator.patience import GoOn, nothing

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
        self.failure: Exception | None = None
        self.asked = 0
        """How often."""

    def run(
        self,
        table: EventTable,
        rng: np.random.Generator,
        decide: Decide = needs_no_decision,
        go_on: GoOn = nothing,
    ) -> NDArray[np.complex128]:
        self.asked += 1
        self.was_asked.set()
        self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return super().run(table, rng, decide, go_on)


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


def test_a_run_that_took_little_is_known_at_once_when_it_comes_again(bench: Bench, slow: Slow) -> None:
    slow.gate.set()
    bench.run("6.0")
    assert over(bench) == OVER
    before = bench.bins("6.0")
    bench.ask('SLOT6:SEQ0:ACQ:ALIS:ACQ:DATA:DEL "acq"')
    assert bench.run("6.0") == [OVER]
    assert slow.asked == 2
    assert (bench.bins("6.0") == before).all()


def test_a_run_that_took_little_waits_for_one_that_was_left(bench: Bench, slow: Slow) -> None:
    slow.gate.set()
    bench.run("6.0")
    assert over(bench) == OVER
    slow.gate.clear()
    slow.was_asked.clear()
    bench.readout(shots=4)
    bench.run("6.0")
    assert slow.was_asked.wait(60)
    bench.ask("SLOT6:SEQ0:STOP")
    bench.readout(shots=3)
    assert bench.run("6.0") == [WORKING]
    slow.gate.set()
    assert over(bench) == OVER


STOP, RESET, MODULE_RESET = ("SLOT6:SEQ0:STOP", None), ("*RST", None), ("*RST", 6)


@pytest.mark.parametrize("stop", [STOP, RESET, MODULE_RESET], ids=["stop", "reset", "reset of the module"])
def test_a_run_that_is_stopped_adds_nothing_more(
    bench: Bench, slow: Slow, monkeypatch: pytest.MonkeyPatch, stop: tuple[str, int | None]
) -> None:
    monkeypatch.setattr(performance, "_POINTS_AT_ONCE", 1)
    bench.run("6.0")
    assert slow.was_asked.wait(60)
    command, port = stop
    bench.ask(command, port=port)
    if stop == STOP:
        assert bench.state("6.0") == "ERROR;STOPPED;;;FORCED STOP,;"
    else:
        bench.readout(shots=3)
    bench.ask("*CLS;SLOT6:LO1:ENA 1")
    assert bench.run("6.0") == [WORKING]
    slow.gate.set()
    assert over(bench) == OVER
    assert bench.bins("6.0")["count"].tolist()[:4] == [1, 1, 1, 0]
    assert bench.cluster.clock.now() == 6308  # what was stopped took no time
    assert slow.asked == 1 + 3  # the first run was left after the shot that was under way


def test_a_run_that_is_left_before_it_begins_is_never_played(bench: Bench, slow: Slow) -> None:
    for _ in range(3):
        bench.run("6.0")
        assert slow.was_asked.wait(60)
        bench.ask("SLOT6:SEQ0:STOP")
    bench.run("6.0")
    slow.gate.set()
    assert over(bench) == OVER
    assert slow.asked == 2


def test_a_run_that_is_played_shot_by_shot_is_left_as_well(bench: Bench, slow: Slow) -> None:
    bench.upload("6.1", "wait_sync 4\nmove 3,R0\na: wait_trigger 1,1000\nwait 1000\nloop R0,@a\nstop")
    sends = {"en": True, "addr": 1, "inv": False}
    bench.configure("6.0", {"acq.0.th_acq.discr_threshold": 1.0, "acq.0.th_acq_trg_map": sends})
    bench.configure("6.1", {"seq_proc.sync_en": True})
    bench.run("6.0", "6.1")
    assert slow.was_asked.wait(60)
    bench.ask("SLOT6:SEQ0:STOP;:SLOT6:SEQ1:STOP")
    bench.configure("6.0", {"acq.0.th_acq_trg_map": sends | {"en": False}})
    bench.configure("6.1", {"seq_proc.sync_en": False})
    assert bench.errors() == '0,"No error"'
    assert bench.run("6.0") == [WORKING]
    slow.gate.set()
    assert over(bench) == OVER
    assert slow.asked == 1 + 1


def test_a_stop_does_not_wait_for_the_run(slow: Slow, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({6: "QRM-RF"}, digitiser=slow)
    bench.readout(shots=3)
    bench.ask("SLOT6:SEQ0:ARM;:SLOT6:SEQ0:START")
    late = threading.Timer(20, slow.gate.set)  # within the patience of the instruments
    late.start()
    bench.ask("SLOT6:SEQ0:STOP")
    assert bench.state("6.0") == "ERROR;STOPPED;;;FORCED STOP,;"
    late.cancel()
    slow.gate.set()


@pytest.mark.parametrize("failure", [EmulatorError("no idea"), RuntimeError("no idea"), TimeoutError("no idea")])
def test_a_run_that_fails_is_a_fault_whenever_that_is_known_and_the_next_one_is_played(
    bench: Bench, slow: Slow, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    slow.failure = failure
    assert bench.run("6.0") == [WORKING]
    slow.gate.set()
    assert over(bench).startswith("ERROR;STOPPED;")
    assert "no idea" in bench.errors()
    (record,) = [record for record in caplog.records if record.message == "run failed"]
    assert record.exc_info is not None
    assert record.exc_info[1] is failure
    slow.failure = None
    bench.run("6.0")
    assert over(bench) == OVER
