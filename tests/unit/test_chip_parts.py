"""The chip's parts one by one: spectrum, resonator, chains of intervals, bodies, the door, and the cache."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import mathieu_a, mathieu_b

from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.cache import Cache
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.first_values import readout_amplitude, readout_frequency
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import arrive
from qubitd.emulator.chip.resonator import Notch, jump_curve, seen
from qubitd.emulator.chip.tape import Tape
from qubitd.emulator.chip.transmon import FluxCurve, levels
from qubitd.emulator.errors import InvalidTableError
from qubitd.emulator.events import EventTable

NOTCH = Notch(frequency=7.45, linewidth=0.0046, chi=-0.0017)
TONE = 7.4483


@pytest.mark.parametrize("ratio", [5.0, 57.0, 120.0])
def test_levels_are_the_characteristic_values_of_mathieu(ratio: float) -> None:
    expected = [mathieu_a(0, ratio / 2), mathieu_b(2, ratio / 2), mathieu_a(2, ratio / 2)]
    np.testing.assert_allclose(levels(np.array([ratio]))[0], expected, atol=1e-8)


def test_a_flux_curve_starts_at_the_sweet_spot_and_is_even_and_periodic() -> None:
    curve = FluxCurve(frequency=5.25, anharmonicity=-0.295, asymmetry=0.45)
    flux = np.array([0.0, 0.2, -0.2, 0.8, 1.2])
    f01 = curve.f01(flux)
    assert f01[0] == pytest.approx(5.25, abs=1e-9)
    assert curve.f12(flux)[0] == pytest.approx(5.25 - 0.295, abs=1e-9)
    np.testing.assert_allclose(f01[1:], f01[1], atol=1e-9)


def test_a_flux_curve_is_exact_between_its_knots() -> None:
    curve = FluxCurve(frequency=5.25, anharmonicity=-0.295, asymmetry=0.45)
    # EJ/EC from the sweet spot, found here by bisection on the ratio anharmonicity / f01.
    low, high = 20.0, 200.0
    for _ in range(80):
        middle = (low + high) / 2
        first, second = np.diff(levels(np.array([middle]))[0])
        low, high = (middle, high) if second / first - 1 < -0.295 / 5.25 else (low, middle)
    flux = np.random.default_rng(2).uniform(0, 0.5, 20)
    squeeze = np.sqrt(np.cos(np.pi * flux) ** 2 + (0.45 * np.sin(np.pi * flux)) ** 2)
    ec = 5.25 / np.diff(levels(np.array([low]))[0])[0]
    np.testing.assert_allclose(curve.f01(flux), ec * np.diff(levels(low * squeeze), axis=1)[:, 0], atol=1e-8)


@pytest.mark.parametrize("level", [0, 1])
def test_a_resonator_settles_at_its_transmission(level: int) -> None:
    drive = np.full(3000, 0.4 + 0.1j)
    out = drive + NOTCH.leaves(drive, level, TONE, 3000)
    assert out[-1] / drive[-1] == pytest.approx(NOTCH.transmission(level, TONE), abs=1e-10)


def test_a_resonator_rings_up_and_down_as_the_solution_says() -> None:
    rate = 2 * np.pi * (0.0046 / 2 + 1j * (7.45 - TONE))
    field = NOTCH.ring_up(np.full(300, 0.4 + 0j), 0, TONE, 500)
    time = np.arange(301)
    risen = np.sqrt(np.pi * 0.0046) * 0.4 / rate * (1 - np.exp(-rate * time))
    np.testing.assert_allclose(field[:301], risen, atol=1e-10)
    np.testing.assert_allclose(field[300:], risen[300] * np.exp(-rate * np.arange(201)), atol=1e-10)


def test_photons_are_those_that_were_asked_for() -> None:
    chip = Chip(load_cabling())
    notch = chip.feedline.notches[1]
    drive = np.full(3000, chip.feedline.source * readout_amplitude(chip, "q1", photons=6.5), dtype=np.complex128)
    field = notch.ring_up(drive, 1, readout_frequency(chip, "q1") * 1e-9, 3000)
    assert abs(field[-1]) ** 2 == pytest.approx(6.5, rel=1e-9)


@pytest.mark.parametrize(("first", "count"), [(0, 300), (100, 250), (-20, 200)])
def test_the_curve_of_falls_is_what_stepping_through_them_gives(first: int, count: int) -> None:
    drive = np.full(260, 0.4 + 0j)
    weights = np.exp(0.02j * np.arange(count)) * (1 + np.arange(count) / count)
    curve = jump_curve(NOTCH, drive, TONE, weights, first)
    reference = seen(NOTCH.leaves(drive, 0, TONE, first + count), weights, first)
    for fall in (0, 1, 90, 150, first + count):
        stepped = seen(stepped_leaves(drive, fall, first + count), weights, first)
        assert curve[fall] == pytest.approx(stepped - reference, abs=1e-9)


def stepped_leaves(drive: NDArray[np.complex128], fall: int, length: int) -> NDArray[np.complex128]:
    """Step a resonator in tenths of a nanosecond by the exact solution, switching its level at the fall."""
    field, left = 0j, np.zeros(length, dtype=np.complex128)
    coupling = np.sqrt(np.pi * NOTCH.linewidth)
    for sample in range(length):
        incoming = drive[sample] if sample < len(drive) else 0.0
        rate = NOTCH.rate(1 if sample < fall else 0, TONE)
        steady = coupling * incoming / rate
        left[sample] = -coupling * (steady + (field - steady) * (1 - np.exp(-rate)) / rate)
        field = steady + (field - steady) * np.exp(-rate)
    return left


def test_a_window_before_the_tone_sees_no_fall() -> None:
    assert jump_curve(NOTCH, np.ones(10, dtype=np.complex128), TONE, np.ones(5, dtype=np.complex128), -5).tolist() == [
        0
    ]
    assert seen(np.ones(5, dtype=np.complex128), np.ones(3, dtype=np.complex128), 5) == 0


@pytest.mark.parametrize(
    ("intervals", "gap", "labels"),
    [
        ([], 0, []),
        ([(0, 4), (4, 6)], 0, [0, 1]),
        ([(0, 4), (4, 6)], 1, [0, 0]),
        ([(0, 4), (5, 6)], 1, [0, 1]),
        ([(0, 9), (1, 2), (8, 10), (10, 11)], 0, [0, 0, 0, 1]),
        ([(0, 1), (100, 101)], 100, [0, 0]),
        ([(0, 1), (101, 102)], 100, [0, 1]),
    ],
)
def test_chains_of_intervals(intervals: list[tuple[int, int]], gap: int, labels: list[int]) -> None:
    start, end = np.array(intervals, dtype=np.int64).reshape(-1, 2).T
    assert chains(start, end, gap=gap).tolist() == labels


def test_a_chain_is_left_only_after_a_marked_row() -> None:
    start = np.array([0, 100, 200, 300])
    full = np.array([False, True, False, True])
    assert chains(start, start + 1, gap=50, full=full).tolist() == [0, 0, 1, 1]


def test_a_cache_forgets_the_oldest() -> None:
    cache: Cache[int, int] = Cache(2)
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key

    for key in (1, 2, 1, 3, 1):
        assert cache.get(key, partial(make, key)) == key
    assert made == [1, 2, 3, 1]
    assert len(cache) == 2


def one_pulse() -> EventTable:
    tape = Tape(load_cabling())
    tape.play("q0.drive", np.ones(40, dtype=np.complex128), 5, amplitude=0.2, frequency=6.05e9)
    tape.acquire(300, 100, frequency=7.4483e9)
    return tape.table(shots=3)


@pytest.mark.parametrize(
    ("column", "value", "limit"),
    [
        ("length", 41, "1 ns to the length"),
        ("length", 0, "1 ns"),
        ("port", 99, "index of an output"),
        ("waveform", 7, "waveform"),
    ],
)
def test_a_play_that_breaks_the_contract_is_refused(column: str, value: int, limit: str) -> None:
    table = one_pulse()
    wrong = replace(table, plays=replace(table.plays, **{column: np.array([value])}))
    with pytest.raises(InvalidTableError, match=rf"plays\.{column}\[0\] of the event table is {value}.*{limit}"):
        Chip(load_cabling()).run(wrong, np.random.default_rng())


@pytest.mark.parametrize(("column", "value"), [("length", 0), ("port", 1), ("weight", 5), ("weight", -2)])
def test_a_window_that_breaks_the_contract_is_refused(column: str, value: int) -> None:
    table = one_pulse()
    wrong = replace(table, acquisitions=replace(table.acquisitions, **{column: np.array([value])}))
    with pytest.raises(InvalidTableError, match=rf"acquisitions\.{column}"):
        Chip(load_cabling()).run(wrong, np.random.default_rng())


def test_times_count_at_the_chip() -> None:
    arrivals = arrive(one_pulse(), load_cabling())
    assert arrivals.drives.start.tolist() == [5]
    assert arrivals.drives.end.tolist() == [45]
    assert arrivals.drives.carrier[0] == pytest.approx(6.05, abs=1e-12)
    assert arrivals.windows.start.tolist() == [100]


def test_a_table_without_anything_gives_no_points() -> None:
    points = Chip(load_cabling()).run(Tape(load_cabling()).table(shots=4), np.random.default_rng())
    assert points.shape == (0, 4)


def test_a_table_with_readout_leaves_no_single_state() -> None:
    tape = Tape(load_cabling())
    tape.play("feedline", np.ones(40, dtype=np.complex128), 0, frequency=7.4483e9)
    with pytest.raises(ValueError, match="readout"):
        density_matrix(Chip(load_cabling()), tape.table(shots=1), time=40)


def test_a_flux_pulse_of_zeros_is_none() -> None:
    chip = Chip(load_cabling())
    tape = Tape(chip.cabling)
    tape.play("q0.flux", np.zeros(40, dtype=np.complex128), 0)
    tape.play("q0.flux", np.array([0, 0, 1, 1, 0], dtype=np.complex128), 100, amplitude=0.1)
    turns = chip.events(tape.table(shots=1))
    assert [event.start for event in turns] == [103.0]
