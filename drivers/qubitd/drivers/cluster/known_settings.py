"""What the Cluster is set to: adopted at connection, changed where a run needs it, read back after the run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from qubitd.drivers.cluster.conversation import ClusterConversation
from qubitd.drivers.cluster.json_value import JsonValue
from qubitd.drivers.cluster.settings import Setting
from qubitd.drivers.errors import InstrumentChangedError, MalformedAnswerError
from qubitd.drivers.visa.link import Asked

T = TypeVar("T")


class KnownSettings:
    """The settings of one Cluster by header."""

    def __init__(self, conversation: ClusterConversation) -> None:
        self._conversation = conversation
        self._known: dict[str, Setting] = {}
        self.version = 0
        """Another one after each change of what is known."""
        self._read_before: dict[str, tuple[str | bytes, JsonValue]] = {}
        """JSON as it came last, and what it says."""
        self._found: tuple[list[str | bytes], dict[str, Setting]] = ([], {})
        """Settings as they came last, and what they say."""
        self._confirmed: tuple[int, Mapping[str, Setting]] = (0, {})
        """Version of what is known, and what was found to be the same."""
        self._fulfilled: dict[str, tuple[Setting, Mapping[str, object]]] = {}
        """Changes that would change nothing in a setting."""

    def adopt(self, *, numbers: Iterable[str], values: Iterable[str]) -> None:
        """Read settings; nothing changes."""
        self._known |= self._read(list(numbers), list(values))[1]
        self.version += 1

    def changed(self, header: str, changes: Mapping[str, object]) -> JsonValue:
        """Give a JSON setting as it would be with changes.

        Raises:
            MalformedAnswerError: what was read is not of the form that could be changed so.
        """
        known = self._known.get(header)
        value = known if isinstance(known, JsonValue) else JsonValue(known)
        before, fulfilled = self._fulfilled.get(header, (None, None))
        if before is value and (fulfilled is changes or fulfilled == changes):
            return value
        try:
            changed = value.changed(changes)
        except ValueError as error:
            raise MalformedAnswerError(resource=self._conversation.link.resource, what=f"{header}: {error}") from error
        if changed is value:
            self._fulfilled[header] = (value, changes)
        return changed

    def missing(self, wanted: Mapping[str, Setting]) -> Mapping[str, Setting]:
        """Give those of the settings that are not known to be so already."""
        known = self._known
        return {
            header: value
            for header, value in wanted.items()
            if (held := known.get(header)) is not value and not _is_same(held, value)
        }

    def write(self, changes: Mapping[str, Setting]) -> None:
        """Write settings. The error check at the end of the batch is the caller's."""
        link = self._conversation.link
        for header, value in changes.items():
            if isinstance(value, JsonValue):
                link.write_block(header, value.encode())
            else:
                link.write(f"{header} {value:.0f}")
        if changes:
            self._known |= changes
            self.version += 1

    def verify(self, headers: Iterable[str]) -> None:
        """Read settings back.

        Raises:
            InstrumentChangedError: some are not what they were set to.
        """
        self.confirm(self.read_back(headers)[1])

    def read_back(
        self, headers: Iterable[str], *, commands: Sequence[str] = (), after: Sequence[Asked[T]] = ()
    ) -> tuple[list[T], dict[str, Setting]]:
        """Read settings for `confirm`, after commands and other questions, in one go with them."""
        known = {header: self._known[header] for header in headers}
        numbers = [header for header, value in known.items() if not isinstance(value, JsonValue)]
        values = [header for header, value in known.items() if isinstance(value, JsonValue)]
        return self._read(numbers, values, commands=commands, after=after)

    def confirm(self, found: Mapping[str, Setting]) -> None:
        """Hold what was read back against what is known.

        Raises:
            InstrumentChangedError: some settings are not what they were set to.
        """
        if self._confirmed[0] == self.version and self._confirmed[1] is found:
            return
        changed = self.missing(found)
        self._known |= found
        self._confirmed = self.version, found
        if changed:
            self.version += 1
            words = "; ".join(f"{header} is {_short(value)}" for header, value in changed.items())
            raise InstrumentChangedError(
                resource=self._conversation.link.resource,
                what=f"{words}, which is not what was set: somebody else controls it, or it restarted",
            )

    def _read(
        self,
        numbers: list[str],
        values: list[str],
        *,
        commands: Sequence[str] = (),
        after: Sequence[Asked[T]] = (),
    ) -> tuple[list[T], dict[str, Setting]]:
        first, texts = self._conversation.settings(numbers, values, commands=commands, after=after)
        if texts is not self._found[0]:
            self._found = texts, self._said(numbers, values, texts)
        return first, self._found[1]

    def _said(self, numbers: list[str], values: list[str], texts: list[str | bytes]) -> dict[str, Setting]:
        found: dict[str, Setting] = {}
        for header, text in zip(numbers, texts, strict=False):
            found[header] = self._conversation.number(text)
        for header, text in zip(values, texts[len(numbers) :], strict=True):
            if self._read_before.get(header, (None, None))[0] != text:
                self._read_before[header] = (text, self._conversation.value(text))
            found[header] = self._read_before[header][1]
        return found


def _is_same(one: Setting | None, other: Setting) -> bool:
    if isinstance(one, JsonValue) or isinstance(other, JsonValue) or one is None:
        return one == other
    return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)


def _short(value: Setting) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)[:60]
