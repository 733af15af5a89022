"""Reads one table of a TOML file key by key; whatever is wrong is noted with its dotted path, and reading goes on.

A key that nobody asked for is a problem too, so every reader ends with `close`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import cast

from qubitd.core.errors import Problem

_NAMES = {str: "text", float: "a number", int: "a whole number", list: "a list", dict: "a table", bool: "true or false"}


class Section:
    """A table under reading. Readers give None for what is missing or wrong, after noting it."""

    def __init__(self, values: Mapping[str, object], *, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self._values = values
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def refuse(self, key: str, what: str) -> None:
        """Note a problem with a key, or with the whole table if the key is empty."""
        self.problems.append(Problem(where=self.path_of(key), what=what))

    def path_of(self, key: str) -> str:
        """Give the dotted path of a key."""
        return ".".join(part for part in (self.path, key) if part)

    def raw(self, key: str) -> object:
        """Give a value as it stands; None if it is missing."""
        self._read.add(key)
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        """Give a text."""
        value = self._typed(key, str)
        return value if isinstance(value, str) else None

    def integer(self, key: str, *, least: int, most: int) -> int | None:
        """Give a whole number within limits."""
        value = self._typed(key, int)
        if not isinstance(value, int):
            return None
        if not least <= value <= most:
            self.refuse(key, f"is {value}; the limits are {least} to {most}")
            return None
        return value

    def flag(self, key: str) -> bool:
        """Give true or false; false if it is missing."""
        if key not in self:
            return False
        return self._typed(key, bool) is True

    def texts(self, key: str) -> list[str]:
        """Give a list of texts; empty if it is missing."""
        values = as_list(self._typed(key, list)) if key in self else []
        texts = [value for value in values or [] if isinstance(value, str)]
        if len(texts) == len(values or []):
            return texts
        self.refuse(key, "must hold texts only")
        return []

    def section(self, key: str) -> Section:
        """Give a table; an empty one if it is missing or wrong."""
        return Section(as_table(self._typed(key, dict)) or {}, path=self.path_of(key), problems=self.problems)

    def sections(self, key: str) -> list[Section]:
        """Give a list of tables; empty if it is missing or wrong."""
        found: list[Section] = []
        for i, value in enumerate(as_list(self._typed(key, list)) or []):
            table = as_table(value)
            if table is not None:
                found.append(Section(table, path=f"{self.path_of(key)}[{i}]", problems=self.problems))
            else:
                self.refuse(f"{key}[{i}]", f"must be a table such as {{ gate = ... }}, not {value!r}")
        return found

    def without(self, key: str) -> Section:
        """Give the same table without a key that has been read."""
        rest = {name: value for name, value in self._values.items() if name != key}
        return Section(rest, path=self.path, problems=self.problems)

    def close(self) -> None:
        """Note every key that was not asked for."""
        for key in self._values:
            if key not in self._read:
                known = ", ".join(sorted(self._read)) or "none"
                self.refuse(key, f"unknown key; known here are {known}")

    def _typed(self, key: str, kind: type) -> object:
        value = self.raw(key)
        if value is None:
            self.refuse(key, f"is missing; it must be {_NAMES[kind]}")
            return None
        if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
            self.refuse(key, f"must be {_NAMES[kind]}, not {value!r}")
            return None
        return value


def as_list(value: object) -> list[object] | None:
    """Give a TOML list; None if it is none."""
    return cast("list[object]", value) if isinstance(value, list) else None


def as_table(value: object) -> dict[str, object] | None:
    """Give a TOML table; None if it is none."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def finite_number(value: object) -> float | None:
    """Give a TOML value as a finite float; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
