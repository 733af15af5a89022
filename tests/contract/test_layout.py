"""The house rules that no linter knows: the namespace, names of modules, and how long things may get."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ["core", "proto", "drivers", "server", "calibration", "provider"]
PORTIONS = [ROOT / root / "qubitd" for root in ROOTS]
PACKAGES = [path for portion in PORTIONS for path in portion.iterdir() if path.is_dir() and path.name != "__pycache__"]
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
LINES_OF_A_FILE = 600
LINES_OF_A_FUNCTION = 60


def sources() -> Iterator[Path]:
    """Give our files: not those of an environment, such as the one that a benchmark fills with other compilers."""
    folders = [*PORTIONS, ROOT / "tests", ROOT / "tools", ROOT / "examples", ROOT / "bench"]
    for folder in folders:
        for path in folder.rglob("*.py"):
            is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if not is_hidden and not path.stem.endswith(("_pb2", "_pb2_grpc")):
                yield path


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("portion", PORTIONS, ids=named)
def test_namespace_portion_has_no_init_and_nothing_but_packages(portion: Path) -> None:
    assert [path.name for path in portion.iterdir() if not path.is_dir()] == []


@pytest.mark.parametrize("package", PACKAGES, ids=named)
def test_package_is_typed_and_has_an_init(package: Path) -> None:
    assert (package / "__init__.py").exists()
    assert (package / "py.typed").exists()


def test_no_package_is_in_two_portions() -> None:
    assert [name for name, count in Counter(path.name for path in PACKAGES).items() if count > 1] == []


def test_no_module_has_a_vague_name() -> None:
    assert [named(path) for path in sources() if path.stem in VAGUE or path.parent.name in VAGUE] == []


def test_test_folders_have_no_init_and_their_files_unique_names() -> None:
    files = list((ROOT / "tests").rglob("*.py"))
    assert [named(path) for path in files if path.name == "__init__.py"] == []
    count = Counter(path.name for path in files if path.name != "conftest.py")
    assert [name for name, times in count.items() if times > 1] == []


def test_no_file_is_too_long() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FILE} == {}


def test_no_function_is_too_long() -> None:
    lengths = {f"{named(path)}: {node.name}": length for path in sources() for node, length in functions(path)}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FUNCTION} == {}


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, (node.end_lineno or node.lineno) - node.lineno + 1
