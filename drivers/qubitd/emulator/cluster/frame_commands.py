"""The commands that the frame takes on the main port; `SLOT<s>:` leads to the modules."""

from __future__ import annotations

import json
from collections.abc import Mapping

from qubitd.emulator.cluster.bins import block
from qubitd.emulator.cluster.identity import frame_description, identity, module_list
from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.scpi.commands import CommandTable
from qubitd.emulator.scpi.session import add_common_commands

_MODEL = "Cluster MM"


def frame_commands(cluster: Cluster, modules: Mapping[int, CommandTable]) -> CommandTable:
    """Make the table of the frame; `modules` holds those of its slots."""
    table = CommandTable()
    profile = cluster.profile
    add_common_commands(table, cluster.status, identity=lambda: identity(_MODEL, 0, profile), reset=cluster.reset)
    table.add("*DESCribe?", lambda _: block(frame_description(cluster.modules.values(), profile)))
    table.add("*MODS?", lambda _: block(module_list(cluster.modules.values(), profile)))
    table.add("BP:MODules?", lambda _: str(sum(1 << (slot - 1) for slot in cluster.modules)))
    table.add("STATus:GENeral:STATE?", lambda _: "OKAY;")
    table.add("TIMEkeeping:CURRent:TIMEstamp?", lambda _: block(_timestamp(cluster)))

    def choose(slot: int) -> CommandTable:
        return modules[cluster.module(slot).slot]

    table.mount("SLOT#", choose)
    return table


def _timestamp(cluster: Cluster) -> bytes:
    """Time since the instrument was switched on: smaller than at the last look means that it was restarted."""
    return json.dumps({"ns": cluster.clock.now(), "sub": 0}).encode()
