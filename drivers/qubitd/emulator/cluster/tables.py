"""Event tables out of rows: the one place where registers become numbers with units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qubitd.emulator.cluster.iterations import Section
from qubitd.emulator.cluster.outputs import PORTS_IN_SLOT, Rows, constants_shortened
from qubitd.emulator.cluster.player import Player
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.windows import Windows
from qubitd.emulator.events import Acquisitions, EventTable, InputPort, OutputPort, Plays
from qubitd.emulator.q1.latches import FREQUENCY_STEP, TURN

_FULL_GAIN = 32_768


def table_of(players: Sequence[Player], pool: WaveformPool, section: Section) -> EventTable:
    """Make the table of a section."""
    modules = {player.slot: player for player in players}
    outputs = [
        (slot * PORTS_IN_SLOT + i, _output(player, i))
        for slot, player in sorted(modules.items())
        for i in range(player.kind.outputs)
    ]
    inputs = [
        (slot * PORTS_IN_SLOT + i, _input(player, i))
        for slot, player in sorted(modules.items())
        for i in range(player.kind.inputs)
    ]
    return EventTable(
        shots=section.shots,
        duration=section.duration,
        outputs=tuple(port for _, port in outputs),
        inputs=tuple(port for _, port in inputs),
        waveforms=tuple(pool.waveforms),
        plays=_plays(constants_shortened(section.rows, pool), section.begin, [number for number, _ in outputs]),
        acquisitions=_acquisitions(section.windows, section.begin, [number for number, _ in inputs]),
    )


def _plays(rows: Rows, begin: int, ports: list[int]) -> Plays:
    return Plays(
        start=rows.start - begin,
        length=rows.length,
        port=np.searchsorted(ports, rows.port).astype(np.int32),
        waveform=rows.waveform.astype(np.int32),
        gain_i=rows.gain_i / _FULL_GAIN,
        gain_q=rows.gain_q / _FULL_GAIN,
        frequency=np.asarray(rows.frequency * FREQUENCY_STEP, dtype=np.float64),
        phase=rows.phase / TURN,
    )


def _acquisitions(windows: Windows, begin: int, ports: list[int]) -> Acquisitions:
    return Acquisitions(
        start=windows.start - begin,
        length=windows.length,
        port=np.searchsorted(ports, windows.port).astype(np.int32),
        sequencer=windows.sequencer.astype(np.int32),
        weight=windows.weight.astype(np.int32),
        frequency=np.asarray(windows.frequency * FREQUENCY_STEP, dtype=np.float64),
        phase=windows.phase / TURN,
    )


def _output(player: Player, output: int) -> OutputPort:
    is_rf = player.kind.is_rf
    return OutputPort(
        name=f"slot{player.slot}.out{output}",
        lo_frequency=player.module.lo_frequency[player.kind.oscillators[output]] if is_rf else 0.0,
        attenuation_db=player.module.output_attenuation[output] if is_rf else 0.0,
    )


def _input(player: Player, connector: int) -> InputPort:
    is_rf = player.kind.is_rf
    return InputPort(
        name=f"slot{player.slot}.in{connector}",
        lo_frequency=player.module.lo_frequency[player.kind.oscillators[connector]] if is_rf else 0.0,
        attenuation_db=player.module.input_attenuation[connector] if is_rf else 0.0,
    )
