"""The control socket's commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qubitd.emulator.control import Control
from qubitd.emulator.faults import FaultKind, FaultPlan

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench


class Desk:
    """A bench with its control socket."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.faults = FaultPlan()
        self.has_ended = False
        self._control = Control(bench.cluster, self.faults, name="rack 7", end=self._end)

    def _end(self) -> None:
        self.has_ended = True

    def ask(self, **request: object) -> dict[str, Any]:
        answer = self._control.answer(json.dumps(request).encode())
        assert answer.endswith(b"\n")
        return dict(json.loads(answer))


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench)


def test_it_tells_its_name_and_ends_when_it_is_told_to(desk: Desk) -> None:
    assert desk.ask(command="name") == {"ok": True, "name": "rack 7"}
    assert not desk.has_ended
    assert desk.ask(command="end") == {"ok": True}
    assert desk.has_ended


def test_the_same_seed_gives_the_same_noise(desk: Desk) -> None:
    drawn = []
    for _ in range(2):
        assert desk.ask(command="seed", value=7) == {"ok": True}
        drawn.append(desk.bench.cluster.rng.standard_normal())
    assert drawn[0] == drawn[1] == np.random.default_rng(7).standard_normal()


def test_the_clock_is_read_advanced_and_reset(desk: Desk) -> None:
    assert desk.ask(command="advance", seconds=1.5) == {"ok": True, "time_ns": 1_500_000_000}
    assert desk.ask(command="clock") == {"ok": True, "time_ns": 1_500_000_000}
    assert desk.ask(command="reset_clock") == {"ok": True, "time_ns": 0}


def test_what_was_played_last_can_be_read(desk: Desk) -> None:
    assert desk.ask(command="events") == {"ok": True, "tables": []}
    desk.bench.upload("6.0", "set_mrk 2\nplay 0,0,100\nstop", waves=[np.ones(50)])
    desk.bench.ask("SLOT6:SEQ0:ARM;:SLOT6:SEQ0:START")
    (table,) = desk.ask(command="events")["tables"]
    assert table["plays"]["length"] == [50]
    assert table["outputs"][table["plays"]["port"][0]]["name"] == "slot6.out0"


def test_every_run_is_counted_and_no_reset_takes_one_back(desk: Desk) -> None:
    desk.bench.upload("6.0", "set_mrk 2\nplay 0,0,100\nstop", waves=[np.ones(50)])
    for runs in (1, 2):
        desk.bench.ask("SLOT6:SEQ0:ARM;:SLOT6:SEQ0:START")
        assert desk.ask(command="runs") == {"ok": True, "runs": runs}
    desk.bench.ask("*RST")
    assert desk.ask(command="runs")["runs"] == 2


def test_the_state_of_the_rf_outputs_can_be_read(desk: Desk) -> None:
    desk.bench.ask("SLOT1:LO1:ENA 0;:SLOT1:AFE:ATT:OUT1 8")
    desk.bench.upload("1.2", "set_mrk 2\nupd_param 4\nstop")
    desk.bench.run("1.2")
    outputs = desk.ask(command="outputs")["outputs"]
    assert set(outputs) == {"slot1.out0", "slot1.out1", "slot6.out0"}
    assert outputs["slot1.out1"] == {
        "lo_enabled": False,
        "lo_frequency": 6e9,
        "attenuation_db": 8.0,
        "switch_open": True,
    }
    assert outputs["slot1.out0"]["lo_enabled"]
    assert not outputs["slot1.out0"]["switch_open"]
    desk.bench.configure("1.2", {"awg.0.marker_ovr.en": True})
    assert not desk.ask(command="outputs")["outputs"]["slot1.out1"]["switch_open"]


def test_faults_are_planned_and_forgotten(desk: Desk) -> None:
    assert desk.ask(command="fault", kind="late", seconds=0.5, port=5025, count=2) == {"ok": True, "planned": 2}
    fault = desk.faults.take(5025)
    assert fault is not None
    assert (fault.kind, fault.seconds, fault.port) == (FaultKind.LATE, 0.5, 5025)
    assert desk.ask(command="clear_faults") == {"ok": True}
    assert len(desk.faults) == 0


def test_a_storm_of_errors_fills_every_queue(desk: Desk) -> None:
    desk.ask(command="errors", count=1000)
    assert desk.bench.text("SYST:ERR:COUN?") == "64"
    assert desk.bench.ask("SYST:ERR:COUN?", port=6) == b"64"
    assert desk.bench.errors().endswith('-350,"Queue overflow"')


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": "fly"}, "one of seed, name"),
        ({}, "one of seed, name"),
        ({"command": "seed"}, "value is None"),
        ({"command": "seed", "value": -1}, "from 0 to"),
        ({"command": "seed", "value": True}, "whole number"),
        ({"command": "advance", "seconds": "1"}, "must be a number"),
        ({"command": "fault", "kind": "fire"}, "stall, half"),
        ({"command": "fault", "kind": "stall", "port": 0}, "from 1 to 65535"),
    ],
)
def test_a_request_that_cannot_be_obeyed_says_why(desk: Desk, request_: dict[str, object], words: str) -> None:
    answer = desk.ask(**request_)
    assert answer["ok"] is False
    assert any(word in answer["error"] for word in words.split("|"))


def test_what_is_no_json_is_refused(desk: Desk) -> None:
    control = Control(desk.bench.cluster, desk.faults, name="", end=lambda: None)
    assert json.loads(control.answer(b"{")) == {"ok": False, "error": json.loads(control.answer(b"{"))["error"]}
    assert not json.loads(control.answer(b"[]"))["ok"]
