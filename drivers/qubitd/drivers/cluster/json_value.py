"""JSON that an instrument keeps for us: read, changed in part, written back, compared."""

from __future__ import annotations

import json
import math
from typing import Any


class JsonValue:
    """An immutable JSON value. Two are equal if their numbers agree within an instrument's rounding."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    @classmethod
    def decode(cls, text: str | bytes) -> JsonValue:
        """Read what an instrument sent.

        Raises:
            ValueError: it is no JSON.
        """
        return cls(json.loads(text))

    def encode(self) -> bytes:
        """Give it as it is sent."""
        return json.dumps(self._value).encode("ascii")

    def changed(self, part: Any) -> JsonValue:
        """Give the value with some of it changed: objects key by key, lists of objects one by one, all else replaced.

        Gives itself if nothing would change.

        Raises:
            ValueError: the value lacks what is to be changed.
        """
        return self if _holds(self._value, part) else JsonValue(_merged(self._value, part))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonValue) and (self is other or _is_equal(self._value, other._value))

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.encode().decode("ascii")


def _holds(value: Any, part: Any) -> bool:
    """Whether the part is there already; whatever lacks it altogether does not hold it."""
    match value, part:
        case dict(), dict():
            return all(key in value and _holds(value[key], part[key]) for key in part)
        case list(), [dict(), *_]:
            return len(value) >= len(part) and all(map(_holds, value, part))
        case _:
            return _is_equal(value, part)


def _merged(value: Any, part: Any) -> Any:
    match part:
        case dict():
            if not isinstance(value, dict) or not value.keys() >= part.keys():
                raise ValueError(f"JSON of unknown form: {str(value)[:60]} lacks some of {', '.join(part)}")
            return {key: _merged(old, part[key]) if key in part else old for key, old in value.items()}
        case [dict(), *_]:
            if not isinstance(value, list) or len(value) < len(part):
                raise ValueError(f"JSON of unknown form: {str(value)[:60]} is no list of {len(part)} objects")
            return [*map(_merged, value, part), *value[len(part) :]]
        case _:
            return part


def _is_equal(one: Any, other: Any) -> bool:
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(_is_equal, one, other))
        case ((int() | float()), (int() | float())):
            return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        case _:
            return bool(one == other)
