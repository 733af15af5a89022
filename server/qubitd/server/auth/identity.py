"""Who calls: a name, a project that sees only its own, and a role. Whatever serves an RPC can ask for its caller."""

from __future__ import annotations

import enum
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


class Role(enum.IntEnum):
    """What somebody may do; a higher role may do all that a lower one may."""

    USER = 1
    """Runs circuits and sees its project's jobs."""
    CALIBRATOR = 2
    """Sweeps and commits calibration parameters, reserves calibration slots."""
    OPERATOR = 3
    """Switches the lab, ends anybody's jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls."""

    name: str
    project: str
    """Jobs and sessions belong to it; another project's are as if they were not there."""
    role: Role

    def may(self, role: Role) -> bool:
        """Whether it has a role or a higher one."""
        return self.role >= role


LOCAL = Identity(name="local", project="local", role=Role.OPERATOR)
"""Every caller of a daemon on loopback without accounts."""

_CALLER: ContextVar[Identity] = ContextVar("caller", default=LOCAL)


def caller() -> Identity:
    """Give the caller of the RPC that is being served."""
    return _CALLER.get()


@contextmanager
def calling(identity: Identity) -> Generator[None]:
    """Serve somebody."""
    token = _CALLER.set(identity)
    try:
        yield
    finally:
        _CALLER.reset(token)
