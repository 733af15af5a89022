"""A list whose entries have a name on the wire and an index in programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from qubitd.emulator.errors import ScpiError

ALL = "all"
"""Name that stands for every entry where entries are deleted."""


Entry = TypeVar("Entry")


class NamedList(Generic[Entry]):
    """Entries in order of creation; indices are unique and below a limit."""

    def __init__(self, *, indices: int) -> None:
        self._indices = indices
        self._entries: dict[str, Entry] = {}
        self._index: dict[str, int] = {}
        self.version = 0
        """Another one after each change."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def rows(self) -> list[tuple[str, int, Entry]]:
        """Give names, indices and entries."""
        return [(name, self._index[name], entry) for name, entry in self._entries.items()]

    def new(self, name: str, make: Callable[[], Entry]) -> None:
        """Create an entry with the lowest free index."""
        if name in self._entries:
            raise ScpiError(-221, f"there is a {name!r} already")
        taken = set(self._index.values())
        index = next((i for i in range(self._indices) if i not in taken), None)
        if index is None:
            raise ScpiError(-225, f"all {self._indices} indices are taken")
        self._entries[name], self._index[name] = make(), index
        self.version += 1

    def get(self, name: str) -> Entry:
        """Find an entry by its name."""
        try:
            return self._entries[name]
        except KeyError:
            raise ScpiError(-220, f"there is no {name!r}") from None

    def index_of(self, name: str) -> int:
        """Give an entry's index."""
        self.get(name)
        return self._index[name]

    def name_at(self, index: int) -> str:
        """Find an entry's name by its index."""
        for name, own in self._index.items():
            if own == index:
                return name
        raise ScpiError(-220, f"there is nothing at index {index}")

    def set_index(self, name: str, index: int) -> None:
        """Give an entry an index; an entry that has it is moved to the one that becomes free."""
        free = self.index_of(name)
        if not 0 <= index < self._indices:
            raise ScpiError(-222, f"index {index} is outside 0 to {self._indices - 1}")
        for holder, own in self._index.items():
            if own == index:
                self._index[holder] = free
        self._index[name] = index
        self.version += 1

    def by_index(self) -> dict[int, Entry]:
        """Give the entries by index, as they are now."""
        return {self._index[name]: entry for name, entry in self._entries.items()}

    def put(self, name: str, entry: Entry) -> None:
        """Put another entry in the place of one."""
        self.get(name)
        self._entries[name] = entry
        self.version += 1

    def replace(self, other: Callable[[Entry], Entry]) -> None:
        """Put another entry in the place of each."""
        self._entries = {name: other(entry) for name, entry in self._entries.items()}
        self.version += 1

    def delete(self, name: str) -> None:
        """Remove an entry, or all of them."""
        if name.lower() == ALL:
            self._entries.clear()
            self._index.clear()
        else:
            self.get(name)
            del self._entries[name], self._index[name]
        self.version += 1

    def chosen(self, name: str) -> list[Entry]:
        """Give the entry of a name, or all of them."""
        return list(self) if name.lower() == ALL else [self.get(name)]
