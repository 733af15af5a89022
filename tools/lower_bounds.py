"""Prints pip constraints that hold every base dependency at the lowest version pyproject.toml admits."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BOUNDED = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)>=(?P<bound>[0-9.]+)(?P<marker> *;.*)?")


def main() -> int:
    """Print one constraint per dependency; a dependency without a lower bound is an error."""
    dependencies = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    for dependency in dependencies:
        print(constraint(dependency))
    return 0


def constraint(dependency: str) -> str:
    """Return `name==bound; marker` for `name>=bound; marker`."""
    match = BOUNDED.fullmatch(dependency)
    if match is None:
        raise SystemExit(f"pyproject.toml: dependency '{dependency}' must read 'name>=version' to be testable")
    return f"{match['name']}=={match['bound']}{match['marker'] or ''}"


if __name__ == "__main__":
    sys.exit(main())
