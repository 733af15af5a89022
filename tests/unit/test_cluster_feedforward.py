"""What the driver tells the compiler about the trigger network holds on the emulated one."""

from __future__ import annotations

from qubitd.drivers.cluster.feedforward import FEEDFORWARD
from qubitd.emulator.cluster.triggers import LATEST, SOONEST, SPACING


def test_the_drivers_facts_are_those_of_the_instrument() -> None:
    assert FEEDFORWARD.latency == LATEST
    assert FEEDFORWARD.spacing == SPACING
    assert FEEDFORWARD.travel - FEEDFORWARD.step < SOONEST
    assert FEEDFORWARD.travel + FEEDFORWARD.step > LATEST


def test_a_reset_of_five_qubits_takes_under_two_microseconds() -> None:
    """Five readouts of 400 ns, staggered, then the latency and a pulse of 40 ns."""
    assert 400 + 4 * FEEDFORWARD.spacing + FEEDFORWARD.latency + 40 == 1836
