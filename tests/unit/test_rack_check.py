"""`check_rack`: what a device asks of a rack, checked on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qubitd.drivers.check import check_rack
from qubitd.drivers.errors import RackFileError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack, with_address
from qubitd.drivers.rack_file import load_rack

QUBITS = (6.05e9, 5.25e9, 4.55e9, 5.35e9, 6.15e9)
RESONATORS = (7.45e9, 7.25e9, 7.05e9, 7.35e9, 7.55e9)
FREQUENCIES = {
    **{f"q{qubit}.drive": frequency for qubit, frequency in enumerate(QUBITS)},
    **{f"q{qubit}.readout": frequency for qubit, frequency in enumerate(RESONATORS)},
    **{f"q{qubit}.flux": 0.0 for qubit in range(5)},
}


def with_readout_lo(rack: Rack, lo: float) -> Rack:
    cluster = rack.instruments["cluster"]
    slots = tuple(
        replace(slot, outputs=(replace(slot.outputs[0], lo=lo),)) if slot.slot == 6 else slot for slot in cluster.slots
    )
    return replace(rack, instruments={"cluster": replace(cluster, slots=slots)})


def test_built_in_rack_is_good_for_the_demo_device() -> None:
    found = check_rack(load_rack(), FREQUENCIES)
    assert found.is_good
    assert str(found).splitlines()[:3] == [
        "rack cluster: good",
        "  instrument cluster: good",
        "    slot1.seq0 (q0.drive): good",
    ]


def test_readout_oscillator_in_the_middle_makes_tones_images_of_each_other() -> None:
    found = check_rack(with_readout_lo(load_rack(), 7.3e9), FREQUENCIES)
    assert not found.is_good
    assert "the mixer image at 7.35 GHz lies 0 MHz from q3.readout; keep 20 MHz, change lo in the rack file" in str(
        found
    )


def test_tone_out_of_reach_of_its_oscillator_is_named() -> None:
    found = check_rack(load_rack(), FREQUENCIES | {"q0.drive": 5.7e9})
    assert "5.7 GHz is 550 MHz from the 6.25 GHz oscillator; at most 500 MHz" in str(found)
    found = check_rack(load_rack(), FREQUENCIES | {"q0.drive": 5.74999e9})
    assert "5.74999 GHz is 500.01 MHz from the 6.25 GHz oscillator; at most 500 MHz" in str(found)


def test_unwired_line_and_tone_on_a_flux_line_are_named() -> None:
    text = str(check_rack(load_rack(), FREQUENCIES | {"q5.drive": 5e9, "q0.flux": 1e9}))
    assert "! line q5.drive of the device is wired to nothing" in text
    assert "! 1 GHz on a baseband output; wire it to an RF module" in text
    assert text.startswith("rack cluster: faulty")


def test_instrument_that_is_not_there_is_one_fault_of_the_tree() -> None:
    found = check_rack(with_address(load_rack(), "127.91.0.1"), FREQUENCIES, connect=True)
    assert "  connection: faulty\n    ! TCPIP0::127.91.0.1::5025::SOCKET: no instrument answers" in str(found)


def test_rack_without_a_controller_is_refused() -> None:
    with pytest.raises(RackFileError, match="instruments: 0 of them"):
        open_rack(replace(load_rack(), instruments={}))
