"""Static ZZ of the simulated chip: its size against the coupled transmons' spectrum, its action against QuTiP.

The numbers in the formulas are the chip's truth; the references are made from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import qutip
from numpy.typing import NDArray

from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.basis import DUAL, LADDER, SIZE
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.register import Register
from qubitd.emulator.chip.static_zz import rest, zz_map

if TYPE_CHECKING:
    from tests.physics.conftest import Play, Player

LEVELS = 4


def chain(chip: Chip, qubits: Sequence[int]) -> tuple[qutip.Qobj, list[qutip.Qobj]]:
    """H / h of coupled transmons of some levels each, GHz, and their lowering operators."""
    lower = [qutip.tensor([qutip.destroy(LEVELS) if q == at else qutip.qeye(LEVELS) for q in qubits]) for at in qubits]
    hamiltonian = 0
    for q, a in zip(qubits, lower, strict=True):
        truth = chip.truth.qubits[q]
        n = a.dag() * a
        hamiltonian += truth.frequency * 1e-9 * n + truth.anharmonicity * 1e-9 / 2 * n * (n - 1)
    for pair in chip.truth.pairs:
        if {pair.pulsed, pair.partner} <= set(qubits):
            a, b = (lower[list(qubits).index(q)] for q in (pair.pulsed, pair.partner))
            hamiltonian += pair.coupling * 1e-9 * (a.dag() * b + a * b.dag())
    return hamiltonian, lower


def energy(hamiltonian: qutip.Qobj, levels: Sequence[int]) -> float:
    """Of the eigenstate that is most like a product of levels."""
    energies, states = hamiltonian.eigenstates()
    bare = qutip.tensor([qutip.basis(LEVELS, level) for level in levels])
    return float(energies[int(np.argmax([abs(state.overlap(bare)) for state in states]))])


@pytest.mark.parametrize("device", ["line5", "classroom5"])
def test_zz_is_what_the_spectrum_of_a_coupled_pair_shows(device: str) -> None:
    chip = Chip(load_cabling(Path(device)))
    assert len(chip.zz) == 4
    for bond, zz in chip.zz.items():
        hamiltonian, _ = chain(chip, bond)
        e00, e01, e10, e11 = (energy(hamiltonian, levels) for levels in ((0, 0), (0, 1), (1, 0), (1, 1)))
        assert zz == pytest.approx(e11 - e10 - e01 + e00, rel=5e-3)


def test_a_third_qubit_hardly_changes_it(chip: Chip) -> None:
    """The formula knows two qubits; three, of which the third is in 0, are the real neighbourhood."""
    hamiltonian, _ = chain(chip, (0, 1, 2))
    found = [energy(hamiltonian, (*levels, 0)) for levels in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert chip.zz[0, 1] == pytest.approx(found[3] - found[2] - found[1] + found[0], rel=0.02)


# --- the register against the master equation, in the rotating frame ---


T1, T2 = [3e3, 2e3, 4e3], [2.5e3, 3e3, 5e3]
ZZ = {(0, 1): -4e-4, (2, 1): 7e-4}
DETUNING = [1e-4, -2e-4, 3e-4]


def numbers_of(rho: NDArray[np.complex128], count: int) -> NDArray[np.float64]:
    """The register's numbers of a density matrix whose first factor is qubit 0."""
    found = rho.reshape([2] * (2 * count)).transpose([axis for q in range(count) for axis in (q, count + q)])
    for _ in range(count):
        found = np.tensordot(found, DUAL[:, :2, :2], axes=([0, 1], [2, 1]))
    return np.asarray(found.real)


def matrix_of(numbers: NDArray[np.float64]) -> NDArray[np.complex128]:
    count = numbers.ndim
    found = numbers.astype(np.complex128)
    for _ in range(count):
        found = np.tensordot(found, LADDER[:, :2, :2], axes=([0], [0]))
    order = [*range(0, 2 * count, 2), *range(1, 2 * count, 2)]
    return np.asarray(found.transpose(order).reshape(2**count, 2**count))


def solved(rho: qutip.Qobj, time: float, drive: qutip.Qobj | float = 0.0, *, count: int = 3) -> qutip.Qobj:
    """Lindblad's equation: ZZ, detuning, T1, T2 and a constant drive."""
    n = [qutip.tensor([qutip.num(2) if q == at else qutip.qeye(2) for q in range(count)]) for at in range(count)]
    a = [qutip.tensor([qutip.destroy(2) if q == at else qutip.qeye(2) for q in range(count)]) for at in range(count)]
    hamiltonian = sum(2 * np.pi * DETUNING[q] * n[q] for q in range(count)) + drive
    hamiltonian += sum(2 * np.pi * zz * n[i] * n[j] for (i, j), zz in ZZ.items())
    white = [np.sqrt(2 * (1 / T2[q] - 1 / (2 * T1[q]))) * n[q] for q in range(count)]
    jumps = [*(np.sqrt(1 / T1[q]) * a[q] for q in range(count)), *white]
    options = {"rtol": 1e-10, "atol": 1e-12, "nsteps": 100_000}
    return qutip.mesolve(hamiltonian, rho, [0.0, time], jumps, options=options).states[-1]


def random_state(seed: int) -> qutip.Qobj:
    return qutip.rand_dm([2, 2, 2], seed=seed)


def test_the_tests_own_numbers_are_the_registers() -> None:
    rho = random_state(1).full()
    np.testing.assert_allclose(matrix_of(numbers_of(rho, 3)), rho, atol=1e-14)


@pytest.mark.parametrize("time", [37.0, 900.0, 7000.0])
def test_a_rest_of_three_coupled_qubits_is_the_master_equations(time: float) -> None:
    rho = random_state(2)
    found = rest(
        numbers_of(rho.full(), 3)[None],
        time,
        bonds=ZZ,
        relaxing=[1 / t for t in T1],
        dephasing=[1 / t for t in T2],
        detuning=DETUNING,
    )
    np.testing.assert_allclose(matrix_of(found[0]), solved(rho, time).full(), atol=2e-8)


def test_a_leaked_qubit_leaves_its_neighbours_alone_while_all_rest() -> None:
    states = np.zeros((1, SIZE, SIZE))
    states[0, 2, 3] = 0.5
    found = rest(states, 100.0, bonds={(0, 1): 1e-3}, relaxing=[0, 0], dephasing=[0, 0], detuning=[0, 0])
    np.testing.assert_allclose(found, states, atol=1e-15)
    assert zz_map(0.1)[2 * SIZE + 3, 2 * SIZE + 3] == pytest.approx(1)


def half_pi(qubit: int) -> tuple[qutip.Qobj, NDArray[np.float64]]:
    """A quarter turn about x within a ns, so short that nothing else happens: as an operator, and as the chip's map."""
    turn = (-0.5j * np.pi / 2 * qutip.sigmax()).expm()
    whole = qutip.tensor([turn if q == qubit else qutip.qeye(2) for q in range(3)])
    kraus = np.eye(3, dtype=np.complex128)
    kraus[:2, :2] = turn.full()
    images = kraus @ LADDER @ kraus.conj().T
    return whole, np.asarray(np.einsum("aij,bji->ab", DUAL, images).real)


WAITS = ((60, 25, 0), (40, 90, 35), (500, 20, 35), (20, 3000, 80), (0, 700, 2500))
"""ns before each qubit's next quarter turn, one row after the other."""


def test_turns_between_waits_are_the_master_equations() -> None:
    """Turns at different times on each qubit, with short waits and with long ones, in which the neighbours relax."""
    register = Register([0, 1, 2], t1=T1, t2=T2, detuning=DETUNING, zz=ZZ)
    rho = qutip.tensor([qutip.fock_dm(2, 0)] * 3)
    now = 0.0
    for row in WAITS:
        for qubit, wait in enumerate(row):
            rho = solved(rho, float(wait)) if wait else rho
            now += wait
            operator, single = half_pi(qubit)
            rho = operator * rho * operator.dag()
            register.apply(qubit, single, start=now, end=now)
    for qubit in range(3):
        register.hold(qubit, time=now)
    np.testing.assert_allclose(matrix_of(register.states[0]), rho.full(), atol=5e-5)


def test_without_zz_the_same_turns_end_elsewhere() -> None:
    """The control: the comparison above sees what it is for."""
    ends = []
    for zz in (ZZ, {}):
        register = Register([0, 1, 2], t1=T1, t2=T2, detuning=DETUNING, zz=zz)
        now = 0.0
        for row in WAITS:
            for qubit, wait in enumerate(row):
                now += wait
                register.apply(qubit, half_pi(qubit)[1], start=now, end=now)
        for qubit in range(3):
            register.hold(qubit, time=now)
        ends.append(register.states[0])
    assert np.abs(ends[0] - ends[1]).max() > 0.05


# --- the chip ---


def ramsey(player: Player, qubit: int, wait: int, *, excited: Sequence[int]) -> float:
    """Phase that a superposition gathers in its frame while some of its neighbours are in 1, radians."""
    for neighbour in excited:
        player.x(neighbour)
    player.align()
    player.sx(qubit)
    player.delay(qubit, wait)
    table = player.tape.table(shots=1)
    rho = qutip.Qobj(density_matrix(player.chip, table, time=max(player.time)), dims=[[2] * 5] * 2)
    return float(np.angle(rho.ptrace(4 - qubit).full()[1, 0]))


@pytest.mark.parametrize("qubit", range(5))
def test_each_excited_neighbour_turns_a_resting_qubit_by_its_zz(play: Play, chip: Chip, qubit: int) -> None:
    wait = 1000
    alone = ramsey(play(lasting=True), qubit, wait, excited=[])
    for neighbour in (q for q in (qubit - 1, qubit + 1) if 0 <= q < 5):
        (zz,) = (value for bond, value in chip.zz.items() if set(bond) == {qubit, neighbour})
        turned = ramsey(play(lasting=True), qubit, wait, excited=[neighbour]) - alone
        meant = -2 * np.pi * zz * (wait + 20)  # half of the pulse lies before the superposition
        assert np.angle(np.exp(1j * (turned - meant))) == pytest.approx(0, abs=2e-3)


def test_a_qubit_that_is_no_neighbour_turns_nothing(play: Play) -> None:
    alone = ramsey(play(lasting=True), 0, 1000, excited=[])
    assert ramsey(play(lasting=True), 0, 1000, excited=[2, 3, 4]) == pytest.approx(alone, abs=1e-6)


def test_a_flux_pulse_of_the_pair_takes_the_place_of_its_zz(play: Play, chip: Chip) -> None:
    """Under its own CZ a pair does what |11> and |20> do to each other, and no more."""
    register = {}
    for zz in (chip.zz, {}):
        made = Register([0, 1], t1=[1e12] * 2, t2=[1e12] * 2, zz=zz)
        for qubit in (0, 1):
            made.apply(qubit, half_pi(0)[1], start=0, end=0)
        made.apply_pair(0, 1, np.eye(SIZE**2), begin=0, end=60)
        for qubit in (0, 1):
            made.hold(qubit, time=60)
        register[bool(zz)] = made.states[0]
    np.testing.assert_allclose(register[True], register[False], atol=1e-12)


def test_a_pair_that_meets_in_all_branches_that_there_are_meets_as_without_a_condition() -> None:
    register = {}
    for on in (None, np.ones(1, dtype=np.bool_)):
        made = Register([0, 1], t1=[1e12] * 2, t2=[1e12] * 2, zz={(0, 1): 1e-3})
        for qubit in (0, 1):
            made.apply(qubit, half_pi(0)[1], start=0, end=0)
        made.apply_pair(0, 1, np.eye(SIZE**2), begin=0, end=60, on=on)
        for qubit in (0, 1):
            made.hold(qubit, time=100)
        register[on is None] = made.states[0]
    np.testing.assert_allclose(register[True], register[False], atol=1e-12)
