"""What each sequencer still holds of what was uploaded, so that nothing is sent twice. The instrument decides.

A sequencer that ran and has not been reset since is STOPPED; after `*RST` or a restart it is IDLE. Waveforms are read
back and compared, since another client that uploads a sequence replaces them together with the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qubitd.drivers.cluster.assembly import SequencerLoad
from qubitd.drivers.cluster.conversation import ClusterConversation
from qubitd.drivers.cluster.protocol import SequencerState
from qubitd.drivers.cluster.wiring import SequencerAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a sequencer got last, and has run since."""

    program: str
    """Digest of program, waveforms and bins."""
    waveforms: tuple[str, ...]
    """Names of waveforms and weights, which are digests of their contents, by index."""


class Holdings:
    """What the sequencers of one Cluster hold."""

    def __init__(self, conversation: ClusterConversation) -> None:
        self._conversation = conversation
        self._held: dict[SequencerAddress, Holding] = {}

    def forget(self) -> None:
        """Count on nothing any more."""
        self._held.clear()

    def was_reset(self, states: Mapping[SequencerAddress, SequencerState]) -> bool:
        """Tell whether a sequencer that ran has been reset since."""
        return any(address in self._held and state.state == "IDLE" for address, state in states.items())

    def note_run(self, loads: tuple[SequencerLoad, ...]) -> None:
        """Note what has been uploaded and run: from now on a reset would show."""
        for load in loads:
            self._held[load.wired.address] = _holding(load)

    def bring(self, load: SequencerLoad) -> int:
        """Upload what a sequencer lacks; give how many bytes that were."""
        held = self._held.pop(load.wired.address, None)
        wanted = _holding(load)
        if held is None or held.waveforms != wanted.waveforms or not self._confirm(load):
            self._conversation.upload_waveforms(load)
            self._conversation.upload_program(load)
            return load.waveform_bytes + len(load.program)
        if held.program != wanted.program:
            self._conversation.upload_program(load)
            return len(load.program)
        return 0

    def _confirm(self, load: SequencerLoad) -> bool:
        return self._conversation.holds_waveforms(load)


def _holding(load: SequencerLoad) -> Holding:
    return Holding(program=load.digest, waveforms=tuple(waveform.name for waveform in (*load.waveforms, *load.weights)))
