"""Remember what was computed for equal inputs, up to a number of entries; what was asked for longest ago is forgotten
first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_MISSING: Final[Any] = object()


class Key:
    """Something to look up by again and again: its hash is worked out once."""

    __slots__ = ("_hash", "_of")

    def __init__(self, of: Hashable) -> None:
        self._of = of
        self._hash = hash(of)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Key) and self._hash == other._hash and self._of == other._of)

    def __hash__(self) -> int:
        return self._hash


class Cache(Generic[K, V]):
    """A key must hold everything that went into its value. Threads may share it; both may make a value at once."""

    def __init__(self, limit: int) -> None:
        """Remember at most `limit` values."""
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V], *, is_kept: Callable[[V], bool] | None = None) -> V:
        """Give the value of a key, made if it is not there; `is_kept` says whether that is worth its memory."""
        kept = self.find(key, _MISSING)
        if kept is not _MISSING:
            return cast("V", kept)
        value = make()
        if is_kept is None or is_kept(value):
            with self._lock:
                if key not in self._values and len(self._values) >= self._limit:
                    self._values.popitem(last=False)
                self._values[key] = value
        return value

    def find(self, key: K, default: Any = None) -> Any:
        """Give the value of a key if it is there."""
        with self._lock:
            kept = self._values.get(key, _MISSING)
            if kept is _MISSING:
                return default
            self._values.move_to_end(key)
            return kept

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
