"""Which connector of the rack reaches which line of the chip, and what the chip is: the truth, read from cabling.toml.

SI units. Calibrated numbers never come from here: the daemon has to find them by measuring.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from qubitd.core.errors import Problem
from qubitd.emulator.errors import InvalidCablingError
from qubitd.emulator.sections import Section

FEEDLINE = "feedline"
"""Name of the line that all resonators share; it has a way in and a way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What a kind of module offers on its front."""

    outputs: int
    inputs: int
    radio: bool
    """Whether its connectors carry RF (with an LO) rather than baseband."""


MODULES: Mapping[str, Module] = MappingProxyType(
    {
        "QCM": Module(outputs=4, inputs=0, radio=False),
        "QCM-RF": Module(outputs=2, inputs=0, radio=True),
        "QRM": Module(outputs=2, inputs=2, radio=False),
        "QRM-RF": Module(outputs=1, inputs=1, radio=True),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """One connection between a connector of the rack and a line of the chip."""

    port: str
    """`slot<s>.out<o>` or `slot<s>.in<i>`."""
    line: str
    """`q0.drive`, `q0.flux`, ... or `feedline`."""
    reference_attenuation_db: float
    """Setting of the port's attenuator at which the chip's numbers hold; 0 at a baseband port."""
    loss_db: float
    """On top of that, 0 or more."""
    delay: int
    """ns, 0 or more."""
    lo_error: float = 0.0
    """Hz by which the port's oscillator is above its setting; 0 at a feedline, both of whose ends share one."""

    def gain(self, attenuation_db: float) -> float:
        """Give the factor on a signal's amplitude at a setting of the port's attenuator."""
        factor: float = 10 ** ((self.reference_attenuation_db - attenuation_db - self.loss_db) / 20)
        return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Resonator:
    """A qubit's readout resonator."""

    frequency: float
    """Hz, with the qubit in 0."""
    linewidth: float
    """kappa / 2 pi, Hz, above 0."""
    chi: float
    """Half the step of its frequency when the qubit goes from 0 to 1, Hz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qubit:
    """A flux-tunable transmon at its sweet spot."""

    name: str
    frequency: float
    """f01, Hz, above 0."""
    anharmonicity: float
    """Hz, -0.3 to -0.02 times f01: the range of transmons."""
    asymmetry: float
    """Of the SQUID's junctions, 0..1."""
    t1: float
    """Seconds, above 0."""
    tphi: float
    """Pure dephasing, seconds, above 0."""
    drive_rate: float
    """Rabi frequency at the drive output's full scale, Hz, above 0."""
    flux_rate: float
    """Flux quanta at the flux output's full scale, above 0."""
    resonator: Resonator
    frequency_noise: float = 0.0
    """Of f01 from shot to shot, rms, Hz: |df/dPhi| times the flux noise, 0 at the sweet spot."""

    @property
    def t2(self) -> float:
        """Coherence time in seconds: 1/T2 = 1/(2 T1) + 1/Tphi."""
        return 1 / (1 / (2 * self.t1) + 1 / self.tphi)

    @property
    def t2_star(self) -> float:
        """Seconds after which exp(-t/T2 - (2 pi s t)^2 / 2), the mean over frequencies of spread s, has come to 1/e."""
        rate, spread = 1 / self.t2, 2 * math.pi * self.frequency_noise
        return 2 / (rate + math.sqrt(rate**2 + 2 * spread**2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two coupled transmons."""

    pulsed: int
    """Index of the upper qubit, whose flux line is pulsed for a CZ."""
    partner: int
    coupling: float
    """g, Hz, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedline:
    """The way to and from all resonators."""

    source_flux: float
    """Photons per second on the feedline at the output's full scale, above 0."""
    adc_flux: float
    """Photons per second off the feedline that fill the digitiser's full scale, above 0."""
    efficiency: float
    """Of the amplifier chain, above 0 and at most 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipTruth:
    """Everything the simulated chip is."""

    passive_reset: int
    """ns of idling after an acquisition that leave the chip in |0..0>, above 0."""
    qubits: tuple[Qubit, ...]
    pairs: tuple[Pair, ...]
    feedline: Feedline

    def index(self, name: str) -> int:
        """Give a qubit's index from its name; KeyError if there is none."""
        return {qubit.name: i for i, qubit in enumerate(self.qubits)}[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cabling:
    """A rack's wiring and the chip at its end."""

    slots: Mapping[int, str]
    """Kind of module in each slot, a key of `MODULES`."""
    cables: tuple[Cable, ...]
    chip: ChipTruth

    def cable_at(self, port: str) -> Cable | None:
        """Find the cable on a connector."""
        return next((cable for cable in self.cables if cable.port == port), None)


MOST_LO_ERROR = 1e8
"""Hz, either way."""

DEMO = "line5"
"""Name of the packaged cabling that the demo rack has."""


def load_cabling(source: Path | None = None) -> Cabling:
    """Read a cabling.

    Args:
        source: a file, or the bare name of a packaged cabling; None for the demo rack's.

    Raises:
        InvalidCablingError: the file is unreadable, or a key is unknown, missing, of the wrong type or out of range.
    """
    path = Path(DEMO) if source is None else source
    packaged = files("qubitd.emulator").joinpath("cablings")
    is_packaged = len(path.parts) == 1 and packaged.joinpath(f"{path}.toml").is_file()
    try:
        text = (packaged.joinpath(f"{path}.toml") if is_packaged else path).read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        known = ", ".join(sorted(entry.name.removesuffix(".toml") for entry in packaged.iterdir()))
        what = f"cannot be read: {error}; give a file, or the name of a packaged cabling ({known})"
        raise InvalidCablingError([Problem(where=str(path), what=what)]) from error
    return _read(Section(document, "", []))


def _read(root: Section) -> Cabling:
    slots = _slots(root.section("cluster"))
    qubits = tuple(_qubit(name, section) for name, section in root.section("qubit").entries())
    pairs = tuple(_pair(section, name, [q.name for q in qubits]) for name, section in root.section("pair").entries())
    feedline = _feedline(root.section("feedline"))
    chip = root.section("chip")
    reset = _nanoseconds(chip, "passive_reset", least=1e-9)
    chip.close()
    cables = tuple(_cable(row, slots, [q.name for q in qubits]) for row in root.rows("cable"))
    _refuse_doubles(root, cables)
    root.close()
    if root.problems:
        raise InvalidCablingError(root.problems)
    truth = ChipTruth(passive_reset=reset, qubits=qubits, pairs=pairs, feedline=feedline)
    return Cabling(slots=slots, cables=cables, chip=truth)


def _slots(cluster: Section) -> Mapping[int, str]:
    table = cluster.section("slots")
    slots: dict[int, str] = {}
    for key in table.names():
        kind = table.text(key)
        if re.fullmatch(r"[1-9]|1\d|20", key) is None:
            table.refuse(key, "is no slot; a Cluster has slots 1 to 20")
        elif kind not in MODULES:
            table.refuse(key, f"must be one of {', '.join(MODULES)}, is {kind!r}")
        else:
            slots[int(key)] = kind
    cluster.close()
    return MappingProxyType(slots)


def _qubit(name: str, section: Section) -> Qubit:
    t1 = section.number("t1", unit="s", above=0)
    frequency = section.number("frequency", unit="Hz", least=1e9, most=2e10)
    qubit = Qubit(
        name=name,
        frequency=frequency,
        anharmonicity=section.number("anharmonicity", unit="Hz", least=-0.3 * frequency, most=-0.02 * frequency),
        asymmetry=section.number("asymmetry", unit="", least=0, below=1),
        t1=t1,
        tphi=_tphi(section, t1),
        drive_rate=section.number("drive_rate", unit="Hz", above=0),
        flux_rate=section.number("flux_rate", unit="Phi0", above=0, most=10),
        resonator=_resonator(section.section("resonator")),
        frequency_noise=section.number("frequency_noise", unit="Hz", least=0, most=1e9, default=0.0),
    )
    section.close()
    return qubit


def _tphi(section: Section, t1: float) -> float:
    """Pure dephasing, as it stands or from T2; a T2 above 2 T1 belongs to no qubit."""
    if "t2" not in section:
        return section.number("tphi", unit="s", above=0)
    if "tphi" in section:
        section.refuse("t2", "stands beside tphi; give one of them")
    t2 = section.number("t2", unit="s", above=0, below=2 * t1)
    return 1 / (1 / t2 - 1 / (2 * t1))


def _resonator(section: Section) -> Resonator:
    resonator = Resonator(
        frequency=section.number("frequency", unit="Hz", least=1e9, most=2e10),
        linewidth=section.number("linewidth", unit="Hz", above=0),
        chi=section.number("chi", unit="Hz", least=-1e8, most=1e8),
    )
    section.close()
    return resonator


def _pair(section: Section, name: str, qubits: list[str]) -> Pair:
    members = name.split("_")
    pulsed = section.text("pulsed")
    coupling = section.number("coupling", unit="Hz", above=0)
    section.close()
    if len(members) != 2 or members[0] == members[1] or not set(members) <= set(qubits):
        section.problems.append(Problem(where=section.path, what=f"must name two of the qubits {', '.join(qubits)}"))
    elif pulsed not in members:
        section.refuse("pulsed", f"must be {members[0]} or {members[1]}, is {pulsed!r}")
    else:
        partner = members[1 - members.index(pulsed)]
        return Pair(pulsed=qubits.index(pulsed), partner=qubits.index(partner), coupling=coupling)
    return Pair(pulsed=0, partner=0, coupling=coupling)


def _feedline(section: Section) -> Feedline:
    feedline = Feedline(
        source_flux=section.number("source_flux", unit="photons/s", above=0),
        adc_flux=section.number("adc_flux", unit="photons/s", above=0),
        efficiency=section.number("efficiency", unit="", above=0, most=1),
    )
    section.close()
    return feedline


def _nanoseconds(section: Section, key: str, *, least: float, default: float | None = None) -> int:
    seconds = section.number(key, unit="s", least=least, most=1.0, default=default)
    if seconds != seconds:  # refused already
        return 0
    ticks = round(seconds * 1e9)
    if abs(seconds * 1e9 - ticks) > 1e-3:
        section.refuse(key, f"must be a whole number of nanoseconds, is {seconds * 1e9:.12g} ns")
    return ticks


def _cable(row: Section, slots: Mapping[int, str], qubits: list[str]) -> Cable:
    """Read one cable; its port is the end that names a slot, whichever way the signal goes."""
    source, target = row.text("from"), row.text("to")
    inward = target.startswith("slot")
    port, line = (target, source) if inward else (source, target)
    port_key, line_key = ("to", "from") if inward else ("from", "to")
    module = _module(row, port_key, port, slots, inward=inward)
    _check_line(row, line_key, line, qubits, module, inward=inward)
    radio = module is not None and module.radio  # a baseband port has no attenuator
    lo_error = MOST_LO_ERROR if line.endswith(".drive") else 0.0
    cable = Cable(
        port=port,
        line=line,
        reference_attenuation_db=row.number(
            "reference_attenuation_db", unit="dB", least=0, most=60 if radio else 0, default=None if radio else 0.0
        ),
        loss_db=row.number("loss_db", unit="dB", least=0, default=0.0),
        delay=_nanoseconds(row, "delay", least=0.0, default=0.0),
        lo_error=row.number("lo_error", unit="Hz", least=-lo_error, most=lo_error, default=0.0),
    )
    row.close()
    return cable


def _module(row: Section, key: str, port: str, slots: Mapping[int, str], *, inward: bool) -> Module | None:
    side = "in" if inward else "out"
    match = re.fullmatch(rf"slot(\d+)\.{side}(\d+)", port)
    if match is None:
        row.refuse(key, f"must be a connector such as slot1.{side}0, is {port!r}")
        return None
    slot, connector = int(match[1]), int(match[2])
    if slot not in slots:
        row.refuse(key, f"names slot {slot}, which holds no module; cluster.slots lists {sorted(slots)}")
        return None
    module = MODULES[slots[slot]]
    limit = module.inputs if inward else module.outputs
    if connector >= limit:
        row.refuse(key, f"is {port!r}, but a {slots[slot]} has {limit} connectors of this kind, counted from 0")
    return module


def _check_line(row: Section, key: str, line: str, qubits: list[str], module: Module | None, *, inward: bool) -> None:
    lines = [FEEDLINE] if inward else [FEEDLINE, *(f"{q}.{kind}" for q in qubits for kind in ("drive", "flux"))]
    if line not in lines:
        row.refuse(key, f"is no line of the chip: {line!r}; lines are {', '.join(lines)}")
    elif module is not None and module.radio == line.endswith(".flux"):
        row.refuse(key, f"{line} cannot hang on {'an RF' if module.radio else 'a baseband'} connector")


def _refuse_doubles(root: Section, cables: tuple[Cable, ...]) -> None:
    ports = Counter(cable.port for cable in cables)
    lines = Counter((cable.line, ".in" in cable.port) for cable in cables)
    for i, cable in enumerate(cables):
        if ports[cable.port] > 1:
            root.refuse(f"cable[{i}]", f"{cable.port} has {ports[cable.port]} cables; a connector takes 1")
        if (count := lines[cable.line, ".in" in cable.port]) > 1:
            root.refuse(f"cable[{i}]", f"{cable.line} has {count} cables in this direction; a line takes 1")
