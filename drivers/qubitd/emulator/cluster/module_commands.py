"""The commands of a module, as it takes them on its own port and, after `SLOT<s>:`, on the frame's."""

from __future__ import annotations

import json

from qubitd.emulator.cluster.bins import block
from qubitd.emulator.cluster.configuration import from_json
from qubitd.emulator.cluster.front_end_commands import add_front_end_commands
from qubitd.emulator.cluster.identity import module_description, module_identity
from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.cluster.list_commands import add_acquisition_commands, add_wave_commands
from qubitd.emulator.cluster.module import Module
from qubitd.emulator.cluster.player import ChannelMap
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.cluster.sequencer_commands import SequencerCommands
from qubitd.emulator.errors import AssemblyError, ScpiError
from qubitd.emulator.q1.assembler import SUCCESS
from qubitd.emulator.scpi.commands import Call, CommandTable
from qubitd.emulator.scpi.session import add_common_commands


def module_commands(cluster: Cluster, module: Module) -> CommandTable:
    """Make the table of one module."""
    table = CommandTable()
    add_common_commands(
        table,
        module.status,
        identity=lambda: module_identity(module, cluster.profile),
        reset=lambda: cluster.reset_module(module),
    )
    table.add("*DESCribe?", lambda _: block(module_description(module, cluster.profile)))
    table.add("STATus:GENeral:STATE?", lambda _: "OKAY;")
    table.add("STATus:ASSEMbler:SUCCess?", lambda _: str(int(module.assembly_succeeded)))
    table.add("STATus:ASSEMbler:LOG?", lambda _: block(module.assembly_log.encode()))
    add_front_end_commands(table, module)
    sequencers = SequencerCommands(table, module)
    _add_running(sequencers, cluster)
    _add_upload(sequencers, module)
    add_wave_commands(sequencers, "AWG:WLISt", "WAVeform", lambda sequencer: sequencer.waveforms)
    add_wave_commands(sequencers, "ACQ:WLISt", "WEIght", lambda sequencer: sequencer.weights)
    add_acquisition_commands(sequencers, cluster.settle, lambda acquisition: cluster.store_scope(module, acquisition))
    if module.kind.is_readout:
        table.add("ACQ:SCOpe:CONFiguration", lambda call: module.scope.configure(_json(call)))
        table.add("ACQ:SCOpe:CONFiguration?", lambda _: block(json.dumps(module.scope.document).encode()))
    return table


def _add_running(sequencers: SequencerCommands, cluster: Cluster) -> None:
    def arm(sequencer: Sequencer, call: Call) -> None:
        cluster.settle()
        call.expect(0)
        sequencer.arm()

    def start(sequencer: Sequencer, call: Call) -> None:
        call.expect(0)
        cluster.start(sequencer)

    def stop(sequencer: Sequencer, call: Call) -> None:
        call.expect(0)
        cluster.stop(sequencer)

    def state(sequencer: Sequencer, _: Call) -> str:
        cluster.settle()
        return sequencer.status_line()

    sequencers.add("ARM", arm)
    sequencers.add("START", start)
    sequencers.add("STOP", stop)
    sequencers.add("STATE?", state)
    sequencers.add("CLR:FLAGS", lambda sequencer, _: sequencer.flags.clear())


def _add_upload(sequencers: SequencerCommands, module: Module) -> None:
    def program(sequencer: Sequencer, call: Call) -> None:
        call.expect(1)
        try:
            sequencer.load_program(call.argument(0).data().decode("latin-1"))
        except AssemblyError as error:
            module.assembly_succeeded, module.assembly_log = False, error.log
            raise ScpiError(-285, "Assembly failed.") from error
        module.assembly_succeeded, module.assembly_log = True, SUCCESS

    sequencers.add_change("PROGram", program)
    sequencers.add_change("CONFiguration", lambda sequencer, call: sequencer.configure(_text(call)))
    sequencers.add("CONFiguration?", lambda sequencer, _: block(sequencer.configuration_text))
    sequencers.add_change("CHANnelmap", lambda sequencer, call: _set_outputs(module, sequencer, call))
    sequencers.add("CHANnelmap?", lambda sequencer, _: _map_block(sequencer.outputs))
    sequencers.add_change("ACQ:CHANnelmap", lambda sequencer, call: _set_inputs(module, sequencer, call))
    sequencers.add("ACQ:CHANnelmap?", lambda sequencer, _: _map_block(sequencer.inputs))


def _json(call: Call) -> object:
    return from_json(_text(call))


def _text(call: Call) -> bytes:
    call.expect(1)
    return bytes(call.argument(0).data())


def _set_outputs(module: Module, sequencer: Sequencer, call: Call) -> None:
    chosen = _channel_map(_json(call), module.kind.dacs)
    crossed = any(converter % 2 != path for path in (0, 1) for converter in chosen[path])
    if module.kind.is_rf and crossed:
        raise ScpiError(
            -221, "on an RF module path 0 takes even converters and path 1 odd ones; others are not emulated"
        )
    sequencer.outputs = chosen


def _set_inputs(module: Module, sequencer: Sequencer, call: Call) -> None:
    chosen = _channel_map(_json(call), 2 if module.kind.is_readout else 0)
    if any(len(path) > 1 for path in chosen):
        raise ScpiError(-220, "a path listens to one input")
    sequencer.inputs = chosen


def _channel_map(value: object, converters: int) -> ChannelMap:
    paths = value if isinstance(value, list) and all(isinstance(path, list) for path in value) else []
    if len(paths) == 2 and all(type(each) is int and 0 <= each < converters for path in paths for each in path):
        return frozenset(paths[0]), frozenset(paths[1])
    raise ScpiError(-220, f"a channel map is [[...], [...]] of converters below {converters}")


def _map_block(channels: ChannelMap) -> bytes:
    return block(json.dumps([sorted(path) for path in channels]).encode())
