"""The chip's parts one by one: spectrum, resonator, chains of intervals, bodies, the door, and the cache."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import mathieu_a, mathieu_b

from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.cache import Cache
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.choice import joined
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.exponential import exponentials
from qubitd.emulator.chip.first_values import readout_amplitude, readout_frequency
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import arrive
from qubitd.emulator.chip.pulse import driven
from qubitd.emulator.chip.register import Register
from qubitd.emulator.chip.resonator import Notch, jump_curve, seen
from qubitd.emulator.chip.tape import Tape
from qubitd.emulator.chip.transmon import FluxCurve, levels
from qubitd.emulator.errors import EmulatorError, InvalidTableError
from qubitd.emulator.events import Acquisitions, EventTable, Plays

NOTCH = Notch(frequency=7.45, linewidth=0.0046, chi=-0.0017)
TONE = 7.4483


@pytest.mark.parametrize("ratio", [5.0, 57.0, 120.0])
def test_levels_are_the_characteristic_values_of_mathieu(ratio: float) -> None:
    expected = [mathieu_a(0, ratio / 2), mathieu_b(2, ratio / 2), mathieu_a(2, ratio / 2)]
    np.testing.assert_allclose(levels(np.array([ratio]))[0], expected, atol=1e-8)


def test_exponentials_of_any_size_at_once_are_scipys() -> None:
    chance = np.random.default_rng(7)
    matrices = chance.normal(size=(60, 4, 4)) * np.logspace(-8, 1, 60)[:, None, None]
    matrices -= 4 * np.abs(matrices).max(axis=(1, 2))[:, None, None] * np.eye(4)
    np.testing.assert_allclose(exponentials(matrices), expm(matrices), rtol=1e-10, atol=1e-14)
    assert (exponentials(np.zeros((1, 4, 4))) == np.eye(4)).all()


@pytest.mark.parametrize("count", [1, 10, 300])
@pytest.mark.parametrize("portion", [0.0, 0.3, 0.7, 3.0])
def test_what_links_join_is_what_scipy_joins(count: int, portion: float) -> None:
    links = np.random.default_rng(count).integers(0, count, (2, int(portion * count)))
    graph = coo_array((np.ones(links.shape[1]), (links[0], links[1])), shape=(count, count))
    number, expected = connected_components(graph, directed=False)
    assert len(set(zip(joined(count, links).tolist(), expected.tolist(), strict=True))) == number
    assert len(set(joined(count, links).tolist())) == number


def test_a_long_chain_of_links_in_any_order_is_one() -> None:
    order = np.random.default_rng(3).permutation(2000)
    assert not joined(2000, np.stack([order[:-1], order[1:]])).any()


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
    weights = np.asarray(np.exp(0.02j * np.arange(count)) * (1 + np.arange(count) / count), dtype=np.complex128)
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


def test_a_cache_forgets_what_was_asked_for_longest_ago() -> None:
    cache: Cache[int, int] = Cache(2)
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key

    for key in (1, 2, 1, 3, 1, 2):
        assert cache.get(key, partial(make, key)) == key
    assert made == [1, 2, 3, 2]
    assert len(cache) == 2


def test_a_cache_keeps_only_what_is_worth_it() -> None:
    cache: Cache[int, int] = Cache(2)
    assert [cache.get(key, partial(int, key), is_kept=lambda value: value < 2) for key in (1, 2)] == [1, 2]
    assert len(cache) == 1


def test_threads_may_share_a_cache() -> None:
    cache: Cache[int, int] = Cache(1)
    began = threading.Barrier(4)

    def ask() -> int:
        began.wait()
        return sum(cache.get(key % 2, partial(int, key % 2)) for key in range(20_000))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            sums = [asked.result() for asked in [threads.submit(ask) for _ in range(4)]]
    finally:
        sys.setswitchinterval(interval)
    assert sums == [10_000] * 4
    assert len(cache) == 1


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
    with pytest.raises(EmulatorError, match="readout"):
        density_matrix(Chip(load_cabling()), tape.table(shots=1), time=40)


def test_a_flux_pulse_of_zeros_is_none() -> None:
    chip = Chip(load_cabling())
    tape = Tape(chip.cabling)
    tape.play("q0.flux", np.zeros(40, dtype=np.complex128), 0)
    tape.play("q0.flux", np.array([0, 0, 1, 1, 0], dtype=np.complex128), 100, amplitude=0.1)
    turns = chip.events(tape.table(shots=1))
    assert [event.start for event in turns] == [103.0]


def busy_table() -> EventTable:
    """A table in which everything matters: both quadratures, a CZ under a pulse on its partner, a weighted window."""
    tape = Tape(load_cabling())
    wave = np.sin(np.arange(1, 41) / 13) * np.exp(0.3j)
    for line, frequency in (("q0.drive", 6.05e9), ("q1.drive", 5.25e9)):
        tape.play(line, wave, 0, amplitude=0.15, frequency=frequency)
        tape.play(line, wave, 200, amplitude=0.15, frequency=frequency)
    tape.play("q0.flux", np.ones(40, dtype=np.complex128), 100, amplitude=0.389)
    tape.play("q1.flux", np.ones(20, dtype=np.complex128), 110, amplitude=0.05)
    for frequency in (7.4483e9, 7.24835e9):
        tape.play("feedline", np.exp(0.2j) * np.ones(440), 240, amplitude=0.146, frequency=frequency)
        tape.acquire(440, 440, frequency=frequency, weights=np.linspace(0.2, 1, 440).astype(np.complex128))
    return tape.table(shots=400)


BUSY = busy_table()
BUSY_WEIGHT = int(BUSY.acquisitions.weight[1])
FLUX = [i for i, port in enumerate(BUSY.plays.port.tolist()) if BUSY.outputs[port].lo_frequency == 0]


def shifted(columns: Plays | Acquisitions, name: str, row: int, step: float) -> dict[str, Any]:
    """Give one column by name, with a step on one row."""
    changed = getattr(columns, name).copy()
    changed[row] += step
    return {name: changed}


@pytest.mark.parametrize(
    ("column", "row", "step"),
    [
        ("gain_i", 0, 0.05),
        ("gain_q", 0, 0.05),
        ("length", 0, -9),
        ("frequency", 0, 3e6),
        ("phase", 2, 0.1),
        ("start", 0, -5),
        ("gain_i", FLUX[0], 0.001),
        ("length", FLUX[0], -5),
        ("length", FLUX[1], -5),
        ("start", FLUX[1], 8),
        ("gain_i", FLUX[1], 0.002),
        ("phase", FLUX[0], 0.01),
        ("gain_i", -1, 0.01),
        ("gain_q", -1, 0.01),
        ("length", -1, -40),
        ("frequency", -1, 1e6),
        ("phase", -1, 0.1),
    ],
)
def test_a_chip_that_remembers_other_plays_answers_like_a_new_one(column: str, row: int, step: float) -> None:
    plays = replace(BUSY.plays, **shifted(BUSY.plays, column, row, step))
    assert_new_and_used_agree(replace(BUSY, plays=plays))


@pytest.mark.parametrize(
    ("column", "step"),
    [("start", 16), ("length", -40), ("weight", -BUSY_WEIGHT - 1), ("frequency", 1e6), ("phase", 0.1)],
)
def test_a_chip_that_remembers_other_windows_answers_like_a_new_one(column: str, step: float) -> None:
    windows = replace(BUSY.acquisitions, **shifted(BUSY.acquisitions, column, 1, step))
    assert_new_and_used_agree(replace(BUSY, acquisitions=windows))


def test_a_table_that_comes_again_is_drawn_anew_as_by_a_new_chip() -> None:
    used, new = Chip(load_cabling()), Chip(load_cabling())
    first = used.run(BUSY, np.random.default_rng(3))
    again = used.run(BUSY, np.random.default_rng(4))
    assert np.array_equal(again, new.run(BUSY, np.random.default_rng(4)))
    assert not np.array_equal(again, first)


def assert_new_and_used_agree(table: EventTable) -> None:
    used, new = Chip(load_cabling()), Chip(load_cabling())
    before = used.run(BUSY, np.random.default_rng(3))
    after = used.run(table, np.random.default_rng(3))
    assert np.array_equal(after, new.run(table, np.random.default_rng(3)))
    assert not np.array_equal(after, before)


def test_two_qubits_do_not_share_what_is_remembered(tmp_path: Path) -> None:
    text = files("qubitd.emulator").joinpath("cablings/line5.toml").read_text(encoding="utf-8")
    path = tmp_path / "cabling.toml"
    path.write_text(text.replace("drive_rate = 125e6", "drive_rate = 60e6", 1), encoding="utf-8")
    chip = Chip(load_cabling(path))
    tape = Tape(load_cabling())
    for line, frequency in (("q0.drive", 6.05e9), ("q1.drive", 5.25e9)):
        tape.play(line, np.ones(20, dtype=np.complex128), 0, amplitude=0.1, frequency=frequency)
    rho = density_matrix(chip, tape.table(shots=1), time=20).diagonal().real.reshape(8, 2, 2).sum(axis=0)
    assert rho[:, 1].sum() == pytest.approx(np.sin(np.pi * 0.06 * 0.1 * 20) ** 2, abs=2e-3)
    assert rho[1].sum() == pytest.approx(np.sin(np.pi * 0.125 * 0.1 * 20) ** 2, abs=2e-3)


def test_a_delay_of_a_drive_cable_is_time_that_passes(tmp_path: Path) -> None:
    text = files("qubitd.emulator").joinpath("cablings/line5.toml").read_text(encoding="utf-8")
    path = tmp_path / "cabling.toml"
    path.write_text(text.replace('to = "q0.drive"', 'to = "q0.drive"\ndelay = 7e-9'), encoding="utf-8")
    arrivals = arrive(one_pulse(), load_cabling(path))
    assert (arrivals.drives.start[0], arrivals.drives.end[0]) == (12, 52)
    assert arrivals.drives.phase[0] == arrive(one_pulse(), load_cabling()).drives.phase[0]


def test_attenuation_at_the_port_counts_against_the_reference() -> None:
    table = one_pulse()
    more = replace(table, outputs=tuple(replace(port, attenuation_db=26.0) for port in table.outputs))
    less = arrive(more, load_cabling()).drives.gain_i[0] / arrive(table, load_cabling()).drives.gain_i[0]
    assert less == pytest.approx(10 ** (-6 / 20))


def test_branches_whose_states_agree_are_one() -> None:
    register = Register([0], t1=[1e9], t2=[1e9])
    branch = np.zeros(300, dtype=np.int64)
    rng = np.random.default_rng(1)
    half = driven(np.full(20, 0.0125 + 0j), np.zeros(20), 1.0, t1=np.inf, t2=np.inf)
    for repeat in range(6):
        register.apply(0, half, start=100 * repeat, end=100 * repeat + 20)
        register.hold(0, time=100 * repeat + 20)
        found = (rng.random(300) < register.joint([0])[branch, 1]).astype(np.int64)
        branch = register.collapse(
            0, branch, found=found, left=found, taken=found >= 0, start=100 * repeat + 20, end=100 * repeat + 60
        )
        assert len(register.states) == 2
        assert sorted(np.unique(branch).tolist()) == [0, 1]
