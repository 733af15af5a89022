"""A small job that comes again is known; another calibration, or another byte, makes it a new one."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.job import Decoupling, InitialReset, JobSpec
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.server.compiling.compiled_job import Part, Validated
from qubitd.server.compiling.toolchain import _REMEMBERED, Toolchain
from qubitd.server.instruments.ceilings import ceilings_of
from qubitd.server.telemetry.spending import Activity
from qubitd.wire.specs import encode_spec

FILE = load_device("line5")


def message(shots: int = 100, *, client_data: bytes = b"") -> bytes:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).add("rz", 0, params=(math.pi / 2,)).add("sx", 0)
    spec = JobSpec(batch=pack([circuit.measure(0, 0)]), sweep=Sweep(), shots=shots, client_data=client_data)
    return encode_spec(spec).SerializeToString()


@pytest.fixture
def toolchain() -> Toolchain:
    rack = load_rack()
    clock = itertools.count(1)
    return Toolchain(FILE.device, open_rack(rack), ceilings=ceilings_of(rack), run_time=10**10, now=lambda: next(clock))


def part(validated: Validated) -> Part:
    assert validated.compiled is not None
    [only] = validated.compiled.parts
    return only


def test_a_job_that_comes_again_is_neither_compiled_nor_assembled_again(toolchain: Toolchain) -> None:
    first = toolchain.validate(message(), FILE.snapshot())
    made = part(first)
    second = toolchain.validate(message(), FILE.snapshot())
    again = part(second)
    assert again.chunk is made.chunk
    assert again.assemble() is made.assemble()
    assert second.instrument_seconds == first.instrument_seconds > 0
    assert [event.time_ns for event in second.events] > [event.time_ns for event in first.events]


def spent(validated: Validated) -> set[Activity]:
    taken = part(validated).spent
    assert all(seconds > 0 for seconds in taken.values())
    return set(taken)


def test_what_a_job_took_is_told_to_the_first_who_sends_it(toolchain: Toolchain) -> None:
    first, second = (toolchain.validate(message(), FILE.snapshot()) for _ in range(2))
    assert spent(first) == {Activity.COMPILE, Activity.ASSEMBLE}
    assert spent(second) == set()
    checked, scheduled = first.events
    assert checked.time_ns < scheduled.time_ns
    toolchain.look_ahead(message(101), FILE.snapshot())
    first, second = (toolchain.validate(message(101), FILE.snapshot()) for _ in range(2))
    assert (spent(first), spent(second)) == ({Activity.COMPILE, Activity.ASSEMBLE}, set())


def test_another_calibration_or_byte_is_another_job(toolchain: Toolchain) -> None:
    snapshot = FILE.snapshot()
    made = part(toolchain.validate(message(), snapshot))
    assert part(toolchain.validate(message(101), snapshot)).chunk is not made.chunk
    other = snapshot.with_values({"q0.sx.amplitude": 0.05})
    changed = part(toolchain.validate(message(), other))
    assert changed.chunk.programs[0].plays.amplitude[0] != made.chunk.programs[0].plays.amplitude[0]
    renamed = toolchain.validate(message(), replace(snapshot, revision=7))
    assert renamed.compiled is not None
    assert renamed.compiled.snapshot.revision == 7


def test_a_job_that_keeps_coming_stays_known_however_many_others_come(toolchain: Toolchain) -> None:
    snapshot = FILE.snapshot()
    made = part(toolchain.validate(message(), snapshot))
    for number in range(_REMEMBERED + 1):
        toolchain.validate(message(200 + number), snapshot)
        assert part(toolchain.validate(message(), snapshot)).chunk is made.chunk


def test_a_job_that_was_asked_after_is_forgotten_last(toolchain: Toolchain) -> None:
    snapshot = FILE.snapshot()
    for number in range(_REMEMBERED):
        toolchain.validate(message(200 + number), snapshot)
    assert toolchain.knows(message(200), snapshot)
    toolchain.validate(message(), snapshot)
    assert toolchain.recall(message(200), snapshot) is not None
    assert not toolchain.knows(message(201), snapshot)


def test_only_a_few_small_jobs_are_known(toolchain: Toolchain) -> None:
    snapshot = FILE.snapshot()
    made = part(toolchain.validate(message(), snapshot))
    for number in range(_REMEMBERED):
        toolchain.validate(message(200 + number), snapshot)
    assert part(toolchain.validate(message(), snapshot)).chunk is not made.chunk
    long = message(client_data=bytes(20_000))
    big = part(toolchain.validate(long, snapshot))
    assert part(toolchain.validate(long, snapshot)).chunk is not big.chunk


def test_a_job_of_several_chunks_is_cut_anew(toolchain: Toolchain) -> None:
    many = message(100_000)
    for _ in range(2):
        validated = toolchain.validate(many, FILE.snapshot())
        assert validated.compiled is not None
        assert sum(p.chunk.shots for p in validated.compiled.parts) == 100_000


@pytest.mark.parametrize(
    ("device", "waits_for_real", "options", "is_active"),
    [
        ("classroom5", True, {}, True),
        ("classroom5", False, {}, False),
        ("classroom5", True, {"dd": Decoupling.XY4}, False),
        ("classroom5", True, {"initial_reset": InitialReset.PASSIVE}, False),
        ("classroom5", False, {"initial_reset": InitialReset.ACTIVE}, True),
        ("line5", True, {}, False),
    ],
)
def test_a_reset_is_active_where_the_wait_would_really_be_long(
    device: str, waits_for_real: bool, options: dict[str, Any], is_active: bool
) -> None:
    file, rack = load_device(device), load_rack(None if device == "line5" else Path(device))
    clock = itertools.count(1)
    toolchain = Toolchain(
        file.device,
        open_rack(rack),
        ceilings=ceilings_of(rack),
        run_time=10**12,
        waits_for_real=waits_for_real,
        now=lambda: next(clock),
    )
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).add("x", 0).measure(0, 0)
    spec = JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=10, **options)
    seconds = toolchain.validate(encode_spec(spec).SerializeToString(), file.snapshot()).instrument_seconds
    assert (seconds < 1e-3) == is_active


def flips(*, acts: bool = False) -> CircuitBuilder:
    circuit = CircuitBuilder(name="flips", num_qubits=2, num_clbits=2).add("x", 0).measure(0, 0)
    if acts:
        circuit.if_(Condition(clbits=(0,), truth=0b10, text="c[0]")).add("x", 1).end()
    return circuit.measure(1, 1)


AXIS = SweepAxis(names=("q0.x.amplitude",), values=np.linspace(0.1, 0.3, 7)[None])


@pytest.mark.parametrize(
    ("circuits", "options"),
    [
        ([flips(), flips()], {}),
        ([flips(), flips()], {"initial_reset": InitialReset.NONE}),
        ([flips()], {"initial_reset": InitialReset.ACTIVE}),
        ([flips(acts=True), flips()], {"initial_reset": InitialReset.PASSIVE}),
        ([flips(), flips(acts=True)], {"initial_reset": InitialReset.NONE}),
        ([flips()], {"sweep": Sweep(axes=(AXIS,))}),
        ([flips()], {"sweep": Sweep(axes=(AXIS,)), "initial_reset": InitialReset.NONE}),
    ],
)
def test_the_time_that_is_told_is_what_the_controller_takes(
    toolchain: Toolchain, circuits: list[CircuitBuilder], options: dict[str, Any]
) -> None:
    """With what it needs between two programs itself, which is all that is between them where nothing is reset."""
    spec = JobSpec(batch=pack(circuits), shots=1000, **{"sweep": Sweep(), **options})
    message = encode_spec(spec).SerializeToString()
    told = toolchain.validate(message, FILE.snapshot()).instrument_seconds
    taken = sum(part.assemble().duration for part in toolchain.compile(message, FILE.snapshot()).parts)
    assert told == pytest.approx(taken, rel=1e-12)
