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


def breaking(image: Path, tree: Path) -> str:
    """Give what a client of the image's release would not understand."""
    command = [str(BUF), "breaking", "--against", str(image)]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
def test_clients_of_every_release_are_understood(image: Path) -> None:
    assert breaking(image, ROOT) == ""


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
    assert breaking(IMAGES[-1], tree) != ""


def test_one_more_field_is_no_such_change(tree: Path) -> None:
    proto = tree / "proto" / "qubitd" / "v1" / "jobs.proto"
    text = proto.read_text(encoding="utf-8")
    proto.write_text(text.replace("message JobsGetRequest {", "message JobsGetRequest {\n  string more = 99;"))
    assert breaking(IMAGES[-1], tree) == ""
