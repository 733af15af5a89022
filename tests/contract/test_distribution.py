"""Wheel and sdist hold every package and data file of ours, and install nothing under a generic name."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ["core", "proto", "drivers", "server", "calibration", "provider"]
IMPORT = """
import importlib, sys
installed, checkout, *packages = sys.argv[1:]
portions = {f"{checkout}/{root}" for root in "core proto drivers server calibration provider".split()}
sys.path = [installed, *(path for path in sys.path if path not in portions)]
for package in packages:
    assert importlib.import_module(f"qubitd.{package}").__file__.startswith(installed)
"""
DATA = {".toml", ".proto", ".typed", ".html", ".css", ".js"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds our wheel and sdist."""
    target = tmp_path_factory.mktemp("dist")
    build(ROOT, target)
    return target


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own."""
    target = tmp_path_factory.mktemp("site-packages")
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


def build(source: Path, target: Path, *options: str) -> None:
    """Build with the hatchling that is installed, so that nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target), *options]
    subprocess.run(command, cwd=source, capture_output=True, check=True)


def shipped_files() -> set[str]:
    """Return what a wheel must hold, as paths in site-packages."""
    paths = {path.relative_to(ROOT / root) for root in ROOTS for path in (ROOT / root).rglob("*") if path.is_file()}
    return {str(path) for path in paths if path.suffix in DATA | {".py"}}


def names_in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module_and_data_file(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert shipped_files() <= names_in_wheel(wheel)


def test_wheel_made_from_the_sdist_is_the_same(built: Path, tmp_path: Path) -> None:
    (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    subprocess.run(["tar", "--extract", "--file", str(sdist), "--directory", str(tmp_path)], check=True)
    (unpacked,) = tmp_path.iterdir()
    build(unpacked, tmp_path, "--target", "wheel")
    assert names_in_wheel(tmp_path / wheel.name) == names_in_wheel(wheel)


def test_installation_adds_nothing_but_qubitd(installed: Path) -> None:
    assert sorted(path.name for path in installed.iterdir()) == ["bin", "qubitd", "qubitd-0.1.0.dist-info"]
    assert [path.name for path in (installed / "bin").iterdir()] == ["qubitd"]
    assert not (installed / "qubitd" / "__init__.py").exists()


def test_installed_packages_import_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    packages = sorted(path.name for path in (installed / "qubitd").iterdir())
    assert {"core", "provider", "server", "v1"} <= set(packages)
    command = [sys.executable, "-P", "-c", IMPORT, str(installed), str(ROOT), *packages]
    subprocess.run(command, cwd=tmp_path, check=True)
