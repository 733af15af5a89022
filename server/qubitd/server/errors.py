"""Every error that the daemon itself raises; `error_codes` says which gRPC code each becomes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from qubitd.core.errors import InvalidInputError, Problem, QubitdError
from qubitd.core.misspelling import near_parameters
from qubitd.wire.lab import LabState


class InvalidRequestError(InvalidInputError):
    """A request cannot be read, or a field is outside its limits."""


class UnknownJobError(QubitdError):
    """No job of this owner has the id."""

    def __init__(self, *, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id!r} of yours; list your jobs to see their ids")


class UnknownSessionError(QubitdError):
    """No session of this owner has the id."""

    def __init__(self, *, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"there is no session {session_id!r} of yours; list your sessions to see their ids")


class SessionClosedError(QubitdError):
    """A session takes no more jobs."""

    def __init__(self, *, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {session_id} is closed and takes no more jobs; open another one")


class UnknownSlotError(QubitdError):
    """No slot has the id, or it is over."""

    def __init__(self, *, slot_id: str) -> None:
        self.slot_id = slot_id
        super().__init__(f"there is no slot {slot_id!r}, or it is over; list the slots to see their ids")


class SlotTakenError(QubitdError):
    """The time that was asked for is reserved already."""

    def __init__(self, *, slot_id: str, start: str, end: str) -> None:
        self.slot_id = slot_id
        super().__init__(f"slot {slot_id} has the time from {start} to {end} UTC already; choose another time")


class LabClosedError(QubitdError):
    """An operator lets no job in."""

    def __init__(self, *, state: LabState, reason: str) -> None:
        self.state = state
        done = "stopped" if state is LabState.STOPPED else "drained"
        because = f": {reason}" if reason else ""
        super().__init__(f"the lab was {done} by an operator{because}; ask when it resumes")


class RevisionGoneError(QubitdError):
    """A job wanted exactly one calibration, and another is in force."""

    def __init__(self, *, wanted: int, current: int) -> None:
        self.wanted = wanted
        super().__init__(
            f"the job asked for exactly calibration revision {wanted}, and {current} is in force now; transpile the "
            f"circuits for it and submit them again, or choose the policy `latest` or `pinned`"
        )


class UnknownBackendError(QubitdError):
    """Neither this daemon nor another of its group serves the backend."""

    def __init__(self, *, name: str, served: Sequence[str]) -> None:
        self.name = name
        super().__init__(f"there is no backend {name!r} here; there is {', '.join(served)}")


class ServedElsewhereError(QubitdError):
    """Only the daemon that owns the backend can do this."""

    def __init__(self, *, backend: str, address: str, what: str, trouble: str = "", can_pass_on: bool = True) -> None:
        self.backend = backend
        self.address = address
        self.what = what
        self.trouble = trouble
        self.can_pass_on = can_pass_on
        away = f"; {trouble}" if trouble else ""
        super().__init__(f"{what} is for its own daemon, at {address or 'no address yet'}: ask there{away}")


class BackendTakenError(QubitdError):
    """Another daemon of the group owns the backend."""

    def __init__(self, *, backend: str, address: str, age: float, wait: float) -> None:
        self.backend = backend
        super().__init__(
            f"backend {backend!r} is served by the daemon at {address}, which was there {age:.1f} s ago; "
            f"stop that one, or wait until it has been silent for {wait:g} s"
        )


class UnknownRevisionError(QubitdError):
    """The backend never had the calibration revision."""

    def __init__(self, *, revision: int, newest: int) -> None:
        self.revision = revision
        self.newest = newest
        super().__init__(f"there is no calibration revision {revision}; the newest is {newest}, the first is 1")


class UnknownParameterError(QubitdError):
    """The backend never had the calibration parameter."""

    def __init__(self, *, name: str, known: Collection[str]) -> None:
        self.name = name
        near = near_parameters(name, known)
        advice = f"did you mean {' or '.join(near)}?" if near else "a snapshot lists their names"
        super().__init__(f"there is no calibration parameter {name!r}; {advice}")


class KeyReusedError(QubitdError):
    """A submit key came again with other content."""

    def __init__(self, *, key: str, job_id: str) -> None:
        self.key = key
        self.job_id = job_id
        super().__init__(
            f"key {key!r} already stands for job {job_id} with other content; make a new key for a new job"
        )


class NotEndedError(QubitdError):
    """A job cannot be deleted before it has ended."""

    def __init__(self, *, job_id: str, status: str) -> None:
        self.job_id = job_id
        self.status = status
        super().__init__(f"job {job_id} is {status}; cancel it or wait for its end before you delete it")


class CommitConflictError(QubitdError):
    """Others changed the same parameters since the revision that a commit was measured against."""

    def __init__(self, *, names: Sequence[str], base: int, newest: int) -> None:
        self.names = tuple(names)
        self.base = base
        self.newest = newest
        super().__init__(
            f"{', '.join(self.names)} changed between revision {base} and {newest}; "
            f"read revision {newest}, measure again or decide, and commit against it"
        )


class DrainingError(QubitdError):
    """The daemon is stopping."""

    def __init__(self) -> None:
        super().__init__("the daemon is stopping and takes nothing new; send this again when it is back")


class IllegalTransitionError(QubitdError):
    """A job was told to do what its state does not allow."""

    def __init__(self, *, job_id: str, status: str, trigger: str, story: Sequence[str]) -> None:
        self.job_id = job_id
        self.status = status
        self.trigger = trigger
        self.story = tuple(story)
        super().__init__(f"job {job_id} is {status} and cannot {trigger}; so far: {' -> '.join(self.story)}")


class StoreError(QubitdError):
    """The store cannot do its work."""


class StaleWriteError(StoreError):
    """A write expected a job in another state than the store holds: it came late, and was dropped."""

    def __init__(self, *, job_id: str, expected: str, found: str) -> None:
        self.job_id = job_id
        self.expected = expected
        self.found = found
        super().__init__(f"job {job_id} is {found} in the store, a late write expected {expected}; it was dropped")


class BookDisagreesError(StoreError):
    """The store holds a job otherwise than the daemon believes: a mistake of ours; only a restart is safe."""

    def __init__(self, *, job_id: str, cause: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"the store and the daemon disagree about job {job_id} ({cause}); start the daemon again, it recovers "
            f"every job from the store, and please report this"
        )


class StoreBrokenError(StoreError):
    """A write to the disk failed. Nothing is accepted after that: what failed once to reach the disk may be lost."""

    def __init__(self, *, place: str, cause: str) -> None:
        self.place = place
        super().__init__(
            f"writing to {place} failed ({cause}); free space or repair the disk, then start the daemon again"
        )


class DatabaseLostError(StoreBrokenError):
    """The database server does not answer any more. Nothing is accepted after that."""

    def __init__(self, *, place: str, cause: str) -> None:
        self.place = place
        StoreError.__init__(
            self,
            f"the PostgreSQL database {place} is lost ({cause}); nothing was accepted after that. Once the server "
            f"answers again, start the daemon again: it goes on from what the database holds",
        )


class ImpossibleWriteError(StoreError):
    """The database itself said no to a write, since it would break a rule of the tables."""

    def __init__(self, *, cause: str) -> None:
        super().__init__(f"the database refused a write: {cause}")


class FencedError(StoreBrokenError):
    """Others took the backend, or acted for its jobs, while this daemon was silent: it must not write any more."""

    def __init__(self, *, backend: str, fence: int) -> None:
        self.place = f"backend {backend!r} in PostgreSQL"
        StoreError.__init__(
            self,
            f"this daemon was silent for so long that others acted for backend {backend!r}, which it owned under "
            f"number {fence}; start it again, it recovers every job from the store",
        )


class DiskFullError(StoreError):
    """A job was not taken because the disk has too little room for it and its result."""

    def __init__(self, *, path: Path, needed: int, free: int, reserve: int) -> None:
        self.told = f"no job is taken, since the disk of {path} has {free} bytes left and {reserve} stay in reserve"
        super().__init__(
            f"the disk of {path} has {free} bytes left; this job and its result need {needed} and the daemon keeps "
            f"{reserve} in reserve: delete jobs that are no longer needed, or free space"
        )


class UploadRefusedError(StoreError):
    """The disk took a piece of an upload not, or not whole; what it took before is there."""

    def __init__(self, *, upload_id: str, cause: str) -> None:
        super().__init__(
            f"the daemon's disk refused a piece of upload {upload_id!r} ({cause}); go on with the upload in a moment, "
            "and tell the lab's operator if that does not help"
        )


class TooBusyError(QubitdError):
    """More is asked for at once than memory allows."""

    def __init__(self, *, what: str, limit: int) -> None:
        super().__init__(f"{what}; the limit is {limit} at once; send this again in a moment")


class OldCursorError(InvalidInputError):
    """A watch of many jobs would have to go through too much that is past."""

    def __init__(self, *, cursor: int, newest: int, most: int) -> None:
        what = f"is {cursor}, and {newest} is the newest; the limit is {most} behind: list the jobs and go on from it"
        super().__init__([Problem(where="after_sequence", what=what)])


class RemovedEventsError(InvalidInputError):
    """A watch of many jobs would go on without events that went with their jobs."""

    def __init__(self, *, cursor: int, removed: int) -> None:
        what = (
            f"is {cursor}, and events up to {removed} are gone with their jobs: list the jobs and go on from {removed}"
        )
        super().__init__([Problem(where="after_sequence", what=what)])


class UnknownCursorError(InvalidInputError):
    """A watch would go on from an event that was never there: the store is an earlier one than the client knew."""

    def __init__(self, *, cursor: int, newest: int) -> None:
        what = f"is {cursor}, and {newest} is the newest; the store may be an earlier copy: watch from 0 on"
        super().__init__([Problem(where="after_sequence", what=what)])


class UnknownUploadError(QubitdError):
    """A request names an upload that is not here, or not whole."""

    def __init__(self, *, upload_id: str, received: int, size: int) -> None:
        super().__init__(f"of upload {upload_id!r} {received} of {size} bytes are here; send the rest, then this again")


class QuotaExceededError(QubitdError):
    """A project has as much as it may, or sends too fast."""

    def __init__(self, *, owner: str, what: str, retry_after: float, advice: str = "wait for jobs to end") -> None:
        self.retry_after = retry_after
        super().__init__(f"project {owner} {what}; {advice}, or ask the operator for more")


class ExpiredJobError(QubitdError):
    """The results of a job were kept as long as the daemon keeps them."""

    def __init__(self, *, job_id: str, status: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id} ended {status}; its results were kept for a while after they were read first, and are "
            "removed now. Run it again if you need them"
        )


class AsideError(QubitdError):
    """What was done in a process of its own failed there."""

    def __init__(self, *, what: str) -> None:
        super().__init__(what)


class HelperTooLongError(QubitdError):
    """Something about a job could not be done within the time that any job may take."""

    def __init__(self, *, task: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"the process that {task} was not done with this one within {seconds:g} s, which is the limit; split the "
            "job, and look into the daemon's log"
        )


class HelperForgoneError(QubitdError):
    """Something about a job was broken off, since nobody wants to know it any more."""

    def __init__(self, *, task: str) -> None:
        super().__init__(f"the process that {task} was stopped, as its caller no longer waits")


class HelperProcessError(QubitdError):
    """Something about a job could not be done because the process that does so died."""

    def __init__(self, *, task: str, attempts: int) -> None:
        self.attempts = attempts
        super().__init__(
            f"the process that {task} ended {attempts} times over this one; it may need more memory than the machine "
            f"gives it: split the job, and look into the daemon's log"
            if attempts
            else f"the daemon is stopping; nothing more is begun by the process that {task}"
        )


class StoreTooNewError(StoreError):
    """The store was written by a newer version."""

    def __init__(self, *, path: Path, found: int, known: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        super().__init__(
            f"{path} has schema version {found}, this version of qubitd knows up to {known}; "
            f"start the newer qubitd, or give another store (--data-dir or --store)"
        )


class StoreCorruptError(StoreError):
    """What the store holds is not what was written."""

    def __init__(self, *, path: Path, what: str) -> None:
        self.path = path
        super().__init__(f"{path} is damaged: {what}; restore it from a backup, or give another --data-dir")


class DataDirError(QubitdError):
    """The data directory cannot be used."""

    def __init__(self, *, path: Path, cause: str) -> None:
        self.path = path
        super().__init__(f"data directory {path} cannot be used: {cause}; give another with --data-dir")


class DataDirInUseError(QubitdError):
    """Another daemon holds the data directory."""

    def __init__(self, *, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        super().__init__(
            f"data directory {path} is in use by another daemon ({owner}); stop that one or give another --data-dir"
        )


class PortInUseError(QubitdError):
    """The port cannot be opened."""

    def __init__(self, *, host: str, port: int, cause: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"port {port} on {host} cannot be opened: {cause}; stop what holds it or give another --port")


class BindRefusedError(QubitdError):
    """Anything but loopback is refused without certificates and accounts."""

    def __init__(self, *, host: str) -> None:
        self.host = host
        super().__init__(
            f"will not serve on {host!r} without a certificate and accounts: make them with `qubitd auth init` and "
            f"`qubitd auth token`, or serve on 127.0.0.0/8, ::1 or localhost"
        )


class SimulatorError(QubitdError):
    """The emulator's control socket did not do as it was asked."""

    def __init__(self, *, address: str, what: str) -> None:
        self.address = address
        super().__init__(f"the emulator at {address} {what}; start the emulated rack again")


class MetricsError(QubitdError):
    """Metrics cannot be published."""


class ServingError(QubitdError):
    """The daemon cannot start or go on for a reason that another part of it explains."""


class ResumeError(QubitdError):
    """A job that was put back cannot go on where it stopped."""

    def __init__(self, *, kept: int) -> None:
        self.kept = kept
        super().__init__(
            f"the {kept} finished parts of this job do not match how this version of qubitd cuts it; "
            f"they stay readable, submit the job again"
        )
