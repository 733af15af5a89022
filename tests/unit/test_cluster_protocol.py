"""The Cluster's answers as values, and its configuration changed only where we mean it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qubitd.core.envelope import Square, sample_envelope
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.json_value import JsonValue
from qubitd.drivers.cluster.protocol import (
    BIN,
    Identity,
    acquisition_iq,
    parse_identity,
    parse_modules,
    parse_state,
    sequencer,
)
from qubitd.drivers.cluster.settings import (
    REST,
    connection_settings,
    front_end_settings,
    run_changes,
)
from qubitd.drivers.cluster.wiring import SequencerAddress, cluster_wiring
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder


def test_identity_is_read_from_its_four_fields() -> None:
    answer = "Qblox,Cluster MM,00015_2134_003,osVersion=1.0, fwVersion=0.7.0 fwBuild=28/11/2024-00:00:00"
    assert parse_identity(answer) == Identity(
        maker="Qblox",
        model="Cluster MM",
        serial="00015_2134_003",
        firmware="osVersion=1.0, fwVersion=0.7.0 fwBuild=28/11/2024-00:00:00",
    )
    assert parse_identity("hello") is None


@pytest.mark.parametrize("exit_code", ["", "0;", "-1;"])
def test_state_is_read_with_or_without_an_exit_code(exit_code: str) -> None:
    state = parse_state(f"OKAY;Q1_STOPPED;{exit_code}ACQ_BINNING_DONE,ACQ SCOPE DONE PATH 0,;;;")
    assert state is not None
    assert (state.status, state.state) == ("OKAY", "Q1 STOPPED")
    assert state.info == ("ACQ BINNING DONE", "ACQ SCOPE DONE PATH 0")
    assert state.faults == ()


def test_faults_are_the_instruments_own_words() -> None:
    underflow = parse_state("ERROR;STOPPED;;;SEQUENCE PROCESSOR RT EXEC COMMAND UNDERFLOW,;line 3")
    clipped = parse_state("WARNING;STOPPED;;OUTPUT OVERFLOW,;;")
    nameless = parse_state("ERROR;STOPPED;;;;")
    assert underflow is not None
    assert underflow.faults == ("SEQUENCE PROCESSOR RT EXEC COMMAND UNDERFLOW",)
    assert clipped is not None
    assert clipped.faults == ("OUTPUT OVERFLOW",)
    assert nameless is not None
    assert nameless.faults == ("ERROR",)


@pytest.mark.parametrize("answer", ["", "OKAY;STOPPED", "OKAY;STOPPED;0;,;"])
def test_state_of_another_form_is_not_guessed(answer: str) -> None:
    assert parse_state(answer) is None


def test_modules_are_named_as_in_a_rack_file() -> None:
    modules = {
        "1": {"model": "cluster_qcm", "is_rf": True},
        "4": {"model": "cluster_qcm", "is_rf": False},
        "6": {"model": "Cluster QRM", "is_rf": True},
        "7": {"model": "qtm"},
    }
    assert parse_modules(json.dumps({"modules": modules}).encode()) == {1: "QCM-RF", 4: "QCM", 6: "QRM-RF", 7: "QTM"}


@pytest.mark.parametrize("description", [b"", b"[]", b"{}", b'{"modules": [1]}', b'{"modules": {"1": {}}}', b"\xff"])
def test_description_of_another_form_names_no_modules(description: bytes) -> None:
    assert parse_modules(description) is None


def test_sums_become_fractions_of_full_scale() -> None:
    bins = np.array([(1, 400 * 2**21, -400 * 2**20, 0, 1), (1, 3 * 400 * 2**22, 0, 0, 3)], dtype=BIN)
    assert acquisition_iq(bins, np.array([400.0])).tolist() == [[0.5 - 0.25j], [1.0]]
    assert acquisition_iq(bins, np.array([400.0, 100.0])).tolist() == [[0.5 - 0.25j, 4.0]]


CONFIGURATION: dict[str, Any] = {
    "acq": [
        {
            "demod": {"en": False, "new": 1},
            "th_acq": {"discr_threshold": 0.5, "non_weighed_integration_len": 1024},
            "th_acq_trg_map": {"addr": 3, "en": True, "inv": False},
        }
    ],
    "awg": [
        {
            "mixer": {"en": False, "corr_gain_ratio": 1.01},
            "nco": {"freq_hz": 1.0, "po": 20.0, "delay_comp_en": True},
            "marker_ovr": {"en": True, "val": 3},
            "gain_path": [0.5, 0.5],
            "offs_path": [0.1, 0.0],
            "unknown": [1, 2],
        }
    ],
    "seq_proc": {"sync_en": False, "trg": [{"count_threshold": 1}]},
}


@pytest.fixture
def readout_load(make_program: ProgramBuilder) -> SequencerLoad:
    program = make_program(
        lines=["q0.readout"],
        envelopes=[sample_envelope(Square(length=400))],
        plays=[("q0.readout", 0, 0, 0.1, 0, 7.45e9)],
        acquisitions=[("q0.readout", 200, 480, 7.45e9, 0)],
        duration=1000,
    )
    chunk = Chunk(programs=(program,), first_program=0, first_shot=0, shots=1, reset=0)
    assembly = open_rack(load_rack()).assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    return assembly.sequencers[0]


def test_run_configuration_changes_what_a_run_needs_and_keeps_the_rest(readout_load: SequencerLoad) -> None:
    changed = json.loads(JsonValue(CONFIGURATION).changed(run_changes(readout_load)).encode())
    awg, acquire = changed["awg"][0], changed["acq"][0]
    assert awg["mixer"] == {"en": True, "corr_gain_ratio": 1.01}
    assert awg["nco"] == {"freq_hz": 170e6, "po": 0.0, "delay_comp_en": True}
    assert awg["marker_ovr"] == {"en": False, "val": 0}
    assert (awg["gain_path"], awg["offs_path"], awg["unknown"]) == ([1.0, 1.0], [0.0, 0.0], [1, 2])
    assert acquire["demod"] == {"en": True, "new": 1}
    assert acquire["th_acq"] == {"discr_threshold": 0.5, "non_weighed_integration_len": 480}
    assert acquire["th_acq_trg_map"] == {"addr": 3, "en": False, "inv": False}
    assert changed["seq_proc"] == {"sync_en": True, "trg": [{"count_threshold": 1}]}


def test_configuration_of_a_module_without_inputs_stays_without_acquisition(readout_load: SequencerLoad) -> None:
    plain = {key: value for key, value in CONFIGURATION.items() if key != "acq"}
    changed = json.loads(JsonValue(plain).changed(run_changes(replace(readout_load, bins=0))).encode())
    assert "acq" not in changed


def test_resting_sequencer_holds_its_switch_off_and_keeps_nobody_waiting() -> None:
    running = CONFIGURATION | {"seq_proc": {"sync_en": True}}
    resting = JsonValue(running).changed(REST)
    rest = json.loads(resting.encode())
    assert rest["awg"][0]["marker_ovr"] == {"en": True, "val": 0}
    assert rest["seq_proc"]["sync_en"] is False
    assert rest["awg"][0]["offs_path"] == [0.1, 0.0]
    assert rest["acq"] == CONFIGURATION["acq"]
    assert resting.changed(REST) is resting


@pytest.mark.parametrize(
    "value", [{}, {"awg": [], "seq_proc": {}}, {"awg": [{}], "seq_proc": {}}, {"awg": 1, "seq_proc": {}}, []]
)
def test_configuration_of_unknown_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="unknown form"):
        JsonValue(value).changed(REST)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": [1, 2.0]}, {"a": [1.0, 2 + 1e-12]}, True),
        ({"a": True}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1], [1, 2], False),
        ("x", "x", True),
        (None, 0, False),
        ({"freq_hz": 1e8}, {"freq_hz": 1e8 + 10}, False),
    ],
)
def test_settings_are_equal_within_an_instruments_rounding(one: object, other: object, same: bool) -> None:
    assert (JsonValue(one) == JsonValue(other)) is same
    assert JsonValue(one) != one


def test_front_end_is_set_as_the_rack_file_states() -> None:
    rack = load_rack()
    settings = front_end_settings(rack.instruments["cluster"].slots)
    assert settings["SLOT1:STATus:QUEStionable:FREQuency:LO0"] == 6.25e9
    assert settings["SLOT1:LO1:ENAble"] == 1.0
    assert settings["SLOT6:STATus:QUEStionable:FREQuency:LO1"] == 7.28e9
    assert settings["SLOT2:AFE:ATT:OUT1"] == 20.0
    assert settings["SLOT6:AFE:ATT:IN0"] == 0.0
    assert not any(header.startswith("SLOT4") for header in settings)
    assert not any("SLOT3:AFE:ATT:OUT1" in header for header in settings)


def test_paths_are_connected_to_the_output_that_the_line_is_wired_to() -> None:
    rack = load_rack()
    wiring = cluster_wiring(rack, rack.instruments["cluster"])
    settings = connection_settings(wiring.values())
    assert settings["SLOT1:SEQuencer1:CHANnelmap"] == JsonValue([[2], [3]])
    assert settings["SLOT4:SEQuencer3:CHANnelmap"] == JsonValue([[3], []])
    assert settings["SLOT6:SEQuencer4:CHANnelmap"] == JsonValue([[0], [1]])
    assert settings["SLOT6:SEQuencer4:ACQ:CHANnelmap"] == JsonValue([[0], [1]])
    assert "SLOT1:SEQuencer0:ACQ:CHANnelmap" not in settings


def test_sequencer_commands_carry_slot_and_number() -> None:
    assert sequencer(SequencerAddress(slot=6, sequencer=2), "STATE?") == "SLOT6:SEQuencer2:STATE?"
