"""The wire contract against that of every release: nothing that an older client says or hears has another meaning.

An image of the contract is written once, at the release of a minor version, and never again:
`buf build --exclude-source-info -o tests/golden/wire/0.1.binpb`. Until 0.1 is released its image may be written anew.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
IMAGES = sorted((ROOT / "tests" / "golden" / "wire").glob("*.binpb"))


NOTHING = (0, "")
SOMETHING = 100
"""With which `buf` ends when it found something; it ends with another when it could not look."""


def breaking(image: Path, tree: Path) -> tuple[int, str]:
    """Give how `buf` ended, and what a client of the image's release would not understand."""
    command = [str(BUF), "breaking", "--against", str(image)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


def test_there_is_an_image_to_compare_with() -> None:
    assert IMAGES


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
def test_clients_of_every_release_are_understood(image: Path) -> None:
    assert breaking(image, ROOT) == NOTHING


def test_an_image_that_is_not_there_is_no_compatible_one(tmp_path: Path) -> None:
    ended, told = breaking(tmp_path / "9.9.binpb", ROOT)
    assert ended not in (0, SOMETHING)
    assert "9.9.binpb" in told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "message JobsGetRequest {\n  // The job.\n  string job_id = 1;",
            "message JobsGetRequest {\n  string job_id = 2;",
        ),
        ("  STATUS_DONE = 5;", "  STATUS_DONE = 15;"),
        ("rpc Get(JobsGetRequest) returns (JobsGetResponse);", ""),
        ("uint32 shots = 4;", "uint64 shots = 4;"),
    ],
    ids=["another number", "another value", "no such RPC", "another type"],
)
def test_a_change_that_older_clients_would_not_understand_is_seen(tree: Path, before: str, after: str) -> None:
    proto = tree / "proto" / "qubitd" / "v1" / "jobs.proto"
    text = proto.read_text(encoding="utf-8")
    assert before in text
    proto.write_text(text.replace(before, after, 1), encoding="utf-8")
    ended, told = breaking(IMAGES[-1], tree)
    assert ended == SOMETHING
    assert "jobs.proto" in told


def test_one_more_field_is_no_such_change(tree: Path) -> None:
    proto = tree / "proto" / "qubitd" / "v1" / "jobs.proto"
    text, before = proto.read_text(encoding="utf-8"), "message JobsGetRequest {"
    assert before in text
    proto.write_text(text.replace(before, f"{before}\n  string more = 99;"), encoding="utf-8")
    assert breaking(IMAGES[-1], tree) == NOTHING
