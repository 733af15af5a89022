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
    Matched,
    NetZero,
    Square,
    make_envelope,
    make_sampled,
    sample_envelope,
    samples_digest,
)
from qubitd.core.errors import InvalidDeviceError

SHAPE = {"sigma": 8e-9, "beta": 0.3e-9, "rise": 5e-9}
SYMMETRIC = sorted(set(SHAPE_FIELDS) - {"net_zero", "sampled"})


@pytest.mark.parametrize("kind", SYMMETRIC)
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
        ("flat_top", 40, {"rise": 21e-9}, "do not fit flat_top of 40 ns, which has 2 of them"),
        ("net_zero", 40, {"rise": 11e-9}, "do not fit net_zero of 40 ns, which has 4 of them"),
        ("net_zero", 1, {"rise": 0.0}, "1 ticks long; the least is 2"),
        ("matched", 40, {"linewidth": 0.0, "chi": 1e6}, "needs a linewidth above 0"),
        ("matched", 40, {"linewidth": 5e6, "chi": 0.0}, "a chi that is not 0"),
        ("matched", 40, {"linewidth": 5e6}, "needs chi"),
    ],
)
def test_an_envelope_that_cannot_be_is_refused(kind: str, length: int, shape: dict[str, float], what: str) -> None:
    with pytest.raises(InvalidDeviceError, match=f"here: .*{what}"):
        make_envelope(kind, length=length, shape=shape, where="here")


def test_equal_digests_mean_equal_samples() -> None:
    samples = sample_envelope(Square(length=8))
    assert samples_digest(samples) == samples_digest(samples.copy())
    assert samples_digest(samples) != samples_digest(samples * (1 + 1e-15))


@pytest.mark.parametrize("length", [40, 41])
@pytest.mark.parametrize("rise", [0.0, 4e-9])
def test_net_zero_has_no_area_and_two_equal_halves(length: int, rise: float) -> None:
    samples = sample_envelope(NetZero(length=length, rise=rise)).real
    assert len(samples) == length
    assert samples.sum() == pytest.approx(0, abs=1e-12)
    half = sample_envelope(FlatTop(length=20, rise=rise)).real
    np.testing.assert_array_equal(samples[:20], half)
    np.testing.assert_array_equal(samples[-20:], -half)
    assert length % 2 == 0 or samples[20] == 0


def test_samples_are_taken_as_they_are_written() -> None:
    made = make_sampled([0.5, -1.0, 0.6 + 0.8j], where="here")
    assert made.length == 3
    np.testing.assert_array_equal(sample_envelope(made), [0.5, -1.0, 0.6 + 0.8j])


@pytest.mark.parametrize(
    ("samples", "what"),
    [([], "0 ticks long"), ([1.1], "above 1"), ([float("nan")], "above 1"), ([0.8 + 0.8j], "above 1")],
)
def test_samples_that_cannot_be_are_refused(samples: list[complex], what: str) -> None:
    with pytest.raises(InvalidDeviceError, match=f"here: .*{what}"):
        make_sampled(samples, where="here")


def test_the_matched_kernel_is_real_rises_from_0_and_peaks_at_1() -> None:
    kernel = sample_envelope(Matched(length=400, linewidth=5e6, chi=-1.6e6))
    assert not kernel.imag.any()
    assert 0 < kernel.real[0] < 0.02
    assert kernel.real.max() == 1
    rate = np.pi * 5e6 + 2j * np.pi * 1.6e6
    fields = (1 - np.exp(-np.outer((np.arange(400) + 0.5) * 1e-9, [rate, rate.conjugate()]))) / [rate, rate.conjugate()]
    difference = np.abs(fields[:, 0] - fields[:, 1])
    np.testing.assert_allclose(kernel.real, difference / difference.max(), atol=1e-12)
