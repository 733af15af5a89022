"""The scope of an emulated readout module: what it records, and what is refused because it is not emulated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

S = "SLOT6:SEQ0:"
SCOPE = "SLOT6:ACQ:SCO:CONF"
AVERAGING = {"avg_en_path": [True, True]}
HALF = np.full(500, 1.0)


def set_scope(bench: Bench, **changes: Any) -> str:
    bench.ask(f"{SCOPE} ", json.dumps(changes).encode())
    return bench.errors()


def blocks(bench: Bench) -> list[bytes]:
    return bench.blocks(f"{S}ACQ:ALIS?")


def play(bench: Bench, *, shots: int = 10, program: str | None = None) -> None:
    bench.readout(shots=shots, program=program or bench.READ)
    bench.run("6.0")


def test_settings_are_kept_and_read_back(bench: Bench) -> None:
    assert set_scope(bench, sel_path=[3, 3], **AVERAGING).startswith("0,")
    document = json.loads(bench.blocks(f"{SCOPE}?")[0])
    assert document == {
        "sel_path": [3, 3],
        "trig": {"mode_path": [False, False], "lvl_path": [0.0, 0.0]},
        "avg_en_path": [True, True],
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"trig": {"mode_path": [True, False]}}, "trig.mode_path is not emulated"),
        ({"sel_path": [6, 6]}, "sel_path is [6, 6]; sequencers are 0 to 5"),
        ({"volume": 11}, "takes the keys"),
    ],
)
def test_settings_that_are_not_possible_are_refused(bench: Bench, changes: dict[str, Any], text: str) -> None:
    assert text in set_scope(bench, **changes)


def test_a_configuration_that_is_no_object_is_refused(bench: Bench) -> None:
    bench.ask(f"{SCOPE} ", b"3")
    assert "takes the keys" in bench.errors()


def test_a_module_without_inputs_has_no_scope(bench: Bench) -> None:
    bench.ask("SLOT1:ACQ:SCO:CONF?")
    assert bench.errors().startswith("-113")


def test_the_mean_of_what_came_in_from_each_acquisition_on_is_recorded(bench: Bench) -> None:
    set_scope(bench, **AVERAGING)
    play(bench, shots=10)
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA "acq"')
    assert bench.errors().startswith("0,")
    paths = blocks(bench)[3:9]
    for data, out_of_range, averages in (paths[:3], paths[3:]):
        assert (out_of_range, averages) == (b"\0", (10).to_bytes(4, "little"))
        assert len(data) == 4 * 16384
    first, second = (np.frombuffer(data, dtype="<i4") / 10 / 2048 for data in (paths[0], paths[3]))
    time = np.arange(16384)
    wave = bench.cluster.played[0].waveforms[0]
    heard = len(wave.samples) - 4
    tone = np.exp(2j * np.pi * 0.08 * (time + 4)) * 0.5 * (1 + 1j) * (time < heard)
    np.testing.assert_allclose(first + 1j * second, tone, atol=1e-3)


def test_everything_that_the_chosen_sequencer_starts_counts(bench: Bench) -> None:
    set_scope(bench, **AVERAGING)
    twice = bench.READ.replace("acquire 0,R1,1996", "acquire 0,R1,1000\nacquire 0,R1,996")
    play(bench, shots=7, program=twice)
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA "acq"')
    assert blocks(bench)[5] == (14).to_bytes(4, "little")


def test_another_sequencer_records_nothing(bench: Bench) -> None:
    set_scope(bench, sel_path=[1, 1], **AVERAGING)
    play(bench)
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA "acq"')
    assert blocks(bench)[5] == bytes(4)


def test_a_trace_goes_with_the_data_that_are_deleted(bench: Bench) -> None:
    set_scope(bench, **AVERAGING)
    play(bench)
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA "acq"')
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA:DEL "acq"')
    assert blocks(bench)[3:6] == [b"", b"\0", bytes(4)]


@pytest.mark.parametrize(
    ("changes", "text"),
    [({}, "set avg_en_path"), ({"sel_path": [0, 1], **AVERAGING}, "two sequencers that trigger")],
)
def test_traces_that_are_not_emulated_are_refused(bench: Bench, changes: dict[str, Any], text: str) -> None:
    set_scope(bench, **changes)
    play(bench)
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA "acq"')
    assert text in bench.errors()


def test_a_signal_beyond_the_converters_range_is_clipped_and_flagged(bench: Bench) -> None:
    set_scope(bench, **AVERAGING)
    for number in range(3):
        bench.upload(f"6.{number}", bench.READ.format(shots=2), waves=[HALF], bins=10)
        bench.configure(f"6.{number}", bench.MODULATED)
    bench.run("6.0", "6.1", "6.2")
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA "acq"')
    data, out_of_range, _ = blocks(bench)[3:6]
    assert out_of_range == b"\1"
    assert np.abs(np.frombuffer(data, dtype="<i4")).max() == 2 * 2048
