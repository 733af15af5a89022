"""What a daemon tells a worker and what comes back, as bytes. Only files and messages: nothing in them is executed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from qubitd.compiler.device_file import read_device
from qubitd.core.errors import InvalidInputError, QubitdError
from qubitd.core.job import JobSpec
from qubitd.core.plan import JobPlan
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.rack_file import parse_rack
from qubitd.server.compiling.compile_process import Kit
from qubitd.server.compiling.compiled_job import Validated
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.store.frames import join, split
from qubitd.server.store.problem_text import problems_of, problems_text
from qubitd.v1 import calibrations_pb2, jobs_pb2
from qubitd.wire.calibrations import decode_snapshot, encode_snapshot
from qubitd.wire.jobs import StageTime
from qubitd.wire.parsing import parse
from qubitd.wire.plans import decode_plan, encode_plan
from qubitd.wire.specs import encode_spec

_DONE, _REFUSED = b"done", b"refused"
_SIMULATED = b"simulated"
DECLINED = join([b"declined", b""])
"""The answer that leaves a piece to its daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitFiles:
    """The files from which a worker learns to compile as their daemon does."""

    device: bytes
    rack: str

    def read(self) -> Kit:
        """Give what they say.

        Raises:
            InvalidInputError: another version wrote them.
        """
        device = read_device(self.device, where="the daemon's device file").device
        return Kit(device=device, rack=parse_rack(self.rack, source="the daemon's rack file"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that a piece of work takes."""

    files: KitFiles
    snapshot: Snapshot
    spec: bytes = b""
    """`qubitd.v1.JobSpec`; empty for one that the store holds."""
    wants_expected: bool = False
    """Whether its circuits are to be simulated, too."""


def encode_task(
    files: KitFiles, snapshot: Snapshot, spec: JobSpec | None = None, *, wants_expected: bool = False
) -> bytes:
    """Say what is to be done; `spec` is a job that the store does not hold."""
    sent = b"" if spec is None else encode_spec(spec).SerializeToString()
    wanted = _SIMULATED if wants_expected else b""
    return join([files.device, files.rack.encode(), encode_snapshot(snapshot).SerializeToString(), sent, wanted])


def decode_task(content: bytes) -> Task:
    """Read what is to be done.

    Raises:
        MalformedMessageError: it is no task.
    """
    device, rack, snapshot, spec, wanted = split(content)
    return Task(
        files=KitFiles(device=device, rack=rack.decode()),
        snapshot=decode_snapshot(parse(calibrations_pb2.SnapshotResponse, snapshot)),
        spec=spec,
        wants_expected=wanted == _SIMULATED,
    )


def encode_validated(validated: Validated) -> bytes:
    """Say what was found out about a job."""
    stages = [(event.what.stage, event.time_ns) for event in validated.events if isinstance(event.what, StageTime)]
    found = {"instrument_seconds": validated.instrument_seconds, "stages": stages, "log": validated.log}
    return join([_DONE, json.dumps(found).encode()])


def encode_explained(plan: JobPlan) -> bytes:
    """Say what a job would take."""
    return join([_DONE, encode_plan(plan).SerializeToString()])


def encode_failure(error: QubitdError) -> bytes:
    """Say what is wrong with a job; what else is wrong, the daemon finds out by itself."""
    if isinstance(error, InvalidInputError):
        return join([_REFUSED, problems_text(error.problems).encode()])
    return DECLINED


def decode_validated(answer: bytes, *, between: tuple[int, int]) -> Validated | None:
    """Read what was found out about a job; None if the worker left it to the daemon.

    Args:
        answer: the worker's.
        between: when it was asked and when this came, ns by the daemon's clock; the worker's may be another.

    Raises:
        InvalidInputError: with every problem of the job.
    """
    found = _found(answer)
    if found is None:
        return None
    told = json.loads(found)
    return Validated(
        instrument_seconds=told["instrument_seconds"],
        events=tuple(_dated(stage, time_ns, between) for stage, time_ns in told["stages"]),
        log=tuple(told["log"]),
        compiled=None,
    )


def decode_explained(answer: bytes) -> JobPlan | None:
    """Read what a job would take; None if the worker left it to the daemon.

    Raises:
        InvalidInputError: with every problem of the job.
    """
    found = _found(answer)
    return None if found is None else decode_plan(parse(jobs_pb2.ExplainResponse, found))


def _dated(stage: str, time_ns: int, between: tuple[int, int]) -> Dated:
    asked, came = between
    return reached(Stage(stage), min(max(time_ns, asked), came))


def _found(answer: bytes) -> bytes | None:
    outcome, told = split(answer)
    if outcome == _REFUSED:
        raise InvalidInputError(problems_of(told.decode()))
    return told if outcome == _DONE else None
