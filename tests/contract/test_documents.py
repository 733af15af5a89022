"""Every code block a reader may copy does what the document says; tools/run_document.py runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tools.run_document import run_document

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of a document, its programs' output included."""

    code: int
    out: str
    err: str


@pytest.fixture
def read(capfd: pytest.CaptureFixture[str]) -> Callable[[Path], Reading]:
    """Do what a document says."""

    def do(document: Path) -> Reading:
        code = run_document(document)
        out, err = capfd.readouterr()
        return Reading(code=code, out=out, err=err)

    return do


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_of_a_document_run(document: Path, read: Callable[[Path], Reading]) -> None:
    result = read(document)
    assert result.code == 0, result.out + result.err


def test_python_blocks_share_one_process_and_keep_the_line_numbers_of_the_document(
    tmp_path: Path, read: Callable[[Path], Reading]
) -> None:
    document = tmp_path / "guide.md"
    document.write_text("# Guide\n\n```python\nx = 1\n```\n\nand then\n\n```python\nassert x == 2\n```\n")
    result = read(document)
    assert result.code == 1
    assert 'File "guide.md", line 10' in result.err


def test_console_block_that_fails_is_named_by_its_line(tmp_path: Path, read: Callable[[Path], Reading]) -> None:
    document = tmp_path / "guide.md"
    document.write_text("<!-- file: a.txt -->\n```text\nhello\n```\n\n```console\n$ cat a.txt\n$ cat b.txt\n```\n")
    result = read(document)
    assert result.code != 0
    assert result.out == "hello\n"
    assert "guide.md:7: this console block" in result.err


def test_block_with_a_reason_not_to_run_is_left_alone(tmp_path: Path, read: Callable[[Path], Reading]) -> None:
    document = tmp_path / "guide.md"
    document.write_text("<!-- not run: needs root -->\n```console\n$ false\n```\n")
    assert read(document).code == 0


def test_unknown_make_target_in_a_document_fails(tmp_path: Path, read: Callable[[Path], Reading]) -> None:
    document = tmp_path / "guide.md"
    document.write_text("```console\n$ make no-such-target\n```\n")
    assert read(document).code != 0
