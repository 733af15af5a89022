"""The import rules hold, and each of them would notice a breach."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ["core", "proto", "drivers", "server", "calibration", "provider"]
LINT = """
import sys
checkout, house, *roots = sys.argv[1:]
sys.path = [f"{house}/{root}" for root in roots] + [p for p in sys.path if p not in {f"{checkout}/{r}" for r in roots}]
from importlinter import cli
sys.exit(cli.lint_imports(config_filename=f"{house}/pyproject.toml", no_cache=True))
"""
BREACHES = [
    ("layers", "core/qubitd/core", "import qubitd.wire"),
    ("layers", "provider/qubitd/provider", "import qubitd.calibration"),
    ("layers", "drivers/qubitd/emulator", "import qubitd.drivers"),
    ("v1", "provider/qubitd/provider", "import qubitd.v1"),
    ("remote", "calibration/qubitd/calibration", "import qubitd.compiler"),
    ("pure", "server/qubitd/compiler", "import asyncio"),
    ("pure", "core/qubitd/core", "from google.protobuf import message"),
    ("instruments", "drivers/qubitd/drivers", "import qubitd.wire"),
    ("server", "server/qubitd/server", "import qubitd.emulator"),
    ("visa", "server/qubitd/server", "import pyvisa"),
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the sources, to be damaged."""
    for root in ROOTS:
        shutil.copytree(ROOT / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LINT, str(ROOT), str(house), *ROOTS]
    return subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)


def rule_named(identity: str) -> str:
    """Return the sentence that pyproject.toml gives a rule."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.split(f'id = "{identity}"\nname = "')[1].split('"')[0]


def test_import_rules_hold(house: Path) -> None:
    result = lint(house)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("rule", "package", "line"), BREACHES)
def test_import_rule_notices_a_breach(house: Path, rule: str, package: str, line: str) -> None:
    (house / package / "intruder.py").write_text(f"{line}\n")
    result = lint(house)
    assert result.returncode == 1
    assert f"{rule_named(rule)} BROKEN" in result.stdout


def test_import_rule_notices_a_cycle_between_siblings(house: Path) -> None:
    for name, other in (("east", "west"), ("west", "east")):
        package = house / "core" / "qubitd" / "core" / name
        package.mkdir()
        (package / "__init__.py").write_text(f"import qubitd.core.{other}\n")
    assert f"{rule_named('acyclic')} BROKEN" in lint(house).stdout
