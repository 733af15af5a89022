"""Tables kept as one array of whole numbers per column, all of the same length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.latches import Column


class _IsDataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class Columns(_IsDataclass):
    """Base of tables; a subclass is a dataclass whose fields are its columns."""

    __slots__ = ()

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Give some of the rows."""
        return self.map(lambda column: column[chosen])

    def map(self, change: Callable[[Column], Column]) -> Self:
        """Change every column alike."""
        return type(self)(**{name: change(getattr(self, name)) for name in self.__dataclass_fields__})


Table = TypeVar("Table", bound=Columns)


def stacked(kind: type[Table], parts: Sequence[Table]) -> Table:
    """Put tables one below the other."""
    names = [field.name for field in fields(kind)]
    return kind(**{name: np.concatenate([_NONE, *(getattr(part, name) for part in parts)]) for name in names})


_NONE = np.zeros(0, dtype=np.int64)
