"""The page of promises is true: each promise and each method has a row, and each row names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "promises.md").read_text(encoding="utf-8")
LATER = {"P7", "P8", "P9", "P10", "P11", "T7", "T8", "T13"}
NUMBERS = [f"P{number}" for number in range(1, 24)] + [f"T{number}" for number in range(1, 18)]
ROWS = {row.split("|")[1].strip(): row for row in PAGE.splitlines() if re.match(r"\| [PT]\d", row)}


def files_in(text: str) -> list[str]:
    return re.findall(r"`(tests/[\w/]+\.py)`", text)


def test_every_promise_and_every_method_has_a_row_but_those_that_come_later() -> None:
    assert set(ROWS) == set(NUMBERS) - LATER


@pytest.mark.parametrize("number", sorted(ROWS))
def test_a_row_names_tests_that_are_there(number: str) -> None:
    named = files_in(ROWS[number])
    assert named
    for file in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(r"def test_|def verdict", text), file


def test_what_runs_longer_in_a_soak_is_run_by_make_soak() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nsoak:")[1].split("\n\n")[0]
    asking = [path for path in (ROOT / "tests").rglob("test_*.py") if re.search(r"\bsoak: bool", path.read_text())]
    assert {str(path.relative_to(ROOT)) for path in asking} == set(re.findall(r"tests/\S+/test_\w+\.py", recipe))
