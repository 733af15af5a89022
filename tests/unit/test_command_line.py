"""The `qubitd` command itself: one module per command, and lines instead of tracebacks."""

from __future__ import annotations

import argparse
import json
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

FIRST, SECOND = Problem(where="here", what="wrong"), Problem(where="there", what="wrong too")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A command that does whatever a test wants."""
    module = types.ModuleType("qubitd.cli.stub")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "stub", "do nothing")
    vars(module)["add_arguments"] = lambda parser: parser.add_argument("--times", type=int, default=1)
    return module


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
