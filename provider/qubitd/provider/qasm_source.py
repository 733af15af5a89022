"""The text of a circuit file, with and without comments, and errors that name its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from qubitd.core.errors import Problem
from qubitd.provider.errors import CircuitFileError

_COMMENT_OR_STRING = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"[^\"\n]*\"", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class QasmSource:
    """A circuit file."""

    where: str
    """Its path, for errors."""
    text: str
    code: str = field(init=False)
    """The text with blanks for comments, so that every character keeps its line."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _COMMENT_OR_STRING.sub(_blank, self.text))

    def line_of(self, match: re.Match[str]) -> int:
        """Give the line, counting from 1, on which something that was found in the text begins."""
        begin = match.start() + len(match.group()) - len(match.group().lstrip())
        return self.text.count("\n", 0, begin) + 1


def refused(source: QasmSource | str, line: int | None, what: str) -> CircuitFileError:
    """Give the error for one problem of a file."""
    where = source if isinstance(source, str) else source.where
    return CircuitFileError([Problem(where=where if line is None else f"{where}, line {line}", what=what)])


def _blank(match: re.Match[str]) -> str:
    found = match.group()
    return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)
