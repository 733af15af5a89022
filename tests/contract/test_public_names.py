"""What users import stays as it is: names and signatures, compared with a list that is renewed only on purpose."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

RECORD = Path(__file__).with_name("public_names.txt")
MODULES = ["qubitd.client", "qubitd.provider"]


def lines() -> Iterator[str]:
    for name in MODULES:
        module = importlib.import_module(name)
        for public in sorted(module.__all__):
            yield from described(f"{name}.{public}", getattr(module, public))


def described(name: str, thing: object) -> Iterator[str]:
    """Tell one name's signature, and those of the methods and properties that our class itself defines."""
    if not inspect.isclass(thing) or issubclass(thing, Exception):
        yield name
        return
    yield f"{name}{inspect.signature(thing)}"
    for key, member in sorted(vars(thing).items()):
        if key.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"{name}.{key}"
        elif isinstance(member, FunctionType):
            yield f"{name}.{key}{inspect.signature(member)}"


def test_public_names_and_signatures_are_the_recorded_ones(*, update: bool) -> None:
    found = "\n".join(lines()) + "\n"
    if update:
        RECORD.write_text(found, encoding="utf-8")
    assert found == RECORD.read_text(encoding="utf-8")
