"""Runs the code blocks of a Markdown document, as a reader would, in a directory with nothing but the examples.

`python` blocks run together in one fresh process, `console` blocks run their `$ ` lines in a shell. Comments before a
block: `<!-- needs: daemon -->` (an emulated one answers at localhost:50051), `<!-- file: NAME -->` (the block is that
file), `<!-- not run: REASON -->`. A document that has its reader type `qubitd serve --device NAME` gets that device.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qubitd.cli.daemon_process import start_daemon

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(?P<notes>(?:^<!--[^>]*-->\n)*)^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOTE = re.compile(r"<!-- *(?P<key>file|needs|not run): *(?P<value>.*?) *-->")
CLIENTS = ("qubitd run ", "python examples/calibrate_")
USUAL_DEVICE = "line5"
ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1):50051")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    language: str
    """As written behind the fence."""
    text: str
    """Without the fences."""
    line: int
    """Of its first line in the document, from 1."""
    notes: dict[str, str]
    """The comments just before the block, by their key."""

    @property
    def is_run(self) -> bool:
        return "not run" not in self.notes and "file" not in self.notes


def main() -> int:
    """Run the documents named on the command line; the exit code is that of the first failure."""
    for name in sys.argv[1:]:
        code = run_document(Path(name).resolve())
        if code:
            return code
    return 0


def run_document(document: Path) -> int:
    """Run one document's blocks; a failure is reported with the document's line."""
    content = document.read_text(encoding="utf-8")
    blocks = list(blocks_of(content))
    device = served_device(content)
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch), device) as address:
        directory = Path(scratch) / "reader"
        directory.mkdir()
        (directory / "examples").symlink_to(ROOT / "examples")
        write_files(blocks, directory)
        return run_python(document, blocks, directory, address) or run_consoles(document, blocks, directory, address)


def blocks_of(content: str) -> Iterator[Block]:
    for match in BLOCK.finditer(content):
        yield Block(
            language=match["language"],
            text=match["text"],
            line=content.count("\n", 0, match.start("text")) + 1,
            notes={note["key"]: note["value"] for note in NOTE.finditer(match["notes"])},
        )


def served_device(content: str) -> str | None:
    """Give the device of the daemon that the document asks for, or has its reader start; None if it needs none."""
    started = re.search(r"^\$ qubitd serve(?:.* --device (?P<device>\w+))?", content, re.MULTILINE)
    asked = any(note["key"] == "needs" and note["value"] == "daemon" for note in NOTE.finditer(content))
    if started is None and not asked:
        return None
    return (started and started["device"]) or USUAL_DEVICE


def write_files(blocks: list[Block], directory: Path) -> None:
    for block in blocks:
        if "file" in block.notes:
            (directory / block.notes["file"]).write_text(block.text, encoding="utf-8")


@contextmanager
def served(scratch: Path, device: str | None) -> Generator[str]:
    """Give the address of an emulated daemon that lives as long as the document is run."""
    if device is None:
        yield "localhost:50051"
        return
    with start_daemon(data_dir=scratch / "data", device=device) as daemon:
        yield daemon.address


def environment() -> dict[str, str]:
    """Return our environment with this interpreter's programs first, and no window for a picture to open."""
    programs = str(Path(sys.executable).parent)
    return os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "MPLBACKEND": "Agg"}


def run_python(document: Path, blocks: list[Block], directory: Path, address: str) -> int:
    """Run the python blocks as one program whose line numbers are those of the document."""
    program = ""
    for block in blocks:
        if block.language == "python" and block.is_run:
            program += "\n" * (block.line - 1 - program.count("\n")) + block.text
    if not program:
        return 0
    launch = "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'), {'__name__': '__main__'})"
    command = [sys.executable, "-W", "error", "-c", launch, document.name]
    text = ADDRESS.sub(address, program)
    return subprocess.run(command, input=text, text=True, cwd=directory, env=environment(), check=False).returncode


def run_consoles(document: Path, blocks: list[Block], directory: Path, address: str) -> int:
    for block in blocks:
        if block.language == "console" and block.is_run:
            script = "\n".join(shell_line(line) for line in block.text.splitlines() if line.startswith("$ "))
            command = ["sh", "-e", "-c", ADDRESS.sub(address, script)]
            code = subprocess.run(command, cwd=directory, env=environment(), check=False).returncode
            if code:
                sys.stderr.write(f"{document.name}:{block.line}: this console block ended with code {code}\n")
                return code
    return 0


def shell_line(line: str) -> str:
    """Return the command behind the prompt; make is only asked what it would do, and the daemon runs already."""
    command = line.removeprefix("$ ")
    if command.startswith("qubitd serve"):
        return ":"
    if command.startswith("make "):
        return f"make --dry-run need= --directory '{ROOT}' {command.removeprefix('make ')} >/dev/null"
    if command.startswith(CLIENTS) and "--server" not in command:
        return f"{command} --server localhost:50051"
    return command


if __name__ == "__main__":
    sys.exit(main())
