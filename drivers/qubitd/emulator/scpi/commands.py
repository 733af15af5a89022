"""An instrument's commands as a tree of mnemonics, each in its short or its long form, in any case (SCPI-99 volume 1,
section 6).

A pattern such as `SYSTem:ERRor[:NEXT]?` writes the short form in capitals; `#` stands for a number in the header,
brackets for nodes that may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.arguments import Argument

Piece = bytes | memoryview
Answer = str | bytes | list[Piece] | None
"""What a query sends back, without terminator; None from a command."""
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One command as its handler sees it."""

    numbers: tuple[int, ...]
    """Numbers in the header, in order."""
    arguments: tuple[Argument, ...]

    def argument(self, index: int) -> Argument:
        """Give the argument at an index; -109 if it is missing."""
        if index >= len(self.arguments):
            raise ScpiError(-109, f"argument {index + 1} is missing")
        return self.arguments[index]

    def expect(self, count: int) -> None:
        """Refuse too few or too many arguments."""
        if len(self.arguments) != count:
            raise ScpiError(
                -109 if len(self.arguments) < count else -108, f"{len(self.arguments)} arguments; expected {count}"
            )


Handler = Callable[[Call], Answer]
Mount = Callable[[int], "CommandTable"]


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    """By capitals, in short and in long form; a name that takes a number ends in #."""
    command: Handler | None = None
    query: Handler | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A header that was found."""

    handler: Handler
    numbers: tuple[int, ...]
    path: Path
    """The node in which the next unit of a compound message continues."""


class CommandTable:
    """Grows by `add`; `resolve` finds a header. Headers once found are remembered."""

    def __init__(self) -> None:
        self._root = _Node()
        self._mounts: dict[str, Mount] = {}
        self._found: dict[tuple[Path, str], Resolved] = {}

    def add(self, pattern: str, handler: Handler) -> None:
        """Add a command, or a query if the pattern ends in `?`."""
        is_query = pattern.endswith("?")
        for names in _variants(pattern.rstrip("?")):
            node = self._root
            for name in names:
                node = _child(node, name)
            if is_query:
                node.query = handler
            else:
                node.command = handler

    def mount(self, name: str, choose: Mount) -> None:
        """Let headers that start with `<name><n>:` continue in the table that `choose(n)` gives."""
        for form in _forms(name):
            self._mounts[form] = choose

    def resolve(self, header: str, path: Path = ()) -> Resolved:
        """Find a header, continuing in `path` unless it starts with a colon or an asterisk.

        Raises:
            ScpiError: -113, there is no such header.
        """
        known = self._found.get((path, header))
        if known is not None:
            return known
        found = self._find(header, path)
        if len(self._found) < 10_000:
            self._found[path, header] = found
        return found

    def _find(self, header: str, path: Path) -> Resolved:
        absolute = header.startswith((":", "*"))
        names = (() if absolute else path) + tuple(header.lstrip(":").rstrip("?").upper().split(":"))
        is_query = header.endswith("?")
        mount, number = self._mount(names)
        table = mount(number) if mount is not None else self
        node, numbers = table.walk(names[1:] if mount is not None else names, header)
        handler = node.query if is_query else node.command
        if handler is None:
            raise ScpiError(-113, header)
        return Resolved(handler, numbers, path if header.startswith("*") else names[:-1])

    def _mount(self, names: Path) -> tuple[Mount | None, int]:
        stem, number = _split_number(names[0])
        choose = self._mounts.get(f"{stem}#")
        return (choose, number) if choose is not None and number >= 0 else (None, 0)

    def walk(self, names: Path, header: str) -> tuple[_Node, tuple[int, ...]]:
        """Follow names down the tree; also gives the numbers met."""
        node = self._root
        numbers: list[int] = []
        for name in names:
            child = node.children.get(name)
            if child is None:
                stem, number = _split_number(name)
                child = node.children.get(f"{stem}#") if number >= 0 else None
                if child is None:
                    raise ScpiError(-113, header)
                numbers.append(number)
            node = child
        return node, tuple(numbers)


def _variants(pattern: str) -> list[list[str]]:
    """Spell out optional nodes: `A[:B]` is `A` and `A:B`."""
    match = re.search(r"\[([^]]*)\]", pattern)
    if match is None:
        return [[name for name in pattern.split(":") if name]]
    without = pattern[: match.start()] + pattern[match.end() :]
    with_it = pattern[: match.start()] + match[1] + pattern[match.end() :]
    return _variants(without) + _variants(with_it)


def _child(node: _Node, name: str) -> _Node:
    long, short = _forms(name)
    child = node.children.get(long) or node.children.get(short) or _Node()
    node.children[long] = node.children[short] = child
    return child


def _forms(name: str) -> tuple[str, str]:
    return name.upper(), re.sub(r"[a-z]", "", name)


def _split_number(name: str) -> tuple[str, int]:
    """Cut trailing digits off a mnemonic; -1 if there are none."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return stem, int(digits) if digits and len(digits) < 10 else -1
