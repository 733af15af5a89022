"""The operator's switch: whether jobs are taken and started."""

from __future__ import annotations

from dataclasses import dataclass

from qubitd.server.errors import LabClosedError
from qubitd.wire.lab import LabState


@dataclass(slots=True, kw_only=True)
class LabSwitch:
    """Serving until an operator says otherwise."""

    state: LabState = LabState.SERVING
    reason: str = ""
    """The operator's, for people."""

    @property
    def is_open(self) -> bool:
        """Whether jobs are taken and started."""
        return self.state is LabState.SERVING

    def check_open(self) -> None:
        """Make sure that a job may come in.

        Raises:
            LabClosedError: it may not.
        """
        if not self.is_open:
            raise LabClosedError(state=self.state, reason=self.reason)

    def restore(self, kept: LabSwitch) -> None:
        """Stand as an earlier daemon left it: to resume is an operator's act."""
        self.state, self.reason = kept.state, kept.reason

    def drain(self, reason: str) -> None:
        """Let nothing more start."""
        if self.is_open:
            self.state, self.reason = LabState.DRAINED, reason

    def stop(self, reason: str) -> None:
        """The rack is made safe."""
        self.state, self.reason = LabState.STOPPED, reason

    def resume(self) -> None:
        """Let jobs in again."""
        self.state, self.reason = LabState.SERVING, ""
