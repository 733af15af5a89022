"""Every code block a reader may copy does what the document says; tools/run_document.py runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def run(document: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "run_document.py"), str(document)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_of_a_document_run(document: Path) -> None:
    result = run(document)
    assert result.returncode == 0, result.stdout + result.stderr


def test_python_blocks_share_one_process_and_keep_the_line_numbers_of_the_document(tmp_path: Path) -> None:
    document = tmp_path / "guide.md"
    document.write_text("# Guide\n\n```python\nx = 1\n```\n\nand then\n\n```python\nassert x == 2\n```\n")
    result = run(document)
    assert result.returncode == 1
    assert 'File "guide.md", line 10' in result.stderr


def test_console_block_that_fails_is_named_by_its_line(tmp_path: Path) -> None:
    document = tmp_path / "guide.md"
    document.write_text("<!-- file: a.txt -->\n```text\nhello\n```\n\n```console\n$ cat a.txt\n$ cat b.txt\n```\n")
    result = run(document)
    assert result.returncode != 0
    assert result.stdout == "hello\n"
    assert "guide.md:7: this console block" in result.stderr


def test_block_with_a_reason_not_to_run_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "guide.md"
    document.write_text("<!-- not run: needs root -->\n```console\n$ false\n```\n")
    assert run(document).returncode == 0


def test_unknown_make_target_in_a_document_fails(tmp_path: Path) -> None:
    document = tmp_path / "guide.md"
    document.write_text("```console\n$ make no-such-target\n```\n")
    assert run(document).returncode != 0
