"""Lifetime, faults, addresses, and the table of played events as a document."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.emulator.errors import NoFreeAddressError
from qubitd.emulator.faults import Fault, FaultKind, FaultPlan
from qubitd.emulator.lifetime import Lifetime
from qubitd.emulator.played import as_document, from_document
from qubitd.emulator.ports import bind_all, candidates

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_nobody_ever_came() -> None:
    clock = Clock()
    lifetime = Lifetime(clock)
    assert lifetime.remaining() == 30
    clock.time += 30
    assert lifetime.remaining() == 0


def test_it_lives_as_long_as_anybody_is_connected_and_a_while_longer() -> None:
    clock = Clock()
    lifetime = Lifetime(clock)
    lifetime.opened()
    lifetime.opened()
    clock.time += 1000
    assert lifetime.remaining() is None
    lifetime.closed()
    assert lifetime.remaining() is None
    lifetime.closed()
    assert lifetime.remaining() == 10
    clock.time += 9
    lifetime.opened()
    lifetime.closed()
    assert lifetime.remaining() == 10


def test_faults_befall_the_answers_they_were_planned_for() -> None:
    plan = FaultPlan()
    plan.add(Fault(kind=FaultKind.STALL, port=25_006))
    plan.add(Fault(kind=FaultKind.RESET), count=2)
    assert len(plan) == 3
    kinds = [fault.kind if (fault := plan.take(5025)) else None for _ in range(3)]
    assert kinds == [FaultKind.RESET, FaultKind.RESET, None]
    fault = plan.take(25_006)
    assert fault is not None
    assert fault.kind is FaultKind.STALL
    plan.add(Fault(kind=FaultKind.CLOSE))
    plan.clear()
    assert plan.take(5025) is None


def test_an_address_where_a_port_is_taken_is_passed_over() -> None:
    with socket.create_server(("127.77.1.1", 0)) as taken:
        port = taken.getsockname()[1]
        address, sockets = bind_all(["127.77.1.1", "127.77.1.2"], [port, 0])
        assert address == "127.77.1.2"
        assert sockets[0].getsockname() == ("127.77.1.2", port)
        for bound in sockets:
            bound.close()
        with pytest.raises(NoFreeAddressError, match=f"{port}"):
            bind_all(["127.77.1.1"], [0, port])


def test_candidates_are_loopback_addresses_other_than_the_usual_one() -> None:
    assert list(candidates("127.5.5.5")) == ["127.5.5.5"]
    found = list(candidates(None))
    assert len(set(found)) > 100
    assert all(address.startswith("127.") and address != "127.0.0.1" for address in found)
    with pytest.raises(NoFreeAddressError, match="no address was tried"):
        bind_all([], [5025])


def test_a_played_table_survives_its_way_through_json(bench: Bench) -> None:
    bench.upload(
        "6.0",
        "set_mrk 2\nset_ph 5\nplay 0,1,40\nplay 1,1,20\nacquire_weighed 0,0,0,0,200\nstop",
        waves=[np.linspace(0, 1, 30), np.ones(10)],
        weights=[np.ones(8)],
        bins=1,
    )
    bench.configure("6.0", {"awg.0.mixer.en": True, "awg.0.nco.freq_hz": 1e6})
    bench.run("6.0")
    table = bench.table
    back = from_document(json.loads(json.dumps(as_document(table))))
    assert (back.shots, back.duration, back.outputs, back.inputs) == (
        table.shots,
        table.duration,
        table.outputs,
        table.inputs,
    )
    for name in ("plays", "acquisitions"):
        before, after = getattr(table, name), getattr(back, name)
        for column in before.__slots__:
            assert getattr(after, column).tolist() == getattr(before, column).tolist()
            assert getattr(after, column).dtype == getattr(before, column).dtype
    used = [*table.plays.waveform.tolist(), *table.acquisitions.weight.tolist()]
    assert all((back.waveforms[i].samples == table.waveforms[i].samples).all() for i in used)
    assert back.waveforms[used[0]].digest == table.waveforms[used[0]].digest
