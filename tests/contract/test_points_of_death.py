"""Each named point of death is somewhere in the code, and a test lets something die there."""

from __future__ import annotations

import re
from pathlib import Path

from qubitd.server.failpoints import GROUP_POINTS, POINTS, WORK_POINTS

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"\bfailpoint\(([^)]*)\)")
GENERATED = {"POINTS": "test_failpoints.py", "WORK_POINTS": "test_worker_deaths.py"}


def points_in_the_code() -> set[str]:
    files = (path for path in (ROOT / "server").rglob("*.py") if path.name != "failpoints.py")
    return {point for path in files for point in CALL.findall(path.read_text(encoding="utf-8"))}


def test_the_lists_name_each_point_of_the_code_and_no_other() -> None:
    listed = [f'"{point}"' for point in (*POINTS, *GROUP_POINTS, *WORK_POINTS)]
    assert sorted(points_in_the_code()) == sorted(listed)


def test_each_list_is_gone_through_by_a_test() -> None:
    tests = ROOT / "tests" / "system"
    for name, file in GENERATED.items():
        assert re.search(rf"\bin {name}\b", (tests / file).read_text(encoding="utf-8")), name
    deaths = (tests / "test_two_fridges_die.py").read_text(encoding="utf-8")
    assert [point for point in GROUP_POINTS if f'"{point}"' not in deaths] == []
