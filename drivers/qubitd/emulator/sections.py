"""Read a TOML document strictly: every key is asked for with its type and limits, any other key is a problem.

Problems are collected, each with its dotted path, so that one reading reports them all; a refused value reads as a
harmless stand-in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from qubitd.core.errors import Problem


@dataclass(slots=True)
class Section:
    """One table of the document."""

    content: Mapping[str, object]
    path: str
    """Dotted path of the table; empty for the document itself."""
    problems: list[Problem]
    """Shared by all sections of one document."""
    _asked: set[str] = field(default_factory=set[str])

    def where(self, key: str) -> str:
        """Give a key's dotted path."""
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, what: str) -> None:
        """Note that a key is wrong."""
        self.problems.append(Problem(where=self.where(key), what=what))

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def number(
        self,
        key: str,
        *,
        unit: str,
        above: float = -math.inf,
        below: float = math.inf,
        least: float = -math.inf,
        most: float = math.inf,
        default: float | None = None,
    ) -> float:
        """Read a finite number within limits; without a default it is required."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            if value is not None:
                self.refuse(key, f"must be a number in {unit or 'no unit'}, is {value!r}")
            return math.nan
        if math.isfinite(value) and above < value < below and least <= value <= most:
            return float(value)
        self.refuse(key, f"must be {_limits(above, below, least, most)} {unit}".rstrip() + f", is {value:g}")
        return math.nan

    def text(self, key: str) -> str:
        """Read a required string."""
        value = self._value(key, None)
        if isinstance(value, str):
            return value
        if value is not None:
            self.refuse(key, f"must be text, is {value!r}")
        return ""

    def section(self, key: str) -> Section:
        """Read a required table."""
        value = self._value(key, None)
        if isinstance(value, dict):
            return Section(value, self.where(key), self.problems)
        if value is not None:
            self.refuse(key, f"must be a table, is {value!r}")
        return Section({}, self.where(key), [])

    def entries(self) -> list[tuple[str, Section]]:
        """Read every key of this table as a table of its own."""
        return [(key, self.section(key)) for key in self.content]

    def rows(self, key: str) -> list[Section]:
        """Read a required array of tables."""
        value = self._value(key, None)
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            return [Section(row, f"{self.where(key)}[{i}]", self.problems) for i, row in enumerate(value)]
        if value is not None:
            self.refuse(key, f"must be an array of tables, is {value!r}")
        return []

    def names(self) -> list[str]:
        """Give the keys of this table, in order."""
        return list(self.content)

    def close(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self.content:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked)) or "none"
                self.refuse(key, f"is not a known key; known here: {known}")

    def _value(self, key: str, default: object) -> object:
        self._asked.add(key)
        if key not in self.content and default is None:
            self.refuse(key, "is missing")
        return self.content.get(key, default)


def _limits(above: float, below: float, least: float, most: float) -> str:
    limits = [
        f"{word} {limit:g}"
        for word, limit in (("at least", least), ("above", above), ("below", below), ("at most", most))
        if math.isfinite(limit)
    ]
    return " and ".join(["finite", *limits])
