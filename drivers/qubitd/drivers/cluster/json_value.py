"""JSON that an instrument keeps for us: read, changed in part, written back, compared."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import Any


class JsonValue:
    """An immutable JSON value. Two are equal if their numbers agree within an instrument's rounding."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    @classmethod
    def decode(cls, text: bytes) -> JsonValue:
        """Read what an instrument sent.

        Raises:
            ValueError: it is no JSON.
        """
        return cls(json.loads(text))

    def encode(self) -> bytes:
        """Give it as it is sent."""
        return json.dumps(self._value).encode("ascii")

    def copy(self) -> Any:
        """Give the plain value, to change."""
        return deepcopy(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonValue) and _is_equal(self._value, other._value)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.encode().decode("ascii")


def _is_equal(one: object, other: object) -> bool:
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(_is_equal, one, other))
        case ((int() | float()), (int() | float())):
            return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        case _:
            return one == other
