"""A device file may not contradict itself about what its gates mean."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from qubitd.compiler.device_file import load_device, read_device
from qubitd.compiler.matrices import gate_matrix, is_standard, standard_matrix
from qubitd.core.device import Gate
from qubitd.core.errors import InvalidCircuitError, InvalidDeviceError

NAMES = [
    *("id", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "r", "u", "u1", "u2"),
    *("u3", "cx", "cy", "cz", "ch", "cp", "crx", "cry", "crz", "swap", "iswap"),
]

DEVICE = """
name = "one"
description = ""
[limits]
shots = 10
circuits = 1
[qubits.q0]
frequency = 5e9
pulse.duration = 20e-9
pulse.amplitude = 0.1
[qubits.q1]
frequency = 5e9
pulse.duration = 20e-9
pulse.amplitude = 0.1
[gates.rz]
on = "qubits"
angles = ["theta"]
duration = 0.0
error = 0.0
steps = [{ shift_phase = "theta" }]
[gates.tip]
on = "qubits"
duration = "pulse.duration"
error = 0.001
steps = [{ play = "cosine", line = "drive", length = "pulse.duration", amplitude = "pulse.amplitude" }]
"""
DEFINED = 'definition = "gate tip q { rx(pi/2) q; }"\n'


def gates(more: str) -> dict[str, Gate]:
    return dict(read_device((DEVICE + more).encode(), where="d").device.gates)


@pytest.mark.parametrize("name", NAMES)
def test_the_gates_that_definitions_may_call_are_qiskits(name: str) -> None:
    theirs = get_standard_gate_name_mapping()[name]
    angles = (0.3, -1.1, 2.5)[: len(theirs.params)]
    assert is_standard(name, num_qubits=theirs.num_qubits, num_angles=len(angles))
    reference = Operator(theirs.base_class(*angles)).reverse_qargs().data
    np.testing.assert_allclose(standard_matrix(name, angles), reference, atol=1e-12)


def test_a_labs_gate_is_what_its_definition_says() -> None:
    device = load_device("line5").device
    cos = np.cos(pi / 4)
    np.testing.assert_allclose(gate_matrix(device.gates, "sy", ()), [[cos, -cos], [cos, cos]], atol=1e-15)
    with pytest.raises(InvalidCircuitError, match="gate tip: what it is meant to do is not known"):
        gate_matrix(gates(""), "tip", ())


def test_definitions_and_equivalences_that_agree_are_taken() -> None:
    more = DEFINED + 'equivalences = ["gate sx q { gphase(pi/4); tip q; }", "gate x q { gphase(pi/2); tip q; tip q; }"]'
    assert len(gates(more)["tip"].meaning.equivalences) == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('definition = "gate tip q"', "gates.tip: definition 'gate tip q': is no gate definition"),
        ('definition = "gate top q { x q; }"', "gates.tip.definition: must define tip with 0 angles on 1 qubits"),
        ('definition = "gate tip a, b { cx a, b; }"', "must define tip with 0 angles on 1 qubits"),
        (
            'definition = "gate tip q { tip q; }"',
            "calls tip with 0 angles on 1 qubits, which is no gate",
        ),
        ('definition = "gate tip q { rx q; }"', "calls rx with 0 angles"),
        ('equivalences = ["gate x q { tip q; tip q; }"]', "equivalences.0.: needs the gate's own `definition`"),
        (DEFINED + 'equivalences = ["gate x q { tip q; tip q; }"]', "is not x; mind the order of the calls"),
        (DEFINED + 'equivalences = ["gate wave q { tip q; }"]', "wave with 0 angles is no gate of Qiskit"),
        (DEFINED + 'equivalences = ["gate sx q { tip(pi) q; }"]', "calls tip with 1 angles"),
        (
            '[gates.sx]\non = "qubits"\nerror = 0.0\nbody = [{ gate = "tip" }]\ndefinition = "gate sx q { x q; }"',
            "gates.sx.definition: is not what Qiskit means by sx",
        ),
        (
            DEFINED + '[gates.x]\non = "qubits"\nerror = 0.0\nbody = [{ gate = "tip" }]',
            "gates.x.body: does something else than x means",
        ),
        (
            DEFINED
            + '[gates.p]\non = "qubits"\nangles = ["a"]\nerror = 0.0\nbody = [{ gate = "rz", angles = ["-a"] }]',
            "gates.p.body: does something else than p means",
        ),
    ],
)
def test_contradictions_are_named(more: str, why: str) -> None:
    with pytest.raises(InvalidDeviceError, match=why):
        gates(more)


def test_a_body_may_hold_gates_of_unknown_meaning_and_is_then_believed() -> None:
    assert "x" in gates('[gates.x]\non = "qubits"\nerror = 0.0\nbody = [{ gate = "tip" }]')
    assert "lift" in gates('[gates.lift]\non = "qubits"\nerror = 0.0\nbody = [{ gate = "tip" }]')


def test_a_body_is_compared_up_to_the_global_phase() -> None:
    body = '[gates.p]\non = "qubits"\nangles = ["lam"]\nerror = 0.0\nbody = [{ gate = "rz", angles = ["lam"] }]'
    assert gates(body)["p"].angles == ("lam",)


def test_a_definition_of_many_qubits_is_refused() -> None:
    qubits = [f"q{i}" for i in range(6)]
    tables = "".join(f"[qubits.{name}]\n" for name in qubits)
    text = f"""
name = "six"
description = ""
[limits]
shots = 10
circuits = 1
{tables}
[gates.rz]
on = "qubits"
angles = ["theta"]
duration = 0.0
error = 0.0
steps = [{{ shift_phase = "theta" }}]
[gates.all]
on = [{qubits}]
error = 0.0
body = [{{ gate = "rz", qubits = [0], angles = [1.0] }}]
definition = "gate all {", ".join(qubits)} {{ x q0; }}"
"""
    with pytest.raises(InvalidDeviceError, match="is of a gate on 6 qubits; at most 5"):
        read_device(text.encode(), where="d")
