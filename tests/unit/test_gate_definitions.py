"""Gate definitions are read as calls, or refused with the reason."""

from __future__ import annotations

from math import pi

import pytest

from qubitd.core.definition import Call, parse_definition
from qubitd.core.device import Affine
from qubitd.core.errors import InvalidDeviceError


def test_a_definition_is_read_as_calls_in_their_order() -> None:
    text = "gate wave(theta, lambda) a, b { // two qubits\n ry(theta/2) b; cx a,b; gphase(-(theta + lambda)/4); h a; }"
    found = parse_definition(text)
    assert (found.name, found.angles, found.num_qubits) == ("wave", ("theta", "lambda"), 2)
    assert [(call.gate, call.operands) for call in found.calls] == [
        ("ry", (1,)),
        ("cx", (0, 1)),
        ("gphase", ()),
        ("h", (0,)),
    ]
    assert found.calls[2].angles == (Affine(constant=0.0, terms=(("theta", -0.25), ("lambda", -0.25))),)


def test_a_gate_without_angles_may_leave_out_the_parentheses() -> None:
    one = Call(gate="ry", angles=(Affine(constant=pi / 2),), operands=(0,))
    assert parse_definition("gate sy q { ry(pi/2) q; }").calls == (one,)
    assert parse_definition("gate sy() q{ry(pi/2) q;}").calls == (one,)
    assert parse_definition("gate nothing q { }").calls == ()


def test_expressions_may_hold_parentheses_and_commas_part_them() -> None:
    (call,) = parse_definition("gate g(a, b) q { u((a + b)/2, -(a), 2*(b - a)) q; }").calls
    assert [dict(angle.terms) for angle in call.angles] == [{"a": 0.5, "b": 0.5}, {"a": -1.0}, {"b": 2.0, "a": -2.0}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no gate definition"),
        ("gate q { x q; }", "is no gate definition"),
        ("gate g q { x q; } gate h q { x q; }", "only calls"),
        (f"gate g q {{ {'x q; ' * 2000} }}", "at most 4096 characters"),
        ("gate g(a, a) q { }", "twice"),
        ("gate g q, q { }", "twice"),
        ("gate g q { x q }", "does not end with ;"),
        ("gate g c, t { ctrl @ x c, t; }", "only calls of gates"),
        ("gate g q { rz(2*b) q; }", "unknown name 'b'"),
        ("gate g q { x r; }", "different qubits among q"),
        ("gate g q { x; }", "different qubits among q"),
        ("gate g a, b { cx a, a; }", "different qubits among a, b"),
        ("gate g q { gphase(pi) q; }", "different qubits among q"),
        ("gate g q { rz(pi,) q; }", "is not an expression"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidDeviceError, match=why):
        parse_definition(text)
