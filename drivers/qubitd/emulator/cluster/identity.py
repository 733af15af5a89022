"""What the Cluster says about itself; every value that only a real instrument could have says that this is none."""

from __future__ import annotations

import json
from collections.abc import Iterable

from qubitd.emulator.cluster.module import Module
from qubitd.emulator.cluster.profile import Profile

_SCPI_VERSION = "1.2"
_HASH = "00000000"


def serial_number(slot: int) -> str:
    """Give the serial number of the frame (slot 0) or of a module."""
    return f"00000_0000_{slot:03d}"


def identity(model: str, slot: int, profile: Profile) -> str:
    """Answer `*IDN?`."""
    version = ".".join(map(str, profile.firmware))
    parts = (
        "osVersion=0.0.0-emulated",
        f"fwVersion={version} fwBuild=01/01/2025-00:00:00 fwHash=0x{_HASH} fwDirty=0",
        f"kmodVersion={version} kmodBuild=01/01/2025-00:00:00 kmodHash=0x{_HASH} kmodDirty=0",
        f"swVersion={version} swBuild=01/01/2025-00:00:00 swHash=0x{_HASH} swDirty=0 swSCPIVersion={_SCPI_VERSION}",
        f"cfgManVersion={version} cfgManBuild=01/01/2025-00:00:00 cfgManHash=0x{_HASH} cfgManDirty=0",
    )
    return f"Qblox,{model},{serial_number(slot)},{' '.join(parts)}"


def module_identity(module: Module, profile: Profile) -> str:
    """Answer a module's `*IDN?`."""
    return identity(f"Cluster {module.kind.model}", module.slot, profile)


def frame_description(modules: Iterable[Module], profile: Profile) -> bytes:
    """Answer the frame's `*DESCribe?`."""
    description = {
        **_description("mm", 0, profile),
        "name": "cluster-mm",
        "mac_address": "00:00:00:00:00:00",
        "is_rf": False,
        "modules": {str(module.slot): _module(module, profile) for module in modules},
    }
    return json.dumps(description).encode()


def module_description(module: Module, profile: Profile) -> bytes:
    """Answer a module's `*DESCribe?`."""
    return json.dumps(_module(module, profile)).encode()


def module_list(modules: Iterable[Module], profile: Profile) -> bytes:
    """Answer `*MODS?`."""
    return json.dumps({f"SLOT {module.slot}": {"IDN": module_identity(module, profile)} for module in modules}).encode()


def _module(module: Module, profile: Profile) -> dict[str, object]:
    model = module.kind.model.lower()
    return {
        **_description(model, module.slot, profile),
        "name": f"cluster-{model}",
        "is_extended_instrument": False,
        "is_qcm": not module.kind.is_readout,
        "is_qrm": module.kind.is_readout,
        "is_rf": module.kind.is_rf,
        "qtm_eom": False,
        "features": {},
    }


def _description(model: str, slot: int, profile: Profile) -> dict[str, object]:
    version = list(profile.firmware)
    text = ".".join(map(str, version))
    release = {"build": 1_735_689_600, "dirty": False, "hash": _HASH, "version": version}
    return {
        "manufacturer": "Qblox",
        "model": f"cluster_{model}",
        "ser": serial_number(slot),
        "os": "0.0.0-emulated",
        "sw": {**release, "version_full": text},
        "cfg_man": {**release, "version_full": text},
        "fw": release,
        "kmod": release,
        "sw_compat": {"scpi_version": [1, 2]},
        "cfg_man_compat": {"scpi_version": [1, 2]},
    }
