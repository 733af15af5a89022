"""Problems of an input as the text that a row holds."""

from __future__ import annotations

import json
from collections.abc import Sequence

from qubitd.core.errors import Problem


def problems_text(problems: Sequence[Problem]) -> str:
    """Write problems as the text that a row holds."""
    return json.dumps([[p.where, p.what, p.circuit, p.operation] for p in problems]) if problems else "[]"


def problems_of(text: str) -> tuple[Problem, ...]:
    """Read them again."""
    return tuple(
        Problem(where=where, what=what, circuit=circuit, operation=operation)
        for where, what, circuit, operation in json.loads(text)
    )
