"""Which parameter a misspelt name may have meant. A backend may have thousands: comparing with each takes seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from itertools import islice

MOST_COMPARED = 500
"""Names that one is compared with: of those it has a part in common with, and of all if it is like none of them."""


def near_parameters(name: str, known: Collection[str]) -> list[str]:
    """Give up to three names that are like one that is unknown, of the same qubit or with the same ending first."""
    owner, _, ending = name.partition(".")
    of_owner = [other for other in known if other.startswith(f"{owner}.")]
    so_ending = [other for other in known if other.endswith(f".{ending}")]
    return _near(name, dict.fromkeys((*of_owner, *so_ending))) or _near(name, known)


def _near(name: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(name, list(islice(known, MOST_COMPARED)))
