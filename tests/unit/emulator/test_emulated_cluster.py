"""The emulated Cluster by its answers: identity, uploads, limits, states, front end, time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.emulator.clock import RealClock
from qubitd.emulator.cluster.profile import Profile

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

S = "SLOT6:SEQ0:"
HALF = np.full(200, 0.5)
ONES = np.ones(1000)


def test_the_frame_describes_itself_and_its_modules(bench: Bench) -> None:
    assert bench.text("*IDN?").startswith("Qblox,Cluster MM,")
    assert bench.text("SLOT6:*IDN?").startswith("Qblox,Cluster QRM,")
    assert bench.ask("*IDN?", port=6).startswith(b"Qblox,Cluster QRM,")
    (description,) = bench.blocks("*DESC?")
    modules = json.loads(description)["modules"]
    assert {slot: (m["model"], m["is_rf"]) for slot, m in modules.items()} == {
        "1": ("cluster_qcm", True),
        "4": ("cluster_qcm", False),
        "6": ("cluster_qrm", True),
    }
    assert json.loads(bench.blocks("*MODS?")[0]).keys() == {"SLOT 1", "SLOT 4", "SLOT 6"}
    assert json.loads(bench.blocks("*DESC?", port=6)[0])["is_qrm"]
    assert bench.text("BP:MOD?") == str(0b101001)
    assert bench.text("STAT:GEN:STATE?") == "OKAY;"


def test_errors_go_to_the_port_on_which_the_message_came(bench: Bench) -> None:
    bench.ask("SLOT6:FOO")
    assert bench.ask("SYST:ERR:COUN?", port=6) == b"0"
    assert bench.errors() == '-113,"Undefined header; SLOT6:FOO"'
    bench.ask("FOO", port=6)
    assert bench.errors() == '0,"No error"'
    assert bench.ask("SYST:ERR?", port=6).startswith(b"-113")


def test_an_empty_slot_and_a_seventh_sequencer_do_not_exist(bench: Bench) -> None:
    bench.ask("SLOT2:SEQ0:ARM")
    bench.ask("SLOT6:SEQ6:ARM")
    assert (
        bench.errors() == '-241,"Hardware missing; slot 2 holds no module",'
        '-114,"Header suffix out of range; sequencer 6; slot 6 has 0 to 5"'
    )


def test_a_program_that_does_not_assemble_is_told_with_its_log(bench: Bench) -> None:
    bench.ask(f"{S}PROG ", b"play 0,0,3")
    assert bench.errors() == '-285,"Program syntax error; Assembly failed."'
    assert bench.text("SLOT6:STAT:ASSEM:SUCC?") == "0"
    assert b"value: 3 out of range (4,65535)" in bench.ask("SLOT6:STAT:ASSEM:LOG?")
    bench.ask(f"{S}ARM")
    assert bench.errors() == '-221,"Settings conflict; slot 6 sequencer 0 holds no program"'
    bench.ask(f"{S}PROG ", b"stop")
    assert bench.text("SLOT6:STAT:ASSEM:SUCC?") == "1"
    assert bench.blocks("SLOT6:STAT:ASSEM:LOG?") == [b"assembler finished successfully\n"]


@pytest.mark.parametrize(("where", "limit"), [("6.0", 12_288), ("4.0", 16_384), ("1.0", 16_384)])
def test_program_memory_is_that_of_the_module(bench: Bench, where: str, limit: int) -> None:
    bench.upload(where, "nop\n" * limit)
    assert bench.errors() == '0,"No error"'
    bench.upload(where, "nop\n" * (limit + 1))
    assert "Assembly failed" in bench.errors()


def test_a_waveform_is_created_filled_read_and_deleted(bench: Bench) -> None:
    bench.upload("6.0", "stop", waves=[HALF, ONES])
    head = f"{S}AWG:WLIS"
    assert bench.text(f"{head}:SIZE?") == "2"
    assert bench.text(f'{head}:WAV:LENG? "w1"') == "1000"
    assert bench.text(f'{head}:WAV:IND? "w1"') == "1"
    assert bench.text(f"{head}:WAV:NAME? 1") == '"w1"'
    assert np.frombuffer(bench.blocks(f'{head}:WAV:DATA? "w0"')[0], "<f4").tolist() == HALF.tolist()
    assert len(bench.blocks(f'{head}:WAV:DATA? "w0",10,20')[0]) == 80
    listed = bench.blocks(f"{head}?")
    assert [listed[0], listed[1], listed[2]] == [b"\x02\0\0\0", b"w0", b"\0\0\0\0"]
    bench.ask(f'{head}:WAV:DEL "w0"')
    assert bench.text(f"{head}:SIZE?") == "1"
    bench.ask(f'{head}:WAV:DEL "all"')
    assert bench.text(f"{head}:SIZE?") == "0"
    assert bench.errors() == '0,"No error"'


def test_giving_an_index_that_is_taken_moves_its_holder(bench: Bench) -> None:
    bench.upload("6.0", "stop", waves=[HALF, ONES])
    bench.ask(f'{S}AWG:WLIS:WAV:IND "w1",0')
    assert bench.text(f'{S}AWG:WLIS:WAV:IND? "w0"') == "1"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ('AWG:WLIS:WAV:NEW "w0",10,0', -221),
        ('AWG:WLIS:WAV:NEW "x",15000,0', -225),
        ('AWG:WLIS:WAV:NEW "x",0,0', -222),
        ('AWG:WLIS:WAV:NEW "",10,0', -220),
        ('AWG:WLIS:WAV:NEW "x",10', -109),
        ('AWG:WLIS:WAV:IND "w0",1024', -222),
        ('AWG:WLIS:WAV:IND "x",0', -220),
        ("AWG:WLIS:WAV:NAME? 5", -220),
        ('AWG:WLIS:WAV:DATA "w0",1', -161),
        ('ACQ:ALIS:ACQ:NEW "acq",131073', -225),
        ('ACQ:ALIS:ACQ:DATA:DEL "x"', -220),
        ("CONF 5", -161),
    ],
)
def test_uploads_have_limits(bench: Bench, command: str, code: int) -> None:
    bench.upload("6.0", "stop", waves=[np.zeros(2000)])
    bench.ask(S + command)
    assert bench.errors().startswith(f"{code},")


def test_samples_are_as_many_as_announced_and_within_full_scale(bench: Bench) -> None:
    bench.ask(f'{S}AWG:WLIS:WAV:NEW "a",2,0')
    for samples in ([0.5], [0.5, 1.1], [0.5, np.nan]):
        bench.ask(f'{S}AWG:WLIS:WAV:DATA "a",', np.array(samples, dtype="<f4").tobytes())
    assert [error.split(",")[0] for error in bench.errors().split('",')] == ["-220", "-222", "-222"]


def test_memories_are_full_at_their_limit_and_not_before(make_bench: Callable[..., Bench]) -> None:
    profile = Profile(waveforms=2, waveform_samples=100, weights=2, weight_samples=50, acquisitions=2, bins=10)
    bench = make_bench({6: "QRM-RF"}, profile=profile)
    for command in ('AWG:WLIS:WAV:NEW "{}",50,0', 'ACQ:WLIS:WEI:NEW "{}",25,0', 'ACQ:ALIS:ACQ:NEW "{}",5'):
        for name in ("a", "b"):
            bench.ask(S + command.format(name))
        assert bench.errors() == '0,"No error"'
        bench.ask(S + command.format("c").replace("50", "1").replace("25", "1").replace("5", "1"))
        assert bench.errors().startswith("-225,")


def test_what_a_sequencer_holds_cannot_be_changed_while_it_is_armed(bench: Bench) -> None:
    bench.upload("6.0", "stop", waves=[HALF], weights=[HALF], bins=5)
    bench.ask(f"{S}ARM")
    assert bench.state("6.0") == "OKAY;ARMED;;;;"
    changes = (
        'AWG:WLIS:WAV:NEW "x",1,0',
        'AWG:WLIS:WAV:DEL "all"',
        'AWG:WLIS:WAV:IND "w0",1',
        'ACQ:WLIS:WEI:DEL "all"',
        'ACQ:ALIS:ACQ:NEW "x",1',
        'ACQ:ALIS:ACQ:DEL "all"',
        'ACQ:ALIS:ACQ:DATA:DEL "all"',
    )
    for change in changes:
        bench.ask(S + change)
    for change, block in (
        ("PROG ", b"stop"),
        ("CONF ", b"{}"),
        ("CHAN ", b"[[0],[1]]"),
        ("ACQ:CHAN ", b"[[0],[1]]"),
        ('AWG:WLIS:WAV:DATA "w0",', b""),
    ):
        bench.ask(S + change, block)
    errors = bench.errors().split('",')
    assert len(errors) == len(changes) + 5
    assert all(error.startswith("-221,") and "ARMED" in error for error in errors)


def test_a_started_sequencer_counts_as_running_until_somebody_asks(bench: Bench) -> None:
    bench.upload("6.0", "wait 100\nstop")
    bench.ask(f"{S}ARM")
    bench.ask(f"{S}START")
    bench.ask(f"{S}PROG ", b"stop")
    assert "RUNNING" in bench.errors()
    assert bench.state("6.0") == "OKAY;STOPPED;;;;"


def test_only_an_armed_sequencer_starts(bench: Bench) -> None:
    bench.upload("6.0", "stop")
    bench.ask(f"{S}START")
    assert bench.errors() == '-211,"Trigger ignored; slot 6 sequencer 0 is IDLE, not ARMED"'


def test_stopping_an_armed_sequencer_disarms_it(bench: Bench) -> None:
    bench.upload("6.0", "stop")
    bench.ask(f"{S}ARM")
    bench.ask(f"{S}STOP")
    assert bench.state("6.0") == "OKAY;STOPPED;DISARMED,;;;"
    bench.ask(f"{S}CLR:FLAGS")
    assert bench.state("6.0") == "OKAY;STOPPED;;;;"


def test_stopping_an_idle_sequencer_changes_nothing(bench: Bench) -> None:
    bench.ask(f"{S}STOP")
    assert bench.state("6.0") == "OKAY;IDLE;;;;"


def test_front_end_settings_are_kept_and_reach_the_table(bench: Bench) -> None:
    bench.ask("SLOT6:STAT:QUES:FREQ:LO1 7.28 GHz;:SLOT6:AFE:ATT:OUT0 10;IN0 4")
    assert (
        bench.text("SLOT6:STAT:QUES:FREQ:LO1?;:SLOT6:LO1:ENA?;:SLOT6:AFE:ATT:OUT0?;IN0?;OUT0:MAX?")
        == "7280000000;1;10;4;60"
    )
    bench.readout()
    bench.run("6.0")
    assert bench.table.outputs[0].lo_frequency == bench.table.inputs[0].lo_frequency == 7.28e9
    assert (bench.table.outputs[0].attenuation_db, bench.table.inputs[0].attenuation_db) == (10, 4)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("SLOT6:STAT:QUES:FREQ:LO0 7e9", -241),
        ("SLOT4:LO0:ENA 1", -241),
        ("SLOT1:LO0:ENA 2", -224),
        ("SLOT1:STAT:QUES:FREQ:LO0 1.9e9", -222),
        ("SLOT1:STAT:QUES:FREQ:LO0 18.1e9", -222),
        ("SLOT1:AFE:ATT:OUT0 62", -222),
        ("SLOT1:AFE:ATT:OUT0 3", -222),
        ("SLOT1:AFE:ATT:OUT2 2", -241),
        ("SLOT4:AFE:ATT:OUT0 2", -241),
        ("SLOT1:AFE:ATT:IN0 2", -241),
        ("SLOT6:AFE:ATT:IN0 32", -222),
        ("SLOT4:AFE:OFFS:OUTAMP0 0.1", -221),
    ],
)
def test_front_end_settings_have_limits(bench: Bench, command: str, code: int) -> None:
    bench.ask(command)
    assert bench.errors().startswith(f"{code},")


def test_converter_offsets_may_stay_at_zero(bench: Bench) -> None:
    bench.ask("SLOT4:AFE:OFFS:OUTAMP0 0")
    assert bench.text("SLOT4:AFE:OFFS:OUTAMP0?") == "0"
    assert bench.errors() == '0,"No error"'


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"foo": 1}, -220),
        ({"awg": []}, -220),
        ({"awg": 5}, -220),
        ({"seq_proc": {"sync_en": 1}}, -220),
        ({"awg": [{"nco": {"freq_hz": 501e6}}]}, -222),
        ({"awg": [{"nco": {"freq_hz": "1"}}]}, -220),
        ({"awg": [{"gain_path": [1.5, 0]}]}, -222),
        ({"acq": [{"th_acq": {"non_weighed_integration_len": 402}}]}, -222),
        ({"acq": [{"th_acq": {"non_weighed_integration_len": 0}}]}, -222),
        ({"awg": [{"cont_mode": {"en_path": [True, False]}}]}, -221),
        ({"awg": [{"mixer": {"corr_gain_ratio": 1.1}}]}, -221),
        ({"awg": [{"nco": {"delay_comp_en": True}}]}, -221),
    ],
)
def test_a_configuration_is_checked_before_it_counts(bench: Bench, update: object, code: int) -> None:
    before = bench.ask(f"{S}CONF?")
    bench.ask(f"{S}CONF ", json.dumps(update).encode())
    assert bench.errors().startswith(f"{code},")
    assert bench.ask(f"{S}CONF?") == before


def test_a_part_of_a_configuration_leaves_the_rest(bench: Bench) -> None:
    bench.ask(f"{S}CONF ", b'{"awg": [{"nco": {"freq_hz": 5e6}}]}')
    document = json.loads(bench.blocks(f"{S}CONF?")[0])
    assert document["awg"][0]["nco"] == {"freq_hz": 5e6, "po": 0.0, "delay_comp": 0, "delay_comp_en": False}
    bench.ask(f"{S}CONF ", b"no json")
    assert bench.errors().startswith("-220,")


def test_a_reset_forgets_everything(bench: Bench) -> None:
    bench.readout()
    bench.run("6.0")
    bench.ask("*RST")
    assert bench.state("6.0") == "OKAY;IDLE;;;;"
    assert bench.text(f"{S}AWG:WLIS:SIZE?;:{S}ACQ:ALIS:SIZE?;:SLOT6:LO1:ENA?") == "0;0;0"
    bench.ask(f"{S}ARM")
    assert "holds no program" in bench.errors()


def test_resetting_a_module_leaves_the_others(bench: Bench) -> None:
    for where in ("1.0", "6.0"):
        bench.upload(where, "stop", waves=[HALF])
    bench.ask("*RST", port=6)
    assert bench.text("SLOT6:SEQ0:AWG:WLIS:SIZE?;:SLOT1:SEQ0:AWG:WLIS:SIZE?") == "0;1"


def test_time_goes_on_by_what_was_played(bench: Bench) -> None:
    def now() -> int:
        return int(json.loads(bench.blocks("TIMEkeeping:CURRent:TIMEstamp?")[0])["ns"])

    assert now() == 0
    bench.upload("6.0", "wait 5000\nstop")
    bench.run("6.0")
    assert now() == 5000
    bench.run("6.0")
    assert now() == 10_000


def test_in_real_time_a_run_lasts_as_long_as_it_plays(make_bench: Callable[..., Bench]) -> None:
    time = [0]
    bench = make_bench({6: "QRM-RF"}, clock=RealClock(lambda: time[0]))
    bench.ask("SLOT6:LO1:ENA 1")
    bench.readout(shots=10)
    assert bench.run("6.0") == ["OKAY;RUNNING;;;;"]
    time[0] = 4 + 10 * 2100 + 3
    assert bench.state("6.0") == "OKAY;RUNNING;;;;"
    time[0] += 1
    assert bench.state("6.0") == "OKAY;STOPPED;ACQ BINNING DONE,;;;"


def test_in_real_time_a_run_can_be_stopped(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({6: "QRM-RF"}, clock=RealClock(lambda: 0))
    bench.readout()
    bench.run("6.0")
    bench.ask(f"{S}STOP")
    assert bench.state("6.0") == "ERROR;STOPPED;ACQ BINNING DONE,;;FORCED STOP,;"
