"""Every error of the instrument layer. No exception of pyvisa, of a socket or of the file system leaves it as such."""

from __future__ import annotations

from collections.abc import Sequence

from qubitd.core.capacity import Usage
from qubitd.core.errors import InvalidInputError, QubitdError


class DriverError(QubitdError):
    """Something about an instrument, its link, its wiring, or what it was asked to play."""


class RackFileError(DriverError, InvalidInputError):
    """A rack file cannot be read or contradicts itself; `problems` holds everything found wrong with it."""


class InstrumentError(DriverError):
    """An instrument or its link failed."""

    def __init__(self, *, resource: str, what: str) -> None:
        self.resource = resource
        self.what = what
        super().__init__(f"{resource}: {what}")


class InstrumentNotFoundError(InstrumentError):
    """Nobody answers at the address."""


class WrongInstrumentError(InstrumentError):
    """Somebody answers, but it is not the instrument that the rack file names."""


class LinkTimeoutError(InstrumentError):
    """The instrument did not take or give a message in time. The link is closed: the answer may still be on its way."""

    def __init__(self, *, resource: str, what: str, timeout: float) -> None:
        self.timeout = timeout
        super().__init__(resource=resource, what=f"{what} within {timeout:g} s; the link is closed, connect again")


class LinkClosedError(InstrumentError):
    """The link is not open: the instrument closed it, or an earlier fault did."""


class LinkBusyError(InstrumentError):
    """A second thread used the link while an exchange was going on."""


class MalformedAnswerError(InstrumentError):
    """An answer is not of the form that the instrument's manual promises. The link is closed."""


class InstrumentFaultError(InstrumentError):
    """The instrument reported a fault; `words` holds what it said."""

    def __init__(self, *, resource: str, what: str, words: Sequence[str]) -> None:
        self.words = tuple(words)
        super().__init__(resource=resource, what=f"{what}: {'; '.join(words)}")


class InstrumentChangedError(InstrumentError):
    """The instrument's state is not the one that was set: somebody else controls it, or it restarted."""


class SequencerBusyError(InstrumentError):
    """A sequencer that is armed or running was about to be written to."""

    def __init__(self, *, resource: str, sequencers: Sequence[str]) -> None:
        self.sequencers = tuple(sequencers)
        super().__init__(
            resource=resource,
            what=f"{', '.join(sequencers)} armed or running; wait for the end of the run or stop it before writing",
        )


class RunBrokenOffError(DriverError):
    """Somebody wanted a run to end before its time."""

    def __init__(self, *, resource: str) -> None:
        super().__init__(f"{resource}: the run was broken off on request")


class RunTimeoutError(InstrumentError):
    """A run did not end before its deadline."""

    def __init__(self, *, resource: str, deadline: float, unfinished: Sequence[str]) -> None:
        self.deadline = deadline
        self.unfinished = tuple(unfinished)
        super().__init__(
            resource=resource,
            what=f"the run did not end within {deadline:g} s: {', '.join(unfinished)}; stop the controller",
        )


class UnplayableProgramError(DriverError, InvalidInputError):
    """A program asks for something that the controller cannot play as wired; `problems` says what and where."""


class CapacityError(DriverError):
    """A chunk does not fit the controller's memories; `usages` holds those that overflow."""

    def __init__(self, usages: Sequence[Usage]) -> None:
        self.usages = tuple(usages)
        counts = "; ".join(f"{u.sequencer} needs {u.used} {u.memory}, it holds {u.limit}" for u in usages)
        super().__init__(f"{counts}. Split the chunk between programs or shots")


class CeilingError(DriverError, InvalidInputError):
    """What would be played exceeds a line's ceiling in the rack file; `problems` says which and by how much."""


class NotReadyError(DriverError):
    """A controller was used out of order, such as started before anything was loaded."""
