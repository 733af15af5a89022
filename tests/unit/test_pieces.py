"""What stands piece by piece for gates under conditions that the network cannot tell: its costs and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qubitd.compiler import flatten
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.flatten import Flattened, flatten_batch
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.device import Device
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.feedforward import FeedForward

LINE5 = load_device("line5")
FACTS = FeedForward(latency=388, travel=376, spacing=252, addresses=15, step=16, shift=4)
FIRST_ALONE = Condition(clbits=(0, 1), truth=0b0010, text="the first alone")


def begun() -> CircuitBuilder:
    return CircuitBuilder(name="a", num_qubits=5, num_clbits=3).measure(0, 0).measure(1, 1)


def flattened(builder: CircuitBuilder) -> Flattened:
    return flatten_batch(pack([builder]), rounds=1, gates=LINE5.device.gates)


def refusal(builder: CircuitBuilder, device: Device, *, without: str = "nothing") -> list[str]:
    snapshot = LINE5.snapshot()
    left = {name: value for name, value in snapshot.parameters.items() if not name.startswith(without)}
    with pytest.raises(InvalidCircuitError) as refused:
        compile_circuits(device, replace(snapshot, parameters=left), pack([builder]), feedforward=FACTS)
    return [str(problem) for problem in refused.value.problems]


def without_gate(name: str, *operands: int) -> Device:
    """Give line5 whose gate is missing, or is there on all but some operands."""
    gates = dict(LINE5.device.gates)
    gate = gates.pop(name)
    if operands:
        gates[name] = replace(gate, operands=tuple(on for on in gate.operands if on != operands))
    return replace(LINE5.device, gates=gates)


@pytest.mark.parametrize("device", [without_gate("sx"), without_gate("sx", 2)])
def test_a_gate_whose_pieces_the_device_lacks_is_refused_once(device: Device) -> None:
    builder = begun().if_(FIRST_ALONE).add("sy", 2).add("sy", 2).end()
    (problem,) = refusal(builder, device)
    assert "operation 3 (sy on q2): cannot be made under its condition" in problem
    assert "the device has no sx on it" in problem


def test_a_gate_whose_pieces_are_not_calibrated_is_refused() -> None:
    (problem,) = refusal(begun().if_(FIRST_ALONE).add("x", 2).end(), LINE5.device, without="q2.sx")
    assert "operation 3 (x on q2)" in problem
    assert "q2.sx.amplitude: has no value; calibrate it" in problem


def test_a_block_that_is_repeated_is_refused_once() -> None:
    builder = begun().for_(3).if_(FIRST_ALONE).add("cz", 2, 3).end().measure(4, 2).if_(bit(2)).break_().end().end()
    assert [str(problem).split(":")[0] for problem in flattened(builder).problems] == [
        "circuit 0 ('a'), operation 3 (if)"
    ]


def bit(number: int) -> Condition:
    return Condition(clbits=(number,), truth=0b10, text="a bit")


def test_pieces_that_are_bound_share_columns() -> None:
    builder = begun().if_(FIRST_ALONE)
    for _ in range(100):
        builder.add("rz", 2, params=(FromColumn(column=0),))
    flat = flattened(builder.end().bind(np.ones((10, 1)))).batch.circuits[0]
    assert flat.bindings is not None
    assert len(flat.bindings.positions) == 300
    assert flat.bindings.values.shape == (10, 3)  # as written, half of it, and minus half of it


def test_pieces_without_end_are_not_written_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatten, "MAX_WRITTEN_OUT", 100)
    builder = begun().if_(FIRST_ALONE).for_(100_000).add("x", 2).end().end()
    (problem,) = flattened(builder).problems
    assert "with its loops and conditions written out has more than 100 operations" in str(problem)


def test_an_identity_waits_whatever_its_condition() -> None:
    lengths = [
        compile_circuits(
            LINE5.device, LINE5.snapshot(), pack([builder.end().measure(2, 2)]), feedforward=FACTS
        ).programs()
        for builder in (begun().if_(FIRST_ALONE).add("x", 2), begun().if_(FIRST_ALONE).add("x", 2).add("id", 2))
    ]
    without, with_identity = (next(iter(programs)).duration for programs in lengths)
    assert with_identity > without
