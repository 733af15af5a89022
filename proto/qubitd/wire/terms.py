"""How and when a job is to run <-> messages."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, check_text

MAX_ID = 128
MAX_PRIORITY = 100
MAX_EQUIVALENTS = 8


class Urgency(enum.Enum):
    """What a job asks of the queue; its session or slot may raise it."""

    NORMAL = "normal"
    BACKGROUND = "background"
    """Runs when nobody else wants the rack."""
    SAFETY = "safety"
    """Before everybody, sessions too; operators only."""


class RevisionPolicy(enum.Enum):
    """Which calibration a job runs under."""

    LATEST = "latest"
    """The one in force when it starts."""
    PINNED = "pinned"
    """The one that it names."""
    EXACT = "exact"
    """The one that it names, and it is refused if that is no longer in force when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTerms:
    """How and when a job is to run."""

    session_id: str = ""
    """The session that it belongs to; empty for none."""
    slot_id: str = ""
    """The calibration slot that it is for; empty for none."""
    urgency: Urgency = Urgency.NORMAL
    priority: int = 0
    """Among the jobs of its own project, -100 to 100; higher goes first."""
    revision_policy: RevisionPolicy = RevisionPolicy.LATEST
    revision: int = 0
    """The calibration that its circuits were made for; 0 for the one in force when it is submitted."""
    rerun_on_interrupt: bool = False
    """Whether it goes on by itself when the daemon died while it ran, at most three times in all."""
    equivalents: tuple[str, ...] = ()
    """Backends that may run it instead if the daemon of its own has been away for a while before it started."""

    @property
    def is_bound(self) -> bool:
        """Whether it names something that must be there: a session, a slot, a calibration."""
        return bool(self.session_id or self.slot_id) or self.revision_policy is not RevisionPolicy.LATEST


_URGENCIES = {
    Urgency.NORMAL: jobs_pb2.JOB_CLASS_NORMAL,
    Urgency.BACKGROUND: jobs_pb2.JOB_CLASS_BACKGROUND,
    Urgency.SAFETY: jobs_pb2.JOB_CLASS_SAFETY,
}
_POLICIES = {
    RevisionPolicy.LATEST: jobs_pb2.REVISION_POLICY_LATEST,
    RevisionPolicy.PINNED: jobs_pb2.REVISION_POLICY_PINNED,
    RevisionPolicy.EXACT: jobs_pb2.REVISION_POLICY_EXACT,
}
_URGENCY_OF = {number: urgency for urgency, number in _URGENCIES.items()} | {
    jobs_pb2.JOB_CLASS_UNSPECIFIED: Urgency.NORMAL
}
_POLICY_OF = {number: policy for policy, number in _POLICIES.items()} | {
    jobs_pb2.REVISION_POLICY_UNSPECIFIED: RevisionPolicy.LATEST
}


def encode_terms(terms: JobTerms) -> jobs_pb2.JobTerms:
    """Give the message."""
    return jobs_pb2.JobTerms(
        session_id=terms.session_id,
        slot_id=terms.slot_id,
        job_class=_URGENCIES[terms.urgency],
        priority=terms.priority,
        revision_policy=_POLICIES[terms.revision_policy],
        revision=terms.revision,
        rerun_on_interrupt=terms.rerun_on_interrupt,
        equivalent_backends=terms.equivalents,
    )


def decode_terms(message: jobs_pb2.JobTerms) -> JobTerms:
    """Read and check the message.

    Raises:
        MalformedMessageError: a field is outside its limits, or two contradict each other.
    """
    urgency, policy = _URGENCY_OF.get(message.job_class), _POLICY_OF.get(message.revision_policy)
    if urgency is None:
        raise malformed("job_class", f"is {message.job_class}; give 1 (normal), 2 (background) or 3 (safety)")
    if policy is None:
        raise malformed("revision_policy", f"is {message.revision_policy}; give 1 (latest), 2 (pinned) or 3 (exact)")
    if message.session_id and (message.slot_id or urgency is not Urgency.NORMAL):
        raise malformed("session_id", "is given together with a slot or a class; a session's jobs go with the session")
    if message.slot_id and urgency is not Urgency.NORMAL:
        raise malformed("slot_id", "is given together with a class; a slot's jobs run in the slot")
    if abs(message.priority) > MAX_PRIORITY:
        raise malformed("priority", f"is {message.priority}; the limits are -{MAX_PRIORITY} and {MAX_PRIORITY}")
    if message.revision < 0:
        raise malformed("revision", f"is {message.revision}; the first is 1, and 0 means the one in force")
    terms = JobTerms(
        session_id=check_text(message.session_id, where="session_id", most=MAX_ID),
        slot_id=check_text(message.slot_id, where="slot_id", most=MAX_ID),
        urgency=urgency,
        priority=message.priority,
        revision_policy=policy,
        revision=message.revision,
        rerun_on_interrupt=message.rerun_on_interrupt,
        equivalents=_equivalents(message),
    )
    if terms.equivalents and terms.is_bound:
        what = "is given together with a session, a slot or a revision policy, which bind a job to its own backend"
        raise malformed("equivalent_backends", what)
    return terms


def _equivalents(message: jobs_pb2.JobTerms) -> tuple[str, ...]:
    where = "equivalent_backends"
    check_count(len(message.equivalent_backends), where=where, most=MAX_EQUIVALENTS)
    names = tuple(check_text(name, where=where, least=1, most=MAX_ID) for name in message.equivalent_backends)
    if len(set(names)) < len(names) or any("\n" in name for name in names):
        raise malformed(where, f"is {list(names)}; give each name once, without line breaks")
    return names
