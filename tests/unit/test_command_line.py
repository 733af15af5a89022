"""The `qubitd` command itself: one module per command, and lines instead of tracebacks."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest

from qubitd.cli.__main__ import COMMANDS, main
from qubitd.cli.child import Child, ChildError
from qubitd.cli.config import state_directory
from qubitd.cli.remote import show_rows
from qubitd.core.errors import InvalidCircuitError, Problem, QubitdError
from qubitd.server.version import server_version

FIRST, SECOND = Problem(where="here", what="wrong"), Problem(where="there", what="wrong too")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A command that does whatever a test wants."""
    module = types.ModuleType("qubitd.cli.stub")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "stub", "do nothing")
    vars(module)["add_arguments"] = lambda parser: parser.add_argument("--times", type=int, default=1)
    return module


def run_python(arguments: str, *, stdout: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process whose stdout a shell has redirected."""
    line = f'"{sys.executable}" {arguments} {stdout}'
    return subprocess.run(line, shell=True, stderr=subprocess.PIPE, text=True, check=False)


def ending(error: BaseException) -> types.FunctionType:
    def run(_: argparse.Namespace) -> int:
        raise error

    assert isinstance(run, types.FunctionType)
    return run


def test_a_command_gets_its_own_arguments_and_gives_its_exit_code(command: types.ModuleType) -> None:
    vars(command)["run"] = lambda arguments: arguments.times
    assert main(["stub", "--times", "3"]) == 3


def test_every_problem_is_a_line_on_stderr(command: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    vars(command)["run"] = ending(InvalidCircuitError([FIRST, SECOND]))
    assert main(["stub"]) == 1
    assert capsys.readouterr().err == "qubitd: here: wrong\nqubitd: there: wrong too\n"


def test_any_other_error_is_one_line(command: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    vars(command)["run"] = ending(QubitdError("no rack"))
    assert main(["stub"]) == 1
    assert capsys.readouterr().err == "qubitd: no rack\n"


def test_a_warning_is_one_line_however_often_it_is_given(
    command: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: argparse.Namespace) -> int:
        for _again in range(2):
            warnings.warn("a delay was rounded", stacklevel=2)
        return 0

    vars(command)["run"] = run
    assert main(["stub"]) == 0
    assert capsys.readouterr().err == "qubitd: a delay was rounded\n"


def test_ctrl_c_gives_130(command: types.ModuleType) -> None:
    vars(command)["run"] = ending(KeyboardInterrupt())
    assert main(["stub"]) == 130


def test_ctrl_c_while_a_command_is_imported_gives_130(
    command: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(_: str) -> types.ModuleType:
        raise KeyboardInterrupt

    assert command.__name__ == "qubitd.cli.stub"
    monkeypatch.setattr(importlib, "import_module", imported)
    assert main(["stub"]) == 130


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_a_full_disk_does_not_take_is_told_in_one_line(
    unbuffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    ended = run_python(f"-m qubitd.cli auth list --data-dir {tmp_path}", stdout=">/dev/full")
    assert (ended.returncode, ended.stderr) == (1, "qubitd: cannot write: No space left on device\n")


def test_a_table_for_nobody_is_no_error() -> None:
    lines = (
        "import sys; from qubitd.cli import __main__, remote; from types import ModuleType; "
        "stub = sys.modules['qubitd.cli.stub'] = ModuleType('stub'); __main__.COMMANDS['stub'] = 'do nothing'; "
        "stub.add_arguments = lambda parser: None; "
        "stub.run = lambda _: remote.show_rows([{'job': 'one'}], nothing='', as_json=False) or 0; "
        "sys.exit(__main__.main(['stub']))"
    )
    ended = run_python(f'-c "{lines}"', stdout=">&-")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"qubitd {server_version()}\n"


def test_an_option_that_is_none_of_a_command_is_told_with_those_that_are(
    command: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    vars(command)["run"] = ending(AssertionError())
    with pytest.raises(SystemExit) as ended:
        main(["stub", "--tims", "3"])
    assert ended.value.code == 2
    assert "usage: qubitd stub [-h] [--times TIMES]\nqubitd stub: error: unrecognized arguments: --tims 3" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["serve", "--port", "70000"], ["serve", "--port", "-1"], ["serve", "--port", "x"]],
)
def test_wrong_usage_gives_2_and_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: qubitd" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many"])
def test_a_wrong_limit_of_jobs_is_told_with_its_bounds_and_not_with_all_numbers(
    limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["jobs", f"--limit={limit}"])
    assert f"'{limit}' is no number of jobs; give 1 to 1000\n" in capsys.readouterr().err


def test_a_long_message_takes_one_line_of_the_table_and_stands_whole_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        {"job": "9c" * 16, "tags": ["[blue]"], "message": "none of OR,\nNOR " * 60},
        {"job": "9d" * 16, "tags": [], "message": ""},
    ]
    show_rows(rows, nothing="no jobs", as_json=False, one_line=("message",))
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["job", "tags", "message"]
    assert first.startswith(f"{'9c' * 16}  [blue]  none of OR, NOR none")
    assert first.endswith("…")
    assert second.rstrip() == "9d" * 16
    show_rows(rows, nothing="no jobs", as_json=True, one_line=("message",))
    assert json.loads(capsys.readouterr().out)[0] == rows[0]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--start=yesterday", "'yesterday' is no time; write it by ISO 8601, such as 2026-03-01T09:30 or"),
        ("--minutes=-5", "'-5' is no length of a slot; give 0.017 to 10080 minutes"),
        ("--minutes=nan", "'nan' is no length of a slot"),
        ("--minutes=long", "'long' is no length of a slot"),
    ],
)
def test_a_wrong_time_of_a_slot_is_told_in_the_words_of_its_option(
    option: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["slots", "--reserve=calibration", option])
    assert told in capsys.readouterr().err


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_state_is_kept_where_the_user_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert state_directory() == Path("/somewhere/qubitd")


@pytest.mark.parametrize("value", [None, "", "relative"])
def test_state_is_kept_at_home_otherwise(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_STATE_HOME", value)
    assert state_directory() == Path("/home/me/.local/state/qubitd")


def test_a_child_that_says_nothing_is_told_by_its_name_and_exit_code() -> None:
    child = Child("qubitd.nothing", [], name="the child")
    with pytest.raises(ChildError, match=r"the child did not start \(exit code 1\)"):
        child.first_line()
    child.stop()
