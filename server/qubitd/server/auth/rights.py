"""One table: the role that each RPC asks for, and those that ask for none. Any other RPC is refused to everybody.

A few RPCs ask for more when the request does, such as a job of the class `safety`; their services check that.
"""

from __future__ import annotations

from qubitd.server.auth.identity import Identity, Role

RIGHTS: dict[str, Role] = {
    "qubitd.v1.Backends/List": Role.USER,
    "qubitd.v1.Backends/Get": Role.USER,
    "qubitd.v1.Backends/Watch": Role.USER,
    "qubitd.v1.Jobs/Submit": Role.USER,
    "qubitd.v1.Jobs/Upload": Role.USER,
    "qubitd.v1.Jobs/Get": Role.USER,
    "qubitd.v1.Jobs/List": Role.USER,
    "qubitd.v1.Jobs/Watch": Role.USER,
    "qubitd.v1.Jobs/Results": Role.USER,
    "qubitd.v1.Jobs/Cancel": Role.USER,
    "qubitd.v1.Jobs/Explain": Role.USER,
    "qubitd.v1.Jobs/Delete": Role.USER,
    "qubitd.v1.Sessions/Open": Role.USER,
    "qubitd.v1.Sessions/Get": Role.USER,
    "qubitd.v1.Sessions/List": Role.USER,
    "qubitd.v1.Sessions/Renew": Role.USER,
    "qubitd.v1.Sessions/Close": Role.USER,
    "qubitd.v1.Sessions/Cancel": Role.USER,
    "qubitd.v1.Sessions/Usage": Role.USER,
    "qubitd.v1.Calibrations/Snapshot": Role.USER,
    "qubitd.v1.Calibrations/History": Role.USER,
    "qubitd.v1.Calibrations/Diff": Role.USER,
    "qubitd.v1.Calibrations/Watch": Role.USER,
    "qubitd.v1.Calibrations/Commit": Role.CALIBRATOR,
    "qubitd.v1.Calibrations/Rollback": Role.CALIBRATOR,
    "qubitd.v1.Slots/List": Role.USER,
    "qubitd.v1.Slots/Reserve": Role.CALIBRATOR,
    "qubitd.v1.Slots/Release": Role.CALIBRATOR,
    "qubitd.v1.Lab/Instruments": Role.OPERATOR,
    "qubitd.v1.Lab/Health": Role.OPERATOR,
    "qubitd.v1.Lab/Drain": Role.OPERATOR,
    "qubitd.v1.Lab/Stop": Role.OPERATOR,
    "qubitd.v1.Lab/Resume": Role.OPERATOR,
}
"""By service and RPC."""
OPEN = frozenset({"grpc.health.v1.Health/Check", "grpc.health.v1.Health/List", "grpc.health.v1.Health/Watch"})
"""RPCs that ask nobody who they are: load balancers have no account, and learn nothing but whether a daemon serves."""


def allows(identity: Identity, rpc: str) -> bool:
    """Whether somebody may call an RPC."""
    wanted = RIGHTS.get(rpc)
    return wanted is not None and identity.may(wanted)
