"""A job's terms <-> columns of its row."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from qubitd.wire.terms import JobTerms, RevisionPolicy, Urgency

TERMS_COLUMNS = "session, slot, urgency, priority, revision_policy, wanted_revision, rerun, equivalents"
"""In the order of `terms_columns`."""


def terms_columns(terms: JobTerms) -> tuple[str | int, ...]:
    """Give the values of the columns."""
    return (
        terms.session_id,
        terms.slot_id,
        terms.urgency.value,
        terms.priority,
        terms.revision_policy.value,
        terms.revision,
        int(terms.rerun_on_interrupt),
        "\n".join(terms.equivalents),
    )


@lru_cache(maxsize=1024)
def terms_of(columns: tuple[Any, ...]) -> JobTerms:
    """Read the columns. Of a long queue most jobs have the same terms."""
    session, slot, urgency, priority, policy, revision, rerun, equivalents = columns
    return JobTerms(
        session_id=session,
        slot_id=slot,
        urgency=Urgency(urgency),
        priority=priority,
        revision_policy=RevisionPolicy(policy),
        revision=revision,
        rerun_on_interrupt=bool(rerun),
        equivalents=tuple(equivalents.split("\n")) if equivalents else (),
    )
