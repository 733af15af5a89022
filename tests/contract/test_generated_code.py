"""The check of the generated code notices every way in which it can be stale."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The protos and the generator's tool, with the generator of the real checkout."""
    subprocess.run(["sh", ROOT / "tools" / "setup_environment.sh", "gen"], check=True)
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".venv-gen").symlink_to(ROOT / ".venv-gen")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "generate_proto.py", tmp_path / "tools")
    (tmp_path / "tools" / "setup_environment.sh").write_text("exit 0\n")
    return tmp_path


def generate(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "tools" / "generate_proto.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def v1(checkout: Path) -> Path:
    return checkout / "proto" / "qubitd" / "v1"


def test_committed_code_is_current(checkout: Path) -> None:
    result = generate(checkout, "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_check_names_stale_missing_and_orphaned_files(checkout: Path) -> None:
    with (v1(checkout) / "jobs.proto").open("a") as proto:
        proto.write("// One more.\nmessage OneMore {}\n")
    (v1(checkout) / "backends_pb2.pyi").unlink()
    (v1(checkout) / "orphan_pb2.py").touch()
    result = generate(checkout, "--check")
    assert result.returncode == 1
    for name in ("jobs_pb2.py", "jobs_pb2.pyi", "backends_pb2.pyi", "orphan_pb2.py"):
        assert f"proto/qubitd/v1/{name} is stale; type: python tools/generate_proto.py\n" in result.stderr


def test_generating_mends_what_the_check_complains_of(checkout: Path) -> None:
    (v1(checkout) / "backends_pb2.py").write_text("")
    (v1(checkout) / "orphan_pb2.py").touch()
    assert generate(checkout).returncode == 0
    assert generate(checkout, "--check").returncode == 0
    assert not (v1(checkout) / "orphan_pb2.py").exists()
