"""The demo device's first values are those of its chip, and its errors are none that physics forbids."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from qubitd.compiler.device_file import load_device
from qubitd.core.decoherence import coherence_limit
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip

ROOT = Path(__file__).parents[2]
DEVICES = ("line5", "classroom5")
FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_values_tool", ROOT / "tools/first_values.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", DEVICES)
def test_the_device_file_is_what_the_tool_writes(tool: ModuleType, name: str) -> None:
    text = (tool.FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert tool.with_first_values(text, Chip(load_cabling(Path(name))), load_device(name)) == text


def test_the_tool_says_whether_the_files_are_up_to_date(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {name: (tool.FOLDER / f"{name}.toml").read_text(encoding="utf-8") for name in DEVICES}
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(
            text.replace("sx.amplitude = 0.1", "sx.amplitude = 0.2"), encoding="utf-8"
        )
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["first_values.py", "--check"])
    assert tool.main() == 1
    stale, current = capsys.readouterr().out.splitlines()
    assert stale.startswith("line5.toml is out of date")
    assert current == "classroom5.toml is up to date"
    monkeypatch.setattr(sys, "argv", ["first_values.py"])
    assert tool.main() == 0
    assert {name: (tmp_path / f"{name}.toml").read_text(encoding="utf-8") for name in DEVICES} == texts


def test_a_table_without_marks_is_named(tool: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"no marks in \[qubits\.q0\]"):
        tool.with_first_values("[qubits.q0]\n", Chip(load_cabling()), FILE)


def test_what_is_written_by_hand_is_not_repeated_between_the_marks(tool: ModuleType) -> None:
    text = (tool.FOLDER / "classroom5.toml").read_text(encoding="utf-8")
    assert text.count("sy.error =") == 4


def lifetimes(*qubits: int) -> tuple[tuple[float, float], ...]:
    return tuple((SNAPSHOT.value(f"q{q}.t1"), SNAPSHOT.value(f"q{q}.t2")) for q in qubits)


@pytest.mark.parametrize("gate", ["sx", "x", "id"])
@pytest.mark.parametrize("qubit", range(5))
def test_no_error_of_a_qubit_is_below_what_t1_and_t2_allow(gate: str, qubit: int) -> None:
    limit = coherence_limit(SNAPSHOT.value(f"q{qubit}.{gate}.duration"), lifetimes(qubit))
    assert limit <= SNAPSHOT.value(f"q{qubit}.{gate}.error") < 1.05 * limit


@pytest.mark.parametrize("first", range(4))
def test_no_error_of_a_pair_is_below_what_t1_and_t2_allow(first: int) -> None:
    name = f"q{first}_q{first + 1}.cz"
    limit = coherence_limit(SNAPSHOT.value(f"{name}.duration"), lifetimes(first, first + 1))
    assert limit <= SNAPSHOT.value(f"{name}.error") < 1.2 * limit


def test_the_error_of_a_measurement_is_the_mean_of_both_mistakes() -> None:
    for qubit in FILE.device.qubits:
        both = [SNAPSHOT.value(f"{qubit}.measure.prob_meas{a}_prep{1 - a}") for a in (0, 1)]
        assert SNAPSHOT.value(f"{qubit}.measure.error") == pytest.approx(sum(both) / 2, rel=1e-5)


def test_the_readout_tones_share_the_feedline() -> None:
    assert sum(SNAPSHOT.value(f"{qubit}.readout.amplitude") for qubit in FILE.device.qubits) < 1


def test_passive_reset_is_five_times_the_longest_t1() -> None:
    longest = max(SNAPSHOT.value(f"{qubit}.t1") for qubit in FILE.device.qubits)
    assert SNAPSHOT.value("q0.reset.duration") == pytest.approx(5 * longest)
