"""A small new job is compiled while it is being taken: one at a time, and whatever becomes of it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.job import JobSpec
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.server.compiling.compile_process import CompileProcess, Kit
from qubitd.server.compiling.spec_memory import MOST_REMEMBERED_BYTES
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.instruments.ceilings import ceilings_of
from qubitd.server.running import workshop as workshop_module
from qubitd.server.running.workshop import Helpers, Workshop
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.telemetry.spending import Activity
from qubitd.wire.specs import encode_spec

FILE = load_device("line5")
RACK = load_rack()
SNAPSHOT = FILE.snapshot()


def job(shots: int = 100, *, gate: str = "sx", client_data: bytes = b"") -> bytes:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).add("rz", 0, params=(math.pi / 2,)).add(gate, 0)
    spec = JobSpec(batch=pack([circuit.measure(0, 0)]), sweep=Sweep(), shots=shots, client_data=client_data)
    return encode_spec(spec).SerializeToString(deterministic=True)


class Watched(Toolchain):
    """Counts what it looks at ahead, and waits before it does if told to."""

    def __init__(self) -> None:
        super().__init__(FILE.device, open_rack(RACK), ceilings=ceilings_of(RACK), run_time=10**10, now=lambda: 0)
        self.asked: list[bytes] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def look_ahead(self, spec: bytes, snapshot: Snapshot) -> None:
        self.asked.append(spec)
        self.may_go_on.wait(60)
        super().look_ahead(spec, snapshot)


@pytest.fixture
def toolchain() -> Watched:
    return Watched()


@pytest.fixture
def workshop(tmp_path: Path, toolchain: Watched) -> Generator[Workshop]:
    kit = Kit(device=FILE.device, rack=RACK)
    store = SqliteStore(tmp_path)
    shop = Workshop(
        store=store,
        toolchain=toolchain,
        helpers=Helpers(
            waiting=CompileProcess(kit), running=CompileProcess(kit), simulating=CompileProcess(kit), crew=None
        ),
    )
    yield shop
    shop.close()
    store.close()


async def test_a_small_new_job_is_known_when_it_is_looked_at(workshop: Workshop, toolchain: Watched) -> None:
    workshop.begin(job(), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    workshop.bring("id", job())
    found = workshop.recall("id", SNAPSHOT)
    assert found is not None
    assert found.compiled is not None
    assert found.compiled.is_made
    assert set(next(found.compiled.parts).spent) == {Activity.COMPILE, Activity.ASSEMBLE}
    workshop.begin(job(), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    assert toolchain.asked == [job()]


async def test_one_is_compiled_ahead_at_a_time(workshop: Workshop, toolchain: Watched) -> None:
    toolchain.may_go_on.clear()
    workshop.begin(job(1), 1, SNAPSHOT)
    workshop.begin(job(2), 1, SNAPSHOT)
    toolchain.may_go_on.set()
    await workshop.for_waiting(lambda: None)
    workshop.begin(job(3), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    assert toolchain.asked == [job(1), job(3)]


async def test_what_is_not_small_waits_for_its_turn(workshop: Workshop, toolchain: Watched) -> None:
    workshop.begin(job(), 9, SNAPSHOT)
    workshop.begin(job(client_data=bytes(MOST_REMEMBERED_BYTES)), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    assert toolchain.asked == []


async def test_a_job_that_cannot_run_is_refused_when_it_is_looked_at(workshop: Workshop, toolchain: Watched) -> None:
    workshop.begin(job(gate="bogus"), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    workshop.bring("id", job(gate="bogus"))
    assert workshop.recall("id", SNAPSHOT) is None
    assert toolchain.asked == [job(gate="bogus")]


async def test_a_small_new_job_is_known_once_it_was_compiled_with_nobody_before_it(
    workshop: Workshop, toolchain: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop_module, "AT_ONCE", 60.0)
    assert await workshop.knows(job(), 1, SNAPSHOT)
    assert await workshop.knows(job(), 1, SNAPSHOT)
    assert toolchain.asked == [job()]
    assert not await workshop.knows(job(gate="bogus"), 1, SNAPSHOT)
    assert not await workshop.knows(job(2), 9, SNAPSHOT)
    assert toolchain.asked == [job(), job(gate="bogus")]


async def test_nobody_waits_for_what_takes_long_or_for_others(workshop: Workshop, toolchain: Watched) -> None:
    toolchain.may_go_on.clear()
    assert not await workshop.knows(job(1), 1, SNAPSHOT)
    assert not await workshop.knows(job(2), 1, SNAPSHOT)
    workshop.begin(job(1), 1, SNAPSHOT)
    toolchain.may_go_on.set()
    await workshop.for_waiting(lambda: None)
    assert await workshop.knows(job(1), 1, SNAPSHOT)
    assert toolchain.asked == [job(1)]


async def test_nobody_waits_for_what_is_done_for_jobs_that_wait(workshop: Workshop, toolchain: Watched) -> None:
    toolchain.may_go_on.clear()
    waiting = asyncio.ensure_future(workshop.for_waiting(toolchain.may_go_on.wait))
    await asyncio.sleep(0)
    assert not await workshop.knows(job(), 1, SNAPSHOT)
    toolchain.may_go_on.set()
    await waiting
    assert toolchain.asked == []


def dynamic(rounds: int) -> bytes:
    """A job of few bytes, whose loop is asked about again in each of its rounds."""
    zero = Condition(clbits=(0,), truth=0b01, text="c0 == 0")
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).measure(0, 0).while_(zero, most=rounds)
    spec = JobSpec(batch=pack([circuit.add("sx", 0).measure(0, 0).end()]), sweep=Sweep(), shots=1)
    return encode_spec(spec).SerializeToString(deterministic=True)


async def test_what_is_small_but_laborious_waits_for_its_turn(workshop: Workshop, toolchain: Watched) -> None:
    workshop.begin(dynamic(rounds=1000), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    assert toolchain.asked == []
    workshop.begin(dynamic(rounds=10), 1, SNAPSHOT)
    await workshop.for_waiting(lambda: None)
    assert toolchain.asked == [dynamic(rounds=10)]
