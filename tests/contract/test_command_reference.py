"""The reference of the command line lists exactly the options that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qubitd.cli.__main__ import COMMANDS, main

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"


def documented(command: str) -> set[str]:
    """Return the options in the table of a command's section."""
    section = REFERENCE.read_text(encoding="utf-8").split(f"## qubitd {command}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_reference_lists_the_options_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    options = set(re.findall(r"^ +(?:-h, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert options - {"--help"} == documented(command)
