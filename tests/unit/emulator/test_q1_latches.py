"""When parameters take effect, and what the oscillator's phase is."""

from __future__ import annotations

from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.latches import TURN, Initial, Latches, latch
from qubitd.emulator.q1.shotloop import run_fully
from qubitd.emulator.q1.timeline import free_timeline

MHZ = 4_000_000
"""Steps of 0.25 Hz."""


def latched(text: str, initial: Initial | None = None) -> Latches:
    trace = run_fully(prepare(assemble(text + "\nstop", memory=16_384))).trace
    return latch(trace, free_timeline(trace), initial or Initial())


def turns(latches: Latches) -> list[float]:
    return [round(phase / TURN, 9) for phase in latches.phase.tolist()]


def test_parameters_wait_for_the_next_play_acquire_or_update() -> None:
    found = latched("set_awg_gain 1,2\nset_mrk 3\nwait 100\nplay 0,0,20\nset_awg_gain 5,6\nacquire 0,0,20\nupd_param 8")
    assert found.time.tolist() == [0, 100, 120, 140]
    assert found.gain0.tolist() == [32_767, 1, 5, 5]
    assert found.gain1.tolist() == [32_767, 2, 6, 6]
    assert found.marker.tolist() == [0, 3, 3, 3]


def test_a_wait_latches_nothing() -> None:
    assert latched("set_awg_gain 1,2\nwait 100\nwait_sync 4").gain0.tolist() == [32_767]


def test_the_last_of_several_settings_counts() -> None:
    assert latched("set_awg_offs 1,2\nset_awg_offs 3,4\nupd_param 4").offset1.tolist() == [0, 4]


def test_the_phase_runs_on_whatever_is_played() -> None:
    found = latched("upd_param 100\nplay 0,0,50\nwait 25\nupd_param 4", Initial(frequency=10 * MHZ))
    assert turns(found) == [0, 0, 0, 0.75]
    assert turns(latched("wait 25\nupd_param 4", Initial(frequency=10 * MHZ, phase=TURN // 8))) == [0.125, 0.375]


def test_a_change_of_frequency_keeps_the_phase() -> None:
    found = latched(
        f"wait 25\nset_freq {-20 * MHZ}\nupd_param 25\nset_freq {MHZ}\nupd_param 100\nupd_param 4",
        Initial(frequency=10 * MHZ),
    )
    assert turns(found) == [0, 0.25, 0.75, 0.85]


def test_set_ph_is_absolute_and_set_ph_delta_adds_up() -> None:
    found = latched(
        "set_ph 100000000\nupd_param 4\n"
        "set_ph_delta 200000000\nupd_param 4\nset_ph_delta 200000000\nupd_param 4\nset_ph 0\nupd_param 4"
    )
    assert turns(found) == [0, 0.1, 0.3, 0.5, 0.4]


def test_of_several_steps_before_one_latch_the_last_counts() -> None:
    assert turns(latched("set_ph_delta 100000000\nset_ph_delta 300000000\nupd_param 4")) == [0, 0.3]


def test_a_reset_clears_what_ran_up_what_was_set_and_the_initial_phase() -> None:
    initial = Initial(frequency=10 * MHZ, phase=TURN // 4)
    found = latched(
        "set_ph 100000000\nset_ph_delta 100000000\nupd_param 30\nreset_ph\nupd_param 10\nupd_param 4", initial
    )
    assert turns(found) == [0.25, 0.45, 0, 0.1]


def test_what_is_set_together_with_a_reset_counts_from_it() -> None:
    found = latched(
        "upd_param 30\nset_ph 200000000\nreset_ph\nset_ph_delta 50000000\nupd_param 4", Initial(frequency=10 * MHZ)
    )
    assert turns(found) == [0, 0, 0.25]


def test_the_phase_is_exact_after_any_time() -> None:
    # -500 MHz + 0.25 Hz: its phase is still known to a 4e9th of a turn.
    found = latched("wait 65533\nupd_param 4", Initial(frequency=-2_000_000_000 + 1))
    assert found.phase[1] == (-2_000_000_000 + 1) * 65_533 % TURN


def test_only_what_changes_the_output_is_a_change() -> None:
    found = latched(
        "upd_param 8\nset_ph_delta 0\nupd_param 8\nset_mrk 1\nplay 0,0,8\n"
        "set_awg_gain 1,1\nupd_param 8\nset_ph 5\nupd_param 8",
        Initial(frequency=MHZ),
    )
    assert found.changed().tolist() == [True, False, False, False, True, True]
