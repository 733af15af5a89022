"""The three promises that the engine relies on: Controller, Source, Bias. One user thread at a time for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qubitd.core.capacity import Capacity
from qubitd.core.feedforward import FeedForward
from qubitd.core.job import Trace
from qubitd.core.plan import LoopPlan
from qubitd.core.program import Chunk
from qubitd.core.register_grid import RegisterGrid


class Assembly(Protocol):
    """A chunk in a controller's own language: opaque, immutable, made without touching an instrument."""

    @property
    def shots(self) -> int:
        """Times that all programs of the chunk are run."""
        ...

    @property
    def duration(self) -> float:
        """Instrument time of the whole run in seconds: all shots with their resets."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds of instrument time after which a run is stuck: synchronisation and time of flight included."""
        ...

    @property
    def upload_bytes(self) -> int:
        """Bytes of programs and waveforms that are sent if the instruments hold none of them."""
        ...

    @property
    def loops(self) -> Sequence[LoopPlan]:
        """Which programs are played as loops of the controller, and why not the others; empty for few programs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What it took to bring an assembly into the instruments."""

    upload_bytes: int
    """Bytes of programs and waveforms sent."""
    reused_bytes: int
    """Bytes that the instruments still held, as they confirmed."""


UNTOLD = -1
"""Outcome of an acquisition whose bit the hardware does not tell."""
NOT_TAKEN = -2
"""Outcome of an acquisition that did not take place."""


class Readings(Protocol):
    """What a run gave, as it was read. What is asked of it is worked out then, which any thread may do: the instruments
    need not wait for that.
    """

    @property
    def points(self) -> tuple[NDArray[np.complex64], ...]:
        """Per program of the chunk, shape (shots, acquisitions) in the order of its acquisition columns: mean over the
        window, fraction of ADC full scale."""
        ...

    @property
    def traces(self) -> tuple[Trace, ...]:
        """Of a chunk that wants them: one per feedline."""
        ...

    @property
    def outcomes(self) -> tuple[NDArray[np.int8], ...]:
        """Per program of a chunk in which outcomes feed, shape as `points`: 0 or 1 as the hardware told, UNTOLD for
        qubits that do not feed, NOT_TAKEN where the condition of an acquisition did not hold; its point is NaN then.
        """
        ...


def never() -> bool:
    """Give a wait up on no account."""
    return False


def nothing() -> None:
    """Do nothing while a run goes on."""


class Controller(Protocol):
    """Plays programs on lines and reads IQ points."""

    @property
    def capacity(self) -> Capacity:
        """What its memories hold."""
        ...

    @property
    def grid(self) -> RegisterGrid:
        """The steps in which its registers count."""
        ...

    @property
    def feedforward(self) -> FeedForward | None:
        """What it can do with outcomes while a program runs; None if nothing."""
        ...

    def connect(self) -> None:
        """Find the instruments, check who they are, and adopt their state without changing an output.

        Raises:
            InstrumentNotFoundError, WrongInstrumentError, InstrumentFaultError, LinkTimeoutError.
        """
        ...

    def close(self) -> None:
        """Drop the links; what the instruments do goes on."""
        ...

    def check(self, chunk: Chunk) -> None:
        """Hold a chunk against the ceilings of its lines, as `load` will. Pure, as `assemble`.

        Raises:
            UnplayableProgramError: the wiring or the hardware has no way to play a program.
            CeilingError: it would exceed a line's ceiling.
        """
        ...

    def vouch(self, chunk: Chunk) -> bool:
        """Whether a chunk of one program fits and passes `check` whatever the phases of its plays. Pure."""
        ...

    def assemble(self, chunk: Chunk) -> Assembly:
        """Translate a chunk. Pure: may run in another thread or process.

        Raises:
            UnplayableProgramError: the wiring or the hardware has no way to play a program.
            CapacityError: the chunk does not fit.
        """
        ...

    def load(self, assembly: Assembly, *, give_up: Callable[[], bool] = never) -> LoadReport:
        """Bring an assembly into the instruments, sending only what they do not hold.

        Args:
            assembly: what to bring.
            give_up: asked now and then from the same thread; the loading ends when it says so.

        Raises:
            RunBrokenOffError: it was given up, and nothing is loaded.
            CeilingError: it would exceed a line's ceiling; nothing was sent.
            SequencerBusyError: a run is going on; nothing was sent.
            InstrumentFaultError: the instrument refused something.
        """
        ...

    def load_ahead(self, assembly: Assembly) -> LoadReport | None:
        """While a run goes on, bring one more piece of what comes next to an instrument that takes no part in it.

        Returns:
            What was sent; None if nothing more can be sent ahead. `load` brings the rest, and relies on no piece that
            it does not find in its place.

        Raises:
            InstrumentFaultError: the instrument refused something.
        """
        ...

    def arm(self) -> None:
        """Make ready what was loaded last, so that `start` takes little; nothing plays. `stop` disarms.

        Raises:
            InstrumentFaultError: the instrument refused something.
        """
        ...

    def start(self) -> None:
        """Run what was loaded last; it need not be armed before."""
        ...

    def wait(
        self, deadline: float, *, give_up: Callable[[], bool] = never, meanwhile: Callable[[], None] = nothing
    ) -> None:
        """Return when the run has ended well.

        Args:
            deadline: seconds on the wall clock.
            give_up: asked now and then from the same thread; the wait ends when it says so.
            meanwhile: called now and then from the same thread while the run goes on; it may `load_ahead`.

        Raises:
            RunBrokenOffError: it still runs and was given up; `stop` it.
            RunTimeoutError: it still runs; `stop` it.
            InstrumentFaultError: it ended badly.
        """
        ...

    def fetch(self) -> Readings:
        """Read what the run that ended gave."""
        ...

    def stop(self) -> None:
        """Make the rack safe from whatever state: sequencers stopped, RF switches off, DC levels held; read back.

        A link that is down is opened again first.
        """
        ...


class Source(Protocol):
    """A microwave source."""

    def frequency(self, hertz: float) -> None:
        """Set the frequency."""
        ...

    def power(self, dbm: float) -> None:
        """Set the output power."""
        ...

    def output(self, *, on: bool) -> None:
        """Switch the output."""
        ...


class Bias(Protocol):
    """A static level."""

    def level(self) -> float:
        """Read the level in volts, as the instrument states it."""
        ...

    def ramp(self, volts: float, *, rate: float) -> None:
        """Go to a level from where it is, at `rate` volts per second."""
        ...
