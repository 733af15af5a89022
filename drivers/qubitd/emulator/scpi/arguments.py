"""Program data of one command: text as on the wire, read as what the command expects (IEEE 488.2 section 7.7)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.reader import BLOCK_MARK

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)")
_BOOLEANS = {"ON": True, "1": True, "OFF": False, "0": False}


@dataclass(frozen=True, slots=True)
class Argument:
    """One datum."""

    text: str
    """Trimmed; `BLOCK_MARK` if it is a block."""
    block: bytearray | None = None

    def real(self, low: float, high: float, units: dict[str, float] | None = None) -> float:
        """Read a number with an optional unit, a key of `units` in capitals, within limits."""
        match = _NUMBER.fullmatch(self.text)
        if match is None:
            raise ScpiError(
                -104 if self.text.startswith(('"', "'", BLOCK_MARK)) else -120, f"{self._shown()} is no number"
            )
        factor = 1.0
        if match[2]:
            if match[2].upper() not in (units or {}):
                raise ScpiError(-131, f"{match[2]} is no unit here")
            factor = (units or {})[match[2].upper()]
        value = float(match[1]) * factor
        if not (math.isfinite(value) and low <= value <= high):
            raise ScpiError(-222, f"{self.text} is outside {low:.12g} to {high:.12g}")
        return value

    def integer(self, low: int, high: int) -> int:
        """Read a whole number within limits; other numbers are rounded, as IEEE 488.2 asks."""
        return round(self.real(low, high))

    def boolean(self) -> bool:
        """Read ON, OFF, 1 or 0."""
        try:
            return _BOOLEANS[self.text.upper()]
        except KeyError:
            raise ScpiError(-224, f"{self._shown()} is none of ON, OFF, 1, 0") from None

    def string(self) -> str:
        """Read quoted text; a doubled quote inside stands for one."""
        quote = self.text[:1]
        if quote not in ('"', "'") or len(self.text) < 2 or not self.text.endswith(quote):
            raise ScpiError(-151, f"{self._shown()} is no quoted string")
        return self.text[1:-1].replace(quote * 2, quote)

    def data(self) -> bytearray:
        """Read a block."""
        if self.block is None:
            raise ScpiError(-161, f"expected a definite-length block, got {self._shown()}")
        return self.block

    def _shown(self) -> str:
        return "a block" if self.block is not None else self.text[:40] or "nothing"


def split_units(text: str) -> list[str]:
    """Cut a message into its units at the semicolons outside strings."""
    return _split(text, ";")


def split_arguments(text: str, blocks: list[bytearray]) -> tuple[Argument, ...]:
    """Cut a unit's data at the commas outside strings; blocks are taken off the front of `blocks`."""
    if not text:
        return ()
    return tuple(_argument(part.strip(), blocks) for part in _split(text, ","))


def _argument(text: str, blocks: list[bytearray]) -> Argument:
    if BLOCK_MARK not in text:
        return Argument(text)
    if text != BLOCK_MARK or not blocks:
        raise ScpiError(-161, "a block must stand alone between separators")
    return Argument(text, blocks.pop(0))


def _split(text: str, separator: str) -> list[str]:
    if '"' not in text and "'" not in text:
        return text.split(separator)
    parts = [""]
    quote = ""
    for character in text:
        if character == separator and not quote:
            parts.append("")
            continue
        parts[-1] += character
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
    return parts
