"""Which driver serves which rack."""

from __future__ import annotations

from qubitd.core.errors import Problem
from qubitd.drivers.cluster.driver import ClusterController
from qubitd.drivers.cluster.wiring import cluster_wiring
from qubitd.drivers.controller import Controller
from qubitd.drivers.errors import RackFileError
from qubitd.drivers.rack import Rack


def open_rack(rack: Rack) -> Controller:
    """Give the controller of a rack. Nothing is sent before its `connect`; it assembles without that.

    Raises:
        RackFileError: the rack has no instrument that plays its lines, or several.
    """
    if len(rack.instruments) != 1:
        raise RackFileError(
            [
                Problem(
                    where="instruments",
                    what=f"{len(rack.instruments)} of them; a rack has one Cluster that plays its lines",
                )
            ]
        )
    (instrument,) = rack.instruments.values()
    return ClusterController(instrument, cluster_wiring(rack, instrument))
