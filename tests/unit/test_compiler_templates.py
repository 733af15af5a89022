"""Devices that no file can describe, and big ones: what templates refer to, and gates told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qubitd.compiler.columns import gather
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.gate_table import GateKey, GateTable, kinds_of
from qubitd.compiler.resolve import resolve_gate
from qubitd.compiler.templates import lines_of
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.device import Affine, PlayStep, PulseGate
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError, InvalidDeviceError

FILE = load_device("line5")
STRETCHY = PulseGate(
    name="stretchy",
    operands=((0,),),
    angles=("theta",),
    duration=40e-9,
    error=0.0,
    steps=(
        PlayStep(
            line="drive",
            operand=0,
            envelope="square",
            length=Affine(constant=0.0, terms=(("theta", 1e-9),)),
            amplitude=0.1,
        ),
    ),
)


def test_a_length_that_depends_on_an_angle_is_refused() -> None:
    with pytest.raises(InvalidCalibrationError, match=r"stretchy on q0: a length .* cannot depend on an angle"):
        resolve_gate(FILE.device, FILE.snapshot(), STRETCHY, (0,))


def test_the_pulsed_qubit_of_what_is_not_coupled_does_not_exist() -> None:
    cz = FILE.device.gates["cz"]
    assert isinstance(cz, PulseGate)
    device = replace(FILE.device, gates={"cz": replace(cz, operands=((0, 4),))})
    with pytest.raises(InvalidDeviceError, match="q0_q4: a play on the pulsed qubit needs a coupler"):
        lines_of(device)


def test_a_gate_that_exists_on_some_qubits_is_refused_on_others() -> None:
    device = replace(FILE.device, gates={**FILE.device.gates, "mine": replace(STRETCHY, name="mine", steps=())})
    circuit = CircuitBuilder(name="a", num_qubits=5, num_clbits=0).add("mine", 1, params=(1.0,))
    with pytest.raises(InvalidCircuitError, match="mine does not exist on q1; it exists on q0"):
        compile_circuits(device, FILE.snapshot(), pack([circuit]))


@pytest.mark.parametrize("num_qubits", [5, 2000])
def test_gates_are_told_apart_on_chips_of_any_size(num_qubits: int) -> None:
    builder = CircuitBuilder(name="a", num_qubits=num_qubits, num_clbits=0)
    last = num_qubits - 1
    builder.add("cz", 0, last).add("sx", last).add("cz", last, 0).add("barrier", 0, last).add("cz", 0, last)
    batch = pack([builder])
    table = GateTable()
    rows = table.rows_of(kinds_of(gather(batch, range(len(batch.circuits)), num_qubits)))
    keys = [("cz", (0, last)), ("sx", (last,)), ("cz", (last, 0)), None, ("cz", (0, last))]
    found = [None if row == 0 else table.keys[row - 1] for row in rows]
    assert found == [None if key is None else GateKey(name=key[0], operands=key[1]) for key in keys]
    more = table.rows_of(kinds_of(gather(batch, range(len(batch.circuits)), num_qubits)))
    np.testing.assert_array_equal(more, rows)
