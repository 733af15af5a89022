"""The commands of what a sequencer holds under a name: waveforms, weights, acquisitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qubitd.emulator.cluster.bins import Acquisition, block
from qubitd.emulator.cluster.named import NamedList
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.cluster.sequencer_commands import SequencerCommands
from qubitd.emulator.cluster.waves import WaveList
from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.commands import Call, Piece

_MOST_NAME = 256
_MOST = 1 << 24


def add_wave_commands(
    sequencers: SequencerCommands, root: str, entry: str, waves: Callable[[Sequencer], WaveList]
) -> None:
    """Add the commands of a list of waveforms or weights."""

    def new(sequencer: Sequencer, call: Call) -> None:
        call.expect(3)
        waves(sequencer).new(_name(call), call.argument(1).integer(1, _MOST))

    def data(sequencer: Sequencer, call: Call) -> None:
        call.expect(2)
        waves(sequencer).set_data(_name(call), call.argument(1).data())

    def read(sequencer: Sequencer, call: Call) -> bytes:
        samples = waves(sequencer).entries.get(_name(call)).samples
        if len(call.arguments) == 1:
            return block(samples.tobytes())
        begin = call.argument(1).integer(0, len(samples))
        return block(samples[begin : begin + call.argument(2).integer(0, len(samples))].tobytes())

    sequencers.add_change(f"{root}:{entry}:NEW", new)
    sequencers.add_change(f"{root}:{entry}:DATA", data)
    sequencers.add(f"{root}:{entry}:DATA?", read)
    sequencers.add(f"{root}:{entry}:LENGth?", lambda s, call: str(len(waves(s).entries.get(_name(call)).samples)))
    sequencers.add(f"{root}?", lambda s, _: waves(s).listing())
    _add_names(sequencers, root, entry, lambda sequencer: waves(sequencer).entries)


def add_acquisition_commands(
    sequencers: SequencerCommands, settle: Callable[[], None], store_scope: Callable[[Acquisition], None]
) -> None:
    """Add the commands of the list of acquisitions.

    Args:
        sequencers: whose.
        settle: works out what running sequencers have done.
        store_scope: gives an acquisition what the module's scope recorded.
    """
    root, entry = "ACQ:ALISt", "ACQuisition"

    def new(sequencer: Sequencer, call: Call) -> None:
        call.expect(2)
        sequencer.acquisitions.new(_name(call), call.argument(1).integer(1, _MOST))

    def clear(sequencer: Sequencer, call: Call) -> None:
        for acquisition in sequencer.acquisitions.entries.chosen(_name(call)):
            acquisition.clear()

    def store(sequencer: Sequencer, call: Call) -> None:
        call.expect(1)
        store_scope(sequencer.acquisitions.entries.get(_name(call)))

    def read_all(sequencer: Sequencer, _: Call) -> list[Piece]:
        settle()
        return sequencer.acquisitions.parts()

    def read_one(sequencer: Sequencer, call: Call) -> list[Piece]:
        settle()
        return sequencer.acquisitions.entries.get(_name(call)).parts()

    sequencers.add_change(f"{root}:{entry}:NEW", new)
    sequencers.add_change(f"{root}:{entry}:DATA:DELete", clear)
    sequencers.add_change(f"{root}:{entry}:DATA", store)
    sequencers.add(f"{root}:{entry}:DATA?", read_one)
    sequencers.add(f"{root}:{entry}:BINs?", lambda s, call: str(len(s.acquisitions.entries.get(_name(call)).bins)))
    sequencers.add(f"{root}?", read_all)
    _add_names(sequencers, root, entry, lambda sequencer: sequencer.acquisitions.entries)


def _add_names(
    sequencers: SequencerCommands, root: str, entry: str, entries: Callable[[Sequencer], NamedList[Any]]
) -> None:
    """Add what works on names and indices alone."""

    def set_index(sequencer: Sequencer, call: Call) -> None:
        call.expect(2)
        entries(sequencer).set_index(_name(call), call.argument(1).integer(0, _MOST))

    sequencers.add_change(f"{root}:{entry}:DELete", lambda s, call: entries(s).delete(_name(call)))
    sequencers.add_change(f"{root}:{entry}:INDex", set_index)
    sequencers.add(f"{root}:{entry}:INDex?", lambda s, call: str(entries(s).index_of(_name(call))))
    sequencers.add(
        f"{root}:{entry}:NAME?", lambda s, call: f'"{entries(s).name_at(call.argument(0).integer(0, _MOST))}"'
    )
    sequencers.add(f"{root}:SIZE?", lambda s, _: str(len(entries(s))))


def _name(call: Call) -> str:
    name = call.argument(0).string()
    if not 0 < len(name) <= _MOST_NAME:
        raise ScpiError(-220, f"a name has 1 to {_MOST_NAME} characters")
    return name
