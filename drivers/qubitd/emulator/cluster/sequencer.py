"""One sequencer: what was uploaded to it, and its states IDLE, ARMED, RUNNING, STOPPED.

It takes no upload while it is ARMED or RUNNING. What it is told meanwhile about the front end of its module counts from
the next run.
"""

from __future__ import annotations

from enum import Enum, unique
from functools import lru_cache
from typing import NamedTuple

from qubitd.emulator.cache import Key
from qubitd.emulator.cluster.bins import AcquisitionList
from qubitd.emulator.cluster.configuration import Held, default, put_over
from qubitd.emulator.cluster.player import ChannelMap, ModuleSettings, Player
from qubitd.emulator.cluster.profile import ModuleKind, Profile
from qubitd.emulator.cluster.waves import WaveList
from qubitd.emulator.errors import ScpiError
from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import Code, prepare
from qubitd.emulator.q1.flags import INFORMATION, WARNINGS, Flag

_SHORT = 16_384
"""Characters of a program that is not assembled again when it comes again."""


@unique
class State(Enum):
    """As the instrument words it."""

    IDLE = "IDLE"
    ARMED = "ARMED"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Frozen(NamedTuple):
    """What a sequencer holds for a run."""

    player: Player
    content: Key
    """All that decides what it plays and when it acquires: equal for two that do the same."""


class Sequencer:
    """Starts empty and IDLE."""

    def __init__(self, *, slot: int, number: int, kind: ModuleKind, profile: Profile) -> None:
        self.slot = slot
        self.number = number
        self._kind = kind
        self.waveforms = WaveList(indices=profile.waveforms, samples=profile.waveform_samples)
        self.weights = WaveList(indices=profile.weights, samples=profile.weight_samples)
        self.acquisitions = AcquisitionList(indices=profile.acquisitions, bins=profile.bins)
        self._hold(default())
        self.outputs = _default_outputs(kind)
        self.inputs: ChannelMap = (frozenset({0}), frozenset({1})) if kind.is_readout else (frozenset(), frozenset())
        self.state = State.IDLE
        self.flags: set[Flag] = set()
        self.marker = 0
        """Bits on its marker outputs after its last run."""
        self.started_at = 0
        """Instrument time of its last start, ns."""
        self.ends_at: int | None = None
        """Instrument time at which its run is over, once that is known."""
        self.is_played = False
        """Whether its present run has been worked out."""
        self._code: Code | None = None
        self._frozen: tuple[object, Frozen] | None = None
        """What was held for the last run, and the same as it took part in that, without acquisitions: what is deleted
        must not be held here."""

    def require_changeable(self) -> None:
        """Refuse to change what a sequencer holds while it is armed or running."""
        if self.state in (State.ARMED, State.RUNNING):
            raise ScpiError(
                -221, f"slot {self.slot} sequencer {self.number} is {self.state.value}; stop it before changing it"
            )

    def load_program(self, text: str) -> None:
        """Assemble a program; the one before is gone in any case.

        Raises:
            AssemblyError: it does not assemble.
        """
        self._code = None
        make = _remembered if len(text) <= _SHORT else _prepared
        self._code = make(text, self._kind.program_memory)

    def configure(self, update: bytes) -> None:
        """Put a configuration, or a part of one, over what is set; both are JSON."""
        self._hold(put_over(self.configuration_text, update))

    def _hold(self, held: Held) -> None:
        self.configuration = held.configuration
        """How it is set up."""
        self.configuration_text = held.text
        """The same as JSON."""

    def arm(self) -> None:
        """Make ready to start; flags of earlier runs are cleared."""
        if self.state is State.RUNNING:
            raise ScpiError(-221, f"slot {self.slot} sequencer {self.number} is RUNNING")
        if self._code is None:
            raise ScpiError(-221, f"slot {self.slot} sequencer {self.number} holds no program")
        self.state = State.ARMED
        self.flags.clear()

    def start(self, now: int) -> None:
        """Start an armed sequencer."""
        if self.state is not State.ARMED:
            raise ScpiError(-211, f"slot {self.slot} sequencer {self.number} is {self.state.value}, not ARMED")
        self.state = State.RUNNING
        self.started_at = now
        self.ends_at = None
        self.is_played = False

    def finish(self, *, flags: frozenset[Flag], marker: int, ends_at: int | None) -> None:
        """Take over how a run went; without an end it runs until it is stopped."""
        self.is_played = True
        self.flags |= flags
        self.marker = marker
        self.ends_at = ends_at

    def stop_if_over(self, now: int) -> None:
        """Go to STOPPED when the run's time is over."""
        if self.state is State.RUNNING and self.ends_at is not None and now >= self.ends_at:
            self.state = State.STOPPED

    def stop(self) -> None:
        """Stop by force: outputs and markers go to 0."""
        if self.state is State.RUNNING:
            self.flags.add(Flag.FORCED_STOP)
            self.marker = 0
        elif self.state is State.ARMED:
            self.flags.add(Flag.DISARMED)
        if self.state is not State.IDLE:
            self.state = State.STOPPED

    def status_line(self) -> str:
        """Give `STATUS;STATE;info;warnings;errors;log`, every flag followed by a comma."""
        return _status_line(self.state, frozenset() if self.state is State.RUNNING else frozenset(self.flags))

    def freeze(self, module: ModuleSettings) -> Frozen | None:
        """Freeze what is held for a run; None without a program."""
        if self._code is None:
            return None
        waves, weights, acquisitions = self.waveforms.held(), self.weights.held(), self.acquisitions.entries
        settings = (module, self.configuration, self._code, self.outputs, self.inputs)
        now = (waves, weights, acquisitions.version, settings)
        if self._frozen is None or self._frozen[0] != now:
            held = (waves.content, weights.content, tuple(sorted(acquisitions.by_index())))
            player = Player(
                slot=self.slot,
                number=self.number,
                kind=self._kind,
                module=module,
                configuration=self.configuration,
                code=self._code,
                waves=waves,
                weights=weights,
                acquisitions={},
                outputs=self.outputs,
                inputs=self.inputs,
            )
            self._frozen = now, Frozen(player, Key((self.slot, self.number, held, settings)))
        player, content = self._frozen[1]
        return Frozen(player._replace(acquisitions=acquisitions.by_index()) if acquisitions else player, content)


def _prepared(text: str, memory: int) -> Code:
    return prepare(assemble(text, memory=memory))


_remembered = lru_cache(maxsize=256)(_prepared)


def _default_outputs(kind: ModuleKind) -> ChannelMap:
    """After a reset every sequencer reaches every output: path 0 the even converters, path 1 the odd ones."""
    return frozenset(range(0, kind.dacs, 2)), frozenset(range(1, kind.dacs, 2))


@lru_cache(maxsize=256)
def _status_line(state: State, flags: frozenset[Flag]) -> str:
    warnings, errors = flags & WARNINGS, flags - INFORMATION - WARNINGS
    status = "ERROR" if errors else "WARNING" if warnings else "OKAY"
    return f"{status};{state.value};{_listed(flags & INFORMATION)};{_listed(warnings)};{_listed(errors)};"


def _listed(flags: frozenset[Flag]) -> str:
    return "".join(f"{flag.value}," for flag in sorted(flags, key=lambda flag: flag.value))
