"""Which parameter a misspelt name may have meant. A backend may have thousands: comparing with each takes seconds."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from difflib import get_close_matches

MOST_COMPARED = 500
"""Names that one is compared with."""


def near_parameters(name: str, known: Collection[str]) -> list[str]:
    """Give up to three names that are like one that is unknown, of the same qubit or with the same ending."""
    owner, _, ending = name.partition(".")
    of_owner = (other for other in known if other.startswith(f"{owner}."))
    so_ending = (other for other in known if other.endswith(f".{ending}"))
    alike = dict.fromkeys(itertools.chain(of_owner, so_ending))
    return get_close_matches(name, list(itertools.islice(alike, MOST_COMPARED)))
