"""Read a rack file. Everything that is wrong with it is reported at once, each fault with its dotted path."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import cast

from qubitd.core.errors import Problem
from qubitd.drivers.cluster.modules import KINDS, SEQUENCERS
from qubitd.drivers.errors import RackFileError
from qubitd.drivers.rack import (
    Ceiling,
    ClusterInstrument,
    EmulatorSettings,
    InputSettings,
    LineWiring,
    OutputSettings,
    Rack,
    Slot,
    TimeKind,
)
from qubitd.drivers.toml_table import TomlTable

BUILT_IN = "cluster"
"""The rack that is used when none is named: an emulated Cluster with five qubits."""
_PACKAGED = files("qubitd.drivers") / "racks"
_PORT = re.compile(r"(?P<instrument>[\w-]+)\.slot(?P<slot>\d+)\.out(?P<output>\d+)")


def packaged_racks() -> tuple[str, ...]:
    """Name the racks that come with the package."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _PACKAGED.iterdir()))


def load_rack(path: Path | None = None) -> Rack:
    """Read a rack.

    Args:
        path: a file, or the bare name of a packaged rack; None for that of the demo device.

    Raises:
        RackFileError: it cannot be read, or says something that is unknown, missing, out of range or contradictory.
    """
    name = _name(path)
    return parse_rack(rack_text(path), source=f"{name}.toml" if name in packaged_racks() else name)


def rack_text(path: Path | None = None) -> str:
    """Give a rack's file, chosen as by `load_rack`, as it is.

    Raises:
        RackFileError: it cannot be read.
    """
    name = _name(path)
    file = _PACKAGED / f"{name}.toml" if name in packaged_racks() else Path(name)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RackFileError([Problem(where=name, what=f"cannot be read: {error}")]) from error


def _name(path: Path | None) -> str:
    return BUILT_IN if path is None else str(path)


def parse_rack(text: str, *, source: str) -> Rack:
    """Read a rack from TOML text.

    Args:
        text: the file's content.
        source: the file's name, for errors.

    Raises:
        RackFileError: as for `load_rack`.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RackFileError([Problem(where=source, what=f"is no TOML: {error}")]) from error
    problems: list[Problem] = []
    rack = _rack(TomlTable(values, path="", problems=problems))
    if problems:
        raise RackFileError([Problem(where=f"{source}: {problem.where}", what=problem.what) for problem in problems])
    return rack


def _rack(table: TomlTable) -> Rack:
    instruments = {name: _cluster(name, inner) for name, inner in table.table("instruments").tables()}
    lines_table = table.table("lines")
    lines = {line: _line(line, inner, instruments) for line, inner in lines_table.tables()}
    _refuse_shared_sequencers(lines, lines_table)
    rack = Rack(
        name=table.text("name"),
        time=cast(TimeKind, table.choice("time", ("virtual", "real"))),
        instruments=instruments,
        lines=lines,
        emulator=_emulator(table.table("emulator")) if "emulator" in table else None,
    )
    table.finish()
    return rack


def _emulator(table: TomlTable) -> EmulatorSettings:
    settings = EmulatorSettings(
        cabling=table.text("cabling"), control_port=table.integer("control_port", least=1, most=65535)
    )
    table.finish()
    return settings


def _cluster(name: str, table: TomlTable) -> ClusterInstrument:
    table.choice("model", ("qblox-cluster",))
    instrument = ClusterInstrument(
        name=name,
        resource=table.text("resource"),
        serial=table.text("serial", default=""),
        timeout=table.number("timeout", least=0.01, most=600, default=10.0),
        slots=tuple(sorted(_slots(table.table("slots")), key=lambda slot: slot.slot)),
    )
    table.finish()
    return instrument


def _slots(table: TomlTable) -> list[Slot]:
    slots = []
    for key, inner in table.tables():
        if not (key.isdecimal() and 1 <= int(key) <= 20):
            table.fault(key, "is no slot; a Cluster has slots 1 to 20")
            continue
        slots.append(_slot(int(key), inner))
    return slots


def _slot(number: int, table: TomlTable) -> Slot:
    kind = KINDS[table.choice("model", tuple(KINDS))]
    outputs = []
    for output, inner in _numbered(table, "outputs", "output", len(kind.outputs) if kind.is_rf else 0):
        settings = OutputSettings(
            output=output,
            lo=inner.number("lo", least=2e9, most=18e9),
            attenuation_db=_attenuation(inner, most=60),
        )
        inner.finish()
        outputs.append(settings)
    inputs = []
    for index, inner in _numbered(table, "inputs", "input", kind.inputs):
        inputs.append(InputSettings(input=index, attenuation_db=_attenuation(inner, most=30)))
        inner.finish()
    table.finish()
    return Slot(slot=number, kind=kind.name, outputs=tuple(outputs), inputs=tuple(inputs))


def _numbered(table: TomlTable, key: str, word: str, count: int) -> list[tuple[int, TomlTable]]:
    """Read a table of tables whose keys are connector numbers."""
    numbered = []
    rows = table.table(key, optional=True)
    for number, inner in rows.tables():
        if number.isdecimal() and int(number) < count:
            numbered.append((int(number), inner))
        else:
            rows.fault(number, f"this module has {count} {word}s that can be set")
    return sorted(numbered, key=lambda row: row[0])


def _attenuation(table: TomlTable, *, most: int) -> int:
    value = table.integer("attenuation_db", least=0, most=most)
    if value % 2:
        table.fault("attenuation_db", f"{value} dB; the attenuator has steps of 2 dB")
    return value


def _line(line: str, table: TomlTable, instruments: dict[str, ClusterInstrument]) -> LineWiring:
    port = table.text("port")
    parts = _PORT.fullmatch(port)
    if port and parts is None:
        table.fault("port", f"{port!r} is not of the form instrument.slot1.out0")
    slot, output = (int(parts["slot"]), int(parts["output"])) if parts else (0, 0)
    wiring = LineWiring(
        line=line,
        instrument=parts["instrument"] if parts else "",
        slot=slot,
        output=output,
        sequencer=table.integer("sequencer", least=0, most=SEQUENCERS - 1),
        ceiling=_ceiling(table.table("ceiling", optional=True)),
    )
    if parts:
        _check_port(wiring, table, instruments)
    table.finish()
    return wiring


def _check_port(wiring: LineWiring, table: TomlTable, instruments: dict[str, ClusterInstrument]) -> None:
    instrument = instruments.get(wiring.instrument)
    if instrument is None:
        table.fault("port", f"no instrument {wiring.instrument!r} in this file")
        return
    slot = instrument.slot(wiring.slot)
    if slot is None:
        table.fault("port", f"{wiring.instrument} has no slot {wiring.slot} in this file")
        return
    kind = KINDS[slot.kind]
    if wiring.output >= len(kind.outputs):
        table.fault("port", f"a {kind.name} has outputs 0 to {len(kind.outputs) - 1}")
    elif kind.is_rf and all(settings.output != wiring.output for settings in slot.outputs):
        table.fault("port", f"slot {wiring.slot} lacks outputs.{wiring.output} with lo and attenuation_db")


def _ceiling(table: TomlTable) -> Ceiling:
    ceiling = Ceiling(
        amplitude=table.number("amplitude", least=0, most=1.5, default=1.5),
        mean_power=table.number("mean_power", least=0, most=2, default=2),
        mean=table.number("mean", least=0, most=1, default=1),
        slew=table.number("slew", least=0, most=3, default=3),
    )
    table.finish()
    return ceiling


def _refuse_shared_sequencers(lines: dict[str, LineWiring], table: TomlTable) -> None:
    taken: dict[tuple[str, int, int], str] = {}
    for line, wiring in lines.items():
        place = (wiring.instrument, wiring.slot, wiring.sequencer)
        if wiring.instrument and place in taken:
            table.fault(line, f"sequencer {wiring.sequencer} of slot {wiring.slot} already plays {taken[place]}")
        taken.setdefault(place, line)
