"""A measured number as people write it: digits down to its uncertainty, a prefix before its unit."""

from __future__ import annotations

import math

_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def written(value: float, unit: str, stderr: float | None = None) -> str:
    """Write `28.31(57) µs` or, for a fraction, `0.22130(41)`; without a standard error four digits."""
    scale = _scale(value) if unit else 0
    end = f" {_PREFIXES[scale]}{unit}" if unit else ""
    scaled = value / 10.0**scale
    if stderr is None or not 0 < stderr < math.inf:
        return f"{scaled:.4g}{end}"
    digits = max(0, 1 - math.floor(math.log10(stderr / 10.0**scale)))
    uncertainty = round(stderr / 10.0**scale * 10**digits)
    return f"{scaled:.{digits}f}({uncertainty}){end}"


def prefixed(value: float, unit: str) -> tuple[float, str]:
    """Give what to divide by, and the unit with its prefix, so that numbers up to this value are easy to read."""
    scale = _scale(value) if unit else 0
    return 10.0**scale, f"{_PREFIXES[scale]}{unit}"


def _scale(value: float) -> int:
    if value == 0 or not math.isfinite(value):
        return 0
    return min(9, max(-12, 3 * math.floor(math.log10(abs(value)) / 3)))
