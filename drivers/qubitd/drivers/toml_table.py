"""Read a TOML table key by key and note every fault with its dotted path; a key that nobody read is a fault, too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from qubitd.core.errors import Problem

Value = object


class TomlTable:
    """One table of a file. Reading never raises: a fault goes into `problems`, which all tables of the file share."""

    def __init__(self, values: Mapping[str, Value], *, path: str, problems: list[Problem]) -> None:
        self._values = values
        self._path = path
        self._problems = problems
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def where(self, key: str) -> str:
        """Give the dotted path of a key."""
        shown = f'"{key}"' if "." in key else key
        return f"{self._path}.{shown}" if self._path else shown

    def fault(self, key: str, what: str) -> None:
        """Note a fault at a key."""
        self._problems.append(Problem(where=self.where(key), what=what))

    def text(self, key: str, *, default: str | None = None) -> str:
        """Read a string; "" where it is at fault."""
        value = self._take(key, default)
        if isinstance(value, str):
            return value
        if value is not None:
            self.fault(key, f"{value!r} is no string")
        return ""

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """Read one of several strings; the first of them where it is at fault."""
        value = self.text(key)
        if value in allowed:
            return value
        if value:
            self.fault(key, f"{value!r} is unknown; known are {', '.join(allowed)}")
        return allowed[0]

    def number(self, key: str, *, least: float, most: float, default: float | None = None) -> float:
        """Read a number within bounds; `least` where it is at fault."""
        value = self._take(key, default)
        if value is None:
            return least
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fault(key, f"{value!r} is no finite number")
            return least
        if not least <= value <= most:
            self.fault(key, f"{value:.12g} is outside {least:g} to {most:g}")
            return least
        return float(value)

    def integer(self, key: str, *, least: int, most: int) -> int:
        """Read a whole number within bounds; `least` where it is at fault."""
        value = self.number(key, least=least, most=most)
        if value != int(value):
            self.fault(key, f"{value:.12g} is no whole number")
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false; the default where it is at fault."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.fault(key, f"{value!r} is neither true nor false")
            return default
        return value

    def know(self, *keys: str) -> None:
        """Take keys as known, whether or not they were read."""
        self._read.update(keys)

    def table(self, key: str, *, optional: bool = False) -> TomlTable:
        """Read a table; an empty one where it is at fault or left out."""
        value = self._take(key, {} if optional else None)
        if value is not None and not isinstance(value, Mapping):
            self.fault(key, "is no table")
        inner = value if isinstance(value, Mapping) else {}
        return TomlTable(inner, path=self.where(key), problems=self._problems)

    def tables(self) -> Iterator[tuple[str, TomlTable]]:
        """Read every key as a table, in the order of the file."""
        for key in self._values:
            yield key, self.table(key)

    def numbers(self, *, least: float, most: float) -> dict[str, float]:
        """Read every key as a number within bounds."""
        return {key: self.number(key, least=least, most=most) for key in self._values}

    def finish(self) -> None:
        """Note a fault at every key that was not read."""
        for key in self._values:
            if key not in self._read:
                self.fault(key, f"unknown key; known here are {', '.join(sorted(self._read)) or 'none'}")

    def _take(self, key: str, default: Value) -> Value:
        self._read.add(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            self.fault(key, "is missing")
        return default
