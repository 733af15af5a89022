"""Event tables out of rows: the one place where registers become numbers with units."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.branches import RunCondition
from qubitd.emulator.cluster.iterations import Section
from qubitd.emulator.cluster.outputs import PORTS_IN_SLOT, Rows, constants_shortened
from qubitd.emulator.cluster.player import Player
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.windows import Windows
from qubitd.emulator.events import EVERY_SHOT, Acquisitions, Condition, EventTable, InputPort, OutputPort, Plays
from qubitd.emulator.q1.latches import FREQUENCY_STEP, TURN, Column

_FULL_GAIN = 32_768


def table_of(
    players: Sequence[Player], pool: WaveformPool, section: Section, conditions: Sequence[RunCondition]
) -> EventTable:
    """Make the table of a section, whose rows have some of the run's conditions."""
    used = np.unique(np.concatenate([section.rows.condition, section.windows.condition]))
    stated = used[used != EVERY_SHOT]
    fed = {source for number in stated.tolist() for source in conditions[number].sources}
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
        plays=_plays(constants_shortened(section.rows, pool), section.begin, [number for number, _ in outputs], stated),
        acquisitions=_acquisitions(section.windows, section.begin, [number for number, _ in inputs], stated, fed),
        conditions=tuple(_condition(conditions[number], section) for number in stated.tolist()),
    )


def _condition(stated: RunCondition, section: Section) -> Condition:
    """Find the rows of the acquisitions that a condition looks at."""
    windows = section.windows
    rows = {
        key: row
        for row, key in enumerate(
            zip(windows.sequencer.tolist(), (windows.start - section.begin).tolist(), strict=True)
        )
    }
    return Condition(outcomes=tuple(rows[source] for source in stated.sources), truth=stated.truth)


def _indices(condition: Column, stated: Column) -> NDArray[np.int32]:
    """Number the conditions as the table has them."""
    return np.where(condition == EVERY_SHOT, EVERY_SHOT, np.searchsorted(stated, condition)).astype(np.int32)


def _plays(rows: Rows, begin: int, ports: list[int], stated: Column) -> Plays:
    return Plays(
        start=rows.start - begin,
        length=rows.length,
        port=np.searchsorted(ports, rows.port).astype(np.int32),
        waveform=rows.waveform.astype(np.int32),
        gain_i=rows.gain_i / _FULL_GAIN,
        gain_q=rows.gain_q / _FULL_GAIN,
        frequency=np.asarray(rows.frequency * FREQUENCY_STEP, dtype=np.float64),
        phase=rows.phase / TURN,
        condition=_indices(rows.condition, stated),
    )


def _acquisitions(
    windows: Windows, begin: int, ports: list[int], stated: Column, fed: AbstractSet[tuple[int, int]]
) -> Acquisitions:
    keys = zip(windows.sequencer.tolist(), (windows.start - begin).tolist(), strict=True)
    return Acquisitions(
        start=windows.start - begin,
        length=windows.length,
        port=np.searchsorted(ports, windows.port).astype(np.int32),
        sequencer=windows.sequencer.astype(np.int32),
        weight=windows.weight.astype(np.int32),
        frequency=np.asarray(windows.frequency * FREQUENCY_STEP, dtype=np.float64),
        phase=windows.phase / TURN,
        condition=_indices(windows.condition, stated),
        feeds=np.array([key in fed for key in keys], dtype=np.bool_),
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
