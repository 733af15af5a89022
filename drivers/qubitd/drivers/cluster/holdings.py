"""What each sequencer still holds of what was uploaded, so that nothing is sent twice. The instrument decides.

A sequencer that ran and has not been reset since is STOPPED; after `*RST` or a restart it is IDLE. Waveforms are read
back and compared, since another client that uploads a sequence replaces them together with the program. Hence what has
not run yet counts only if it has waveforms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from qubitd.drivers.cluster.assembly import SequencerLoad
from qubitd.drivers.cluster.conversation import ClusterConversation
from qubitd.drivers.cluster.protocol import SequencerState
from qubitd.drivers.cluster.wiring import SequencerAddress
from qubitd.drivers.controller import nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a sequencer got last."""

    program: str
    """Digest of program, waveforms and bins."""
    waveforms: tuple[str, ...]
    """Names of waveforms and weights, which are digests of their contents, by index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What sequencers said about themselves."""

    states: Mapping[SequencerAddress, SequencerState]
    ready: frozenset[SequencerAddress]
    """Those that hold the waveforms which they are to play."""


class Holdings:
    """What the sequencers of one Cluster hold."""

    def __init__(self, conversation: ClusterConversation) -> None:
        self._conversation = conversation
        self._held: dict[SequencerAddress, Holding] = {}
        self._ran: set[SequencerAddress] = set()
        """Sequencers that have run since they were seen IDLE."""

    def forget(self) -> None:
        """Count on nothing any more."""
        self._held.clear()
        self._ran.clear()

    def was_reset(self, states: Mapping[SequencerAddress, SequencerState]) -> bool:
        """Tell whether a sequencer that ran has been reset since."""
        return any(address in self._ran and state.state == "IDLE" for address, state in states.items())

    def note_run(self, loads: tuple[SequencerLoad, ...]) -> None:
        """Note what has been uploaded and run: from now on a reset would show."""
        for load in loads:
            self._held[load.wired.address] = _holding(load)
            self._ran.add(load.wired.address)

    def note_ahead(self, load: SequencerLoad) -> None:
        """Note what has been uploaded and not run yet."""
        self._held[load.wired.address] = _holding(load)

    def placed(self, load: SequencerLoad) -> SequencerLoad:
        """Give a load on that one of its sequencers which lacks least of it."""
        return _moved(load, max(load.wired.addresses, key=lambda address: self._share(load, address)))

    def ahead(self, load: SequencerLoad, running: Mapping[SequencerAddress, str]) -> SequencerLoad | None:
        """Give a load on a sequencer to which it can be brought ahead; None if there is none, or if one holds it.

        Args:
            load: what comes next.
            running: digests of what is being played.
        """
        addresses = load.wired.addresses
        idle = next((address for address in addresses if address not in running), None)
        is_held = any(running.get(address) == load.digest or self._share(load, address)[0] for address in addresses)
        return None if idle is None or is_held or not load.waveforms else _moved(load, idle)

    def _share(self, load: SequencerLoad, address: SequencerAddress) -> tuple[bool, bool]:
        held = self._held.get(address)
        return held is not None and held.program == load.digest, held is not None and held.waveforms == _names(load)

    def look(self, addresses: Sequence[SequencerAddress], loads: Sequence[SequencerLoad]) -> Look:
        """Ask how sequencers are, and make sure of what those that have something to play hold for it."""
        likely = [
            load
            for load in loads
            if (holding := self._held.get(load.wired.address)) is not None and holding.waveforms == _names(load)
        ]
        states, holds = self._conversation.look(addresses, likely)
        ready = (load.wired.address for load, is_there in zip(likely, holds, strict=True) if is_there)
        return Look(states=states, ready=frozenset(ready))

    def bring(self, loads: Sequence[SequencerLoad], look: Look, *, before_each: Callable[[], None] = nothing) -> int:
        """Upload what sequencers lack, as they were seen just now; give how many bytes that were.

        What `before_each` raises ends it before the next sequencer gets anything.
        """
        held = {load.wired.address: self._held.pop(load.wired.address, None) for load in loads}
        sent = 0
        for load in loads:
            before_each()
            address = load.wired.address
            sent += self._upload(load, held[address] if address in look.ready else None)
        return sent

    def _upload(self, load: SequencerLoad, held: Holding | None) -> int:
        if held is not None and held.program == load.digest:
            return 0
        if held is None:
            self._conversation.upload_waveforms(load)
        self._conversation.upload_program(load)
        return len(load.program) + (load.waveform_bytes if held is None else 0)


def _holding(load: SequencerLoad) -> Holding:
    return Holding(program=load.digest, waveforms=_names(load))


def _names(load: SequencerLoad) -> tuple[str, ...]:
    return tuple(waveform.name for waveform in (*load.waveforms, *load.weights))


def _moved(load: SequencerLoad, address: SequencerAddress) -> SequencerLoad:
    wired = load.wired
    if address == wired.address:
        return load
    return replace(load, wired=replace(wired, address=address, spare=wired.address))
