"""How much each project may have waiting and how fast it may send: pure bookkeeping, in the event loop's thread.

The project `local`, which is whoever sits at the machine of a daemon without accounts, has no limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from qubitd.server.auth.identity import LOCAL
from qubitd.server.errors import QuotaExceededError
from qubitd.server.store.group_jobs import Held
from qubitd.wire.sessions import MAX_SECONDS

_WAIT = 10.0
"""Seconds after which it is worth trying again when jobs of one's own have to end first."""
_NOTHING = Held()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Limits of each project."""

    jobs: int = 100
    """That have not ended."""
    bytes: int = 2**30
    """Of these jobs, as they were sent."""
    sessions: int = 100
    """That are not over."""
    session_seconds: float = MAX_SECONDS
    """For which one may last: by as much the rack may be another's when a job's time has come."""
    submits_per_minute: float = 0.0
    """0 for no limit; as many may come at once."""


@dataclass(slots=True)
class _Account:
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of each job that has not ended."""
    credit: float = 0.0
    """Submissions that may come at once."""
    since: float = 0.0


class QuotaBook:
    """What each project has waiting."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._accounts: dict[str, _Account] = {}

    def take(self, owner: str, job_id: str, size: int, *, at: float, elsewhere: Held = _NOTHING) -> None:
        """Let a project have one more job, which counts until `give_back`.

        Args:
            owner: the project.
            job_id: of the job.
            size: its bytes.
            at: now, s on the steady clock.
            elsewhere: what the project has on other daemons' backends.

        Raises:
            QuotaExceededError: it has too much already, or sends too fast; nothing was taken.
        """
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = _Account(credit=self._quotas.submits_per_minute, since=at)
        if owner != LOCAL.project:
            self._check(owner, account, size, at, elsewhere)
        account.sizes[job_id] = size

    def keep(self, owner: str, job_id: str, size: int) -> None:
        """Count a job that was taken by an earlier process."""
        self._accounts.setdefault(owner, _Account(credit=self._quotas.submits_per_minute)).sizes[job_id] = size

    def give_back(self, owner: str, job_id: str) -> None:
        """A job has ended, or was not taken after all."""
        if owner in self._accounts:
            self._accounts[owner].sizes.pop(job_id, None)

    def _check(self, owner: str, account: _Account, size: int, at: float, elsewhere: Held) -> None:
        limits, held = self._quotas, sum(account.sizes.values()) + elsewhere.bytes
        jobs = len(account.sizes) + elsewhere.jobs
        if jobs >= limits.jobs:
            what = f"has {jobs} jobs that have not ended; the limit is {limits.jobs}"
            raise QuotaExceededError(owner=owner, what=what, retry_after=_WAIT)
        if held + size > limits.bytes:
            what = f"has jobs of {held} bytes that have not ended, and this one has {size}; the limit is {limits.bytes}"
            raise QuotaExceededError(owner=owner, what=what, retry_after=_WAIT)
        rate = limits.submits_per_minute / 60
        if rate <= 0:
            return
        account.credit = min(limits.submits_per_minute, account.credit + (at - account.since) * rate)
        account.since = at
        if account.credit < 1:
            what = f"sends more than {limits.submits_per_minute:g} jobs a minute"
            raise QuotaExceededError(owner=owner, what=what, retry_after=(1 - account.credit) / rate)
        account.credit -= 1
