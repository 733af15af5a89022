"""Angle expressions of device files are read as constant + factors, or refused with the reason."""

from __future__ import annotations

import math

import pytest

from qubitd.core.angles import AngleExpressionError, parse_angle


@pytest.mark.parametrize(
    ("text", "constant", "terms"),
    [
        ("theta", 0.0, {"theta": 1.0}),
        ("-lambda_", 0.0, {"lambda_": -1.0}),
        ("pi/2", math.pi / 2, {}),
        ("theta/2 + pi", math.pi, {"theta": 0.5}),
        ("(theta + phi)/2 - 3*pi/4", -3 * math.pi / 4, {"theta": 0.5, "phi": 0.5}),
        ("2 * (theta - phi) + theta", 0.0, {"theta": 3.0, "phi": -2.0}),
        ("+1.5e-3", 1.5e-3, {}),
        (" theta * 2 ", 0.0, {"theta": 2.0}),
    ],
)
def test_an_affine_expression_is_read(text: str, constant: float, terms: dict[str, float]) -> None:
    value = parse_angle(text, ("theta", "phi", "lambda_"))
    assert value.constant == pytest.approx(constant)
    assert dict(value.terms) == pytest.approx(terms)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("theta*phi", "only be added"),
        ("1/theta", "only be added"),
        ("theta**2", "only be added"),
        ("gamma", "unknown name 'gamma'; known here are pi, theta, phi"),
        ("__import__('os')", "not allowed"),
        ("theta.real", "not allowed"),
        ("theta if 1 else 2", "not allowed"),
        ("True", "not allowed"),
        ("1j", "not allowed"),
        ("theta +", "not an expression"),
        ("", "not an expression"),
        ("theta/0", "divides by 0"),
        ("1e400", "not finite"),
        ("9" * 400, "too large"),
        ("(" * 5000, "not an expression"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(AngleExpressionError, match=why):
        parse_angle(text, ("theta", "phi"))
