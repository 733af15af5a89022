"""The text of many events, as columns of words of four bytes that are filled up with NUL, which is dropped at the end.

Most events are alike: a phase, an instruction, a waiting time. What few of them have beside that is kept by event.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words: TypeAlias = list[NDArray[np.uint32]]
"""Columns of a text for each of some events, shape (events,), or () if it is the same for all."""

_NOTHING = b"\0"
_TOGETHER = 1024
"""Events whose text is put together at once: it stays in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventTexts:
    """What each event writes: its settings, its instruction up to the waiting time, and this with what follows."""

    lines: NDArray[np.uint32]
    """Shape (events, words)."""
    first_of_instruction: int
    """Of the words."""
    first_of_wait: int
    more_settings: dict[int, str] = field(default_factory=dict[int, str])
    """By event, in front of those in its words."""
    own_instruction: dict[int, str] = field(default_factory=dict[int, str])
    """By event, in place of that in its words, as is the next."""
    own_wait: dict[int, str] = field(default_factory=dict[int, str])

    @classmethod
    def of(
        cls,
        settings: Sequence[Sequence[tuple[Words, Ints]]],
        instruction: Words,
        wait: Words,
        *,
        following: tuple[Words, Ints] | None = None,
        count: int,
    ) -> EventTexts:
        """Lay out the texts of so many events.

        Args:
            settings: one behind another, each as texts of which an event has one at most, with the events that have it.
            instruction: of each event.
            wait: of each event.
            following: what stands behind the waits of some events, with these events.
            count: of events.
        """
        widths = [max((len(words) for words, _ in setting), default=0) for setting in settings]
        first_of_instruction = sum(widths)
        first_of_wait = first_of_instruction + len(instruction)
        behind, events_before = following or ([], np.zeros(0, dtype=np.int64))
        first_behind = first_of_wait + len(wait)
        lines = np.zeros((count, first_behind + len(behind)), dtype=np.uint32)
        for begin, setting in zip(itertools.accumulate(widths, initial=0), settings, strict=False):
            for words, events in setting:
                for place, column in enumerate(words, start=begin):
                    lines[events, place] = column
        for place, column in enumerate((*instruction, *wait), start=first_of_instruction):
            lines[:, place] = column
        for place, column in enumerate(behind, start=first_behind):
            lines[events_before, place] = column
        return cls(lines=lines, first_of_instruction=first_of_instruction, first_of_wait=first_of_wait)

    def instruction_of(self, event: int) -> str:
        """Give the instruction of one event."""
        own = self.own_instruction.get(event)
        words = self.lines[event, self.first_of_instruction : self.first_of_wait]
        return _plain(words).decode("ascii") if own is None else own

    def wait_of(self, event: int) -> str:
        """Give the waiting time of one event, and what follows it."""
        own = self.own_wait.get(event)
        return _plain(self.lines[event, self.first_of_wait :]).decode("ascii") if own is None else own

    def add_settings(self, event: int, text: str) -> None:
        """Add to the settings that one event has beside those in its words."""
        self.more_settings[event] = self.more_settings.get(event, "") + text

    def joined(self) -> str:
        """Put everything behind each other."""
        return b"".join(self._pieces()).decode("ascii")

    def _pieces(self) -> Iterator[bytes]:
        done = 0
        for event in sorted({*self.more_settings, *self.own_instruction, *self.own_wait}):
            yield from self._plain_lines(done, event)
            own = f"{self.instruction_of(event)}{self.wait_of(event)}"
            yield self.more_settings.get(event, "").encode("ascii")
            yield _plain(self.lines[event, : self.first_of_instruction])
            yield own.encode("ascii")
            done = event + 1
        yield from self._plain_lines(done, len(self.lines))

    def _plain_lines(self, first: int, stop: int) -> Iterator[bytes]:
        for begin in range(first, stop, _TOGETHER):
            yield _plain(self.lines[begin : min(begin + _TOGETHER, stop)])


def numbers(values: Ints, *, front: str = "") -> Words:
    """Spell numbers of 0 to 2^32 - 1, each behind a text and in front of a line's end."""
    found: Words = []
    rest, table = values.astype(np.uint32), _LAST
    while True:
        thousands = rest // 1000
        digits = rest - thousands * 1000
        digits += (thousands == 0) * np.uint32(1000)
        found.insert(0, table.take(digits.astype(np.intp)))
        rest, table = thousands, _INNER
        if not rest.any():
            return [*_words(front), *found]


def same(text: str) -> Words:
    """Spell one text, which each event has."""
    return list(_words(text))


def spelled(values: Ints, spell: Callable[[int], str]) -> Words:
    """Spell whatever numbers stand for, each distinct one once."""
    distinct, index = np.unique(values, return_inverse=True)
    return chosen([spell(value) for value in distinct.tolist()], index)


def chosen(texts: Sequence[str], index: Ints) -> Words:
    """Give some of a few texts, at least one."""
    return [column.take(index) for column in _table_of(tuple(texts))]


def _plain(words: NDArray[np.uint32]) -> bytes:
    return words.tobytes().translate(None, _NOTHING)


@functools.lru_cache(maxsize=64)
def _table_of(texts: tuple[str, ...]) -> NDArray[np.uint32]:
    """Spell texts, shape (words, texts); line after line has the same."""
    width = max(map(len, texts))
    return np.stack([_words(text.ljust(width, "\0")) for text in texts], axis=1)


def _words(text: str) -> NDArray[np.uint32]:
    content = text.encode("ascii")
    return np.frombuffer(content.ljust(-(-len(content) // 4) * 4, _NOTHING), dtype=np.uint32)


def _three_digits(*, zero: str, back: str) -> NDArray[np.uint32]:
    """Spell 0 to 999 as a word each: with three digits, and then with nothing in front of them, where 0 is `zero`."""
    inside = [f"{number:03}" for number in range(1000)]
    in_front = [zero, *map(str, range(1, 1000))]
    return np.concatenate([_words((text + back).ljust(4, "\0")) for text in (*inside, *in_front)])


_INNER, _LAST = _three_digits(zero="", back=""), _three_digits(zero="0", back="\n")
