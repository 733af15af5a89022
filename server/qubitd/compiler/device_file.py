"""Reads device files: TOML in, a `Device` and its first values out, or every problem at once with its dotted path."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from qubitd.compiler.composites import composite_problems
from qubitd.compiler.device_gates import read_gates
from qubitd.compiler.device_values import read_values, used_names
from qubitd.compiler.meanings import meaning_problems
from qubitd.compiler.resolve import calibration_problems
from qubitd.compiler.toml_section import Section
from qubitd.core.device import Coupler, Device
from qubitd.core.errors import InvalidDeviceError, Problem
from qubitd.core.snapshot import Parameter, Snapshot

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
"""Names of devices. Those of qubits have no `-`, and neither has a `_`, which joins the names of a pair."""
_QUBIT = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_MOST_SHOTS = 10_000_000
_MOST_CIRCUITS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFile:
    """What a device file says."""

    device: Device
    first_values: tuple[Parameter, ...]
    """In the order of the file; their source is `file`."""
    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""

    def snapshot(self) -> Snapshot:
        """Give the first values as revision 1, made at time 0."""
        return _snapshot_of(self.first_values)


def packaged_devices() -> tuple[str, ...]:
    """Name the devices that come with the package."""
    files = resources.files("qubitd.compiler").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load_device(name_or_path: str) -> DeviceFile:
    """Read a packaged device by its name, or a device file by its path.

    Raises:
        InvalidDeviceError: there is no such device, or the file has problems; all of them are named.
    """
    is_packaged = name_or_path in packaged_devices()
    return read_device(device_bytes(name_or_path), where=f"{name_or_path}.toml" if is_packaged else name_or_path)


def device_bytes(name_or_path: str) -> bytes:
    """Give the file of a packaged device, or a device file, as it is.

    Raises:
        InvalidDeviceError: there is none, or it cannot be read.
    """
    if name_or_path in packaged_devices():
        return resources.files("qubitd.compiler").joinpath(f"{name_or_path}.toml").read_bytes()
    path = Path(name_or_path)
    if not path.exists():
        known = ", ".join(packaged_devices())
        raise _refused(name_or_path, f"no such device or file; packaged devices are {known}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(name_or_path, f"cannot be read: {error.strerror}") from error


def read_device(data: bytes, *, where: str) -> DeviceFile:
    """Read the contents of a device file.

    Args:
        data: TOML in UTF-8.
        where: name of the file, for errors.

    Raises:
        InvalidDeviceError: with every problem and its dotted path.
    """
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(where, f"is no TOML file in UTF-8: {error}") from error
    problems: list[Problem] = []
    device, parameters = _read(values, problems)
    if problems:
        raise InvalidDeviceError([Problem(where=f"{where}: {p.where}", what=p.what) for p in dict.fromkeys(problems)])
    return DeviceFile(device=device, first_values=parameters, digest=hashlib.sha256(data).hexdigest())


def _read(values: Mapping[str, Any], problems: list[Problem]) -> tuple[Device, tuple[Parameter, ...]]:
    root = Section(values, path="", problems=problems)
    qubits = _read_qubits(root.section("qubits"))
    pair_tables = root.section("pairs") if "pairs" in root else Section({}, path="pairs", problems=problems)
    couplers = {name: c for name in pair_tables if (c := _read_coupler(pair_tables, name, qubits)) is not None}
    limits = root.section("limits")
    device = Device(
        name=_read_name(root),
        description=root.text("description") or "",
        qubits=qubits,
        couplers=tuple(sorted(couplers.values(), key=lambda c: c.qubits)),
        gates=read_gates(root.section("gates"), qubits, tuple(couplers.values())),
        max_shots=limits.integer("shots", least=1, most=_MOST_SHOTS) or 1,
        max_circuits=limits.integer("circuits", least=1, most=_MOST_CIRCUITS) or 1,
    )
    limits.close()
    root.close()
    declared = tuple(root.section("gates"))
    problems.extend(composite_problems(device.gates, device.qubits, declared))
    if not problems:
        problems.extend(meaning_problems(device.gates))
    is_whole = not problems
    used = used_names(device) if is_whole else None
    parameters = read_values(device, _value_sections(root, couplers), used, problems)
    if is_whole and not problems:
        problems.extend(calibration_problems(device, _snapshot_of(parameters)))
    return device, parameters


def _read_name(root: Section) -> str:
    name = root.text("name") or "unnamed"
    if not _NAME.fullmatch(name):
        root.refuse("name", f"{name!r} is no name for a device; use letters, digits and -")
    return name


def _read_qubits(section: Section) -> tuple[str, ...]:
    names = tuple(section)
    if not names:
        section.refuse("", "has no qubit; give at least one table such as [qubits.q0]")
    for name in names:
        section.section(name)
        if not _QUBIT.fullmatch(name):
            section.refuse(name, "is no name for a qubit; use letters and digits")
    return names


def _read_coupler(pairs: Section, name: str, qubits: tuple[str, ...]) -> Coupler | None:
    section = pairs.section(name)
    pulsed = section.text("pulsed")
    ends = name.split("_")
    indices = [qubits.index(end) for end in ends if end in qubits]
    if len(ends) != 2 or len(indices) != 2 or indices[0] >= indices[1]:
        pairs.refuse(name, "must be two qubits in their order, joined by _, such as q0_q1")
        return None
    if pulsed not in ends:
        section.refuse("pulsed", f"must be {ends[0]} or {ends[1]}, not {pulsed!r}")
        return None
    return Coupler(qubits=(indices[0], indices[1]), pulsed=qubits.index(pulsed))


def _value_sections(root: Section, pairs: Mapping[str, Coupler]) -> dict[str, Section]:
    """The tables that hold first values, without the keys that hold structure."""
    found = {name: root.section("qubits").section(name) for name in root.section("qubits")}
    found |= {name: root.section("pairs").section(name).without("pulsed") for name in pairs}
    return found


def _snapshot_of(parameters: tuple[Parameter, ...]) -> Snapshot:
    named = {parameter.name: parameter for parameter in parameters}
    return Snapshot(revision=1, parent=0, author="file", message="first values", created_at=0, parameters=named)


def _refused(where: str, what: str) -> InvalidDeviceError:
    return InvalidDeviceError([Problem(where=where, what=what)])
