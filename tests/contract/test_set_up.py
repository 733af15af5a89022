"""Setting up fails with one line that says what to do, and leaves no half environment behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APT = "Type: sudo apt install git make python3-venv"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with all that a set-up reads."""
    target = tmp_path / "clone"
    shutil.copytree(ROOT / "tools", target / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, target)
    return target


def interpreter(folder: Path, body: str) -> str:
    """Return the path of a program that behaves like a Python we meet."""
    program = folder / "python-as-found"
    program.write_text(f"#!/bin/sh\nreal='{sys.executable}'\n{body}\n")
    program.chmod(0o755)
    return str(program)


def make(clone: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make as a newcomer would, without anything that a make around us has set."""
    ours = ("MAKE", "MFLAGS", "PIP_", "PYTHON")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    command = ["make", "--no-print-directory", target]
    return subprocess.run(command, cwd=clone, env=inherited | variables, capture_output=True, text=True, check=False)


def the_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr of a make that failed."""
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    return line


OLD = 'case "$*" in -V) echo "Python 3.9.2";; *version_info*) exit 1;; *) exec "$real" "$@";; esac'
BARE = 'case "$*" in *ensurepip*) exit 1;; *) exec "$real" "$@";; esac'
BROKEN = """case "$*" in *"-m venv"*) mkdir -p .venv/bin; echo 'disk full' >&2; exit 1;; *) exec "$real" "$@";; esac"""


@pytest.mark.parametrize("target", ["setup", "demo", "test"])
def test_old_python_is_named_with_what_to_type(clone: Path, target: str) -> None:
    line = the_line(make(clone, target, PYTHON=interpreter(clone, OLD)))
    assert "qubitd needs Python 3.11 or newer" in line
    assert "is Python 3.9.2" in line
    assert "make PYTHON=" in line
    assert not (clone / ".venv").exists()


def test_missing_venv_module_is_named_with_what_to_type(clone: Path) -> None:
    line = the_line(make(clone, "demo", PYTHON=interpreter(clone, BARE)))
    assert "lacks the venv module" in line
    assert APT in line
    assert not (clone / ".venv").exists()


def test_missing_python_is_named_with_what_to_type(clone: Path) -> None:
    line = the_line(make(clone, "demo", PYTHON="python-of-nobody"))
    assert "python-of-nobody is not installed" in line
    assert APT in line


def test_half_made_environment_is_removed(clone: Path) -> None:
    line = the_line(make(clone, "demo", PYTHON=interpreter(clone, BROKEN)))
    assert "could not make .venv: disk full" in line
    assert not (clone / ".venv").exists()


@pytest.fixture(scope="module")
def nowhere() -> dict[str, str]:
    """Variables with which pip finds no package index: a closed port of this machine, and nothing kept from before."""
    return {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }


def test_missing_network_is_named_and_leaves_nothing(clone: Path, nowhere: dict[str, str]) -> None:
    line = the_line(make(clone, "demo", PYTHON=sys.executable, **nowhere))
    assert "no network" in line
    assert not (clone / ".venv").exists()


def test_environment_is_left_alone_until_its_inputs_change_and_kept_when_there_is_no_network_then(
    clone: Path, nowhere: dict[str, str]
) -> None:
    requirements = clone / "tools" / "generator-requirements.txt"
    made = []
    for text in ("", "", "# changed\n"):
        requirements.write_text(text)
        made.append(make(clone, "environment-gen", PYTHON=sys.executable, **nowhere))
        assert (clone / ".venv-gen" / ".ready-gen").exists()
    assert ["setting up" in run.stdout for run in made] == [True, False, True]
    requirements.write_text("grpcio-tools==1.71.2\n")
    assert "no network" in the_line(make(clone, "proto", PYTHON=sys.executable, **nowhere))
    assert (clone / ".venv-gen" / "bin" / "python").exists()
    assert not (clone / ".venv-gen" / ".ready-gen").exists()


def test_unknown_environment_is_refused(clone: Path) -> None:
    command = ["sh", str(clone / "tools" / "setup_environment.sh"), "everything"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "'everything' is not an environment; choose base, test, lowest, gen or clients" in result.stderr


def test_lower_bounds_are_those_of_pyproject(clone: Path) -> None:
    command = [sys.executable, str(clone / "tools" / "lower_bounds.py")]
    bounds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "grpcio==1.71.2" in bounds
    assert "numpy==2.0; python_version < '3.13'" in bounds


def test_dependency_without_a_lower_bound_is_refused(clone: Path) -> None:
    pyproject = clone / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"scipy>=', '"scipy~='))
    command = [sys.executable, str(clone / "tools" / "lower_bounds.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "dependency 'scipy~=" in result.stderr
