"""Envelopes are sampled in the middle of each tick, in one place."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.core.envelope import (
    SHAPE_FIELDS,
    Cosine,
    Drag,
    FlatTop,
    Gaussian,
    Square,
    make_envelope,
    sample_envelope,
    samples_digest,
)
from qubitd.core.errors import InvalidDeviceError

SHAPE = {"sigma": 8e-9, "beta": 0.3e-9, "rise": 5e-9}


@pytest.mark.parametrize("kind", sorted(SHAPE_FIELDS))
def test_every_kind_is_as_long_as_asked_symmetric_and_at_most_full_scale(kind: str) -> None:
    envelope = make_envelope(kind, length=40, shape=SHAPE, where="test")
    samples = sample_envelope(envelope)
    assert samples.shape == (40,)
    assert np.abs(samples.real).max() <= 1
    np.testing.assert_allclose(samples.real, samples.real[::-1], atol=1e-15)
    np.testing.assert_allclose(samples.imag, -samples.imag[::-1], atol=1e-15)


def test_a_gaussian_starts_near_0_and_peaks_near_1() -> None:
    samples = sample_envelope(Gaussian(length=40, sigma=8e-9)).real
    lifted = (np.exp(-((19.5 / 8) ** 2) / 2) - np.exp(-(2.5**2) / 2)) / (1 - np.exp(-(2.5**2) / 2))
    assert samples[0] == pytest.approx(lifted, rel=1e-9)
    assert samples[19] == pytest.approx(0.99796, abs=1e-5)


def test_drag_adds_the_slope_of_the_gaussian_in_quadrature() -> None:
    samples = sample_envelope(Drag(length=40, sigma=8e-9, beta=2e-9))
    slope = np.gradient(samples.real, 1e-9)
    np.testing.assert_allclose(samples.imag[1:-1], 2e-9 * slope[1:-1], atol=2e-3)
    assert samples.imag[5] > 0


def test_drag_without_beta_is_the_gaussian() -> None:
    drag = sample_envelope(Drag(length=40, sigma=8e-9, beta=0.0))
    assert samples_digest(drag) == samples_digest(sample_envelope(Gaussian(length=40, sigma=8e-9)))


def test_a_cosine_has_half_the_area_of_a_square() -> None:
    assert sample_envelope(Cosine(length=40)).sum() == pytest.approx(20)
    assert sample_envelope(Square(length=40)).sum() == 40


def test_a_flat_top_has_edges_of_half_a_cosine() -> None:
    samples = sample_envelope(FlatTop(length=40, rise=10e-9)).real
    np.testing.assert_array_equal(samples[10:30], 1)
    assert samples.sum() == pytest.approx(30)
    np.testing.assert_array_equal(sample_envelope(FlatTop(length=40, rise=0.0)), 1)


@pytest.mark.parametrize(
    ("kind", "length", "shape", "what"),
    [
        ("sawtooth", 40, {}, "unknown envelope 'sawtooth'.*cosine, drag"),
        ("drag", 40, {"sigma": 8e-9}, "needs beta"),
        ("square", 0, {}, "0 ticks long; the least is 1"),
        ("gaussian", 40, {"sigma": float("nan")}, "not finite"),
        ("gaussian", 40, {"sigma": 0.0}, "must be above 0"),
        ("flat_top", 40, {"rise": 21e-9}, "do not fit a flat top of 40 ns"),
    ],
)
def test_an_envelope_that_cannot_be_is_refused(kind: str, length: int, shape: dict[str, float], what: str) -> None:
    with pytest.raises(InvalidDeviceError, match=f"here: .*{what}"):
        make_envelope(kind, length=length, shape=shape, where="here")


def test_equal_digests_mean_equal_samples() -> None:
    samples = sample_envelope(Square(length=8))
    assert samples_digest(samples) == samples_digest(samples.copy())
    assert samples_digest(samples) != samples_digest(samples * (1 + 1e-15))
