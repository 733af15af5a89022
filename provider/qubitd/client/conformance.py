"""What every server of the wire contract must do, asked of a running one: for those who write a server of their own.

Each check is a sentence. It needs a backend whose gates include one without angles on qubit 0 and `measure`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import grpc

from qubitd.client.client import QubitdClient
from qubitd.client.errors import ClientError, KeyReusedError, NotFoundError, RefusedError, StateError
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import QubitdError
from qubitd.core.job import JobSpec, JobStatus, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep
from qubitd.wire.backends import BackendInfo
from qubitd.wire.jobs import JobEvent, StatusChange
from qubitd.wire.sessions import SessionState, SessionTerms

_SHOTS = 100
_FIRST = [JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]


class NotConformingError(ClientError):
    """A server does not do what the contract asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one check."""

    sentence: str
    complaint: str = ""
    """Empty if the server does as the sentence says."""


class _Subject:
    """The server that is asked, and jobs that it has run for several checks."""

    def __init__(self, client: QubitdClient, backend: str) -> None:
        self.client = client
        self.info: BackendInfo = client.backend(backend)
        self.name = backend

    def spec(self, *, gates: int = 1) -> JobSpec:
        """Make a job of one circuit."""
        native = {op.name for op in self.info.operations if op.operands == (0,)}
        gate = next(s.name for s in self.info.signatures if s.num_qubits == 1 and not s.angles and s.name in native)
        circuit = CircuitBuilder(name="conformance", num_qubits=1, num_clbits=2)
        for _ in range(gates):
            circuit.add(gate, 0)
        return JobSpec(batch=pack([circuit.measure(0, 1)]), sweep=Sweep(), shots=_SHOTS, tags=("conformance",))

    def done(self, spec: JobSpec) -> tuple[str, list[JobEvent]]:
        """Run a job to its end."""
        job_id = self.client.submit(spec, self.name)
        return job_id, list(self.client.watch(job_id))


def check_server(client: QubitdClient, backend: str) -> Iterator[Verdict]:
    """Ask a server everything, one check after another; its jobs are deleted at the end."""
    subject = _Subject(client, backend)
    for check in CHECKS:
        sentence = (check.__doc__ or check.__name__).strip().rstrip(".")
        try:
            check(subject)
        except (QubitdError, grpc.RpcError) as error:
            yield Verdict(sentence=sentence, complaint=str(error) or repr(error))
        else:
            yield Verdict(sentence=sentence)
    for job in client.list_jobs(limit=1000, tags=["conformance"]):
        if job.status.is_final:
            client.delete(job.job_id)


def _the_backend_is_listed_and_described(subject: _Subject) -> None:
    """The backend is listed, and described with limits and a revision."""
    _expect(subject.name in subject.client.backends(), f"{subject.name} is not listed")
    _expect(subject.info.revision >= 1, f"its revision is {subject.info.revision}; the first is 1")
    _expect(subject.info.limits.max_shots >= _SHOTS, f"it takes {subject.info.limits.max_shots} shots")


def _states_come_once_and_in_order(subject: _Subject) -> None:
    """Every state of a job comes once and in order, with sequence numbers that only grow."""
    _, events = subject.done(subject.spec())
    states = [event.what.status for event in events if isinstance(event.what, StatusChange)]
    _expect(states == _FIRST, f"the states were {[state.value for state in states]}")
    numbers = [event.sequence for event in events]
    _expect(numbers == sorted(numbers), "sequence numbers went back")


def _a_watch_resumes(subject: _Subject) -> None:
    """A watch goes on from any cursor without gap or repeat, also when the job is over."""
    job_id, events = subject.done(subject.spec())
    kept = [event for number, event in enumerate(events) if number == 0 or events[number - 1].sequence < event.sequence]
    for number, event in enumerate(kept):
        rest = list(subject.client.watch(job_id, event.sequence))
        _expect(rest == kept[number + 1 :], f"after event {event.sequence} came {len(rest)} events")


def _bits_are_packed_as_agreed(subject: _Subject) -> None:
    """Results hold every shot once, packed big-endian, with bits that were never measured 0."""
    job_id, _ = subject.done(subject.spec())
    results = list(subject.client.results(job_id))
    _expect(sum(result.shots for result in results) == _SHOTS, "the shots do not add up")
    for result in results:
        bits = result.bits
        _expect(bits is not None and bits.shape == (result.shots, 1), "two bits do not come as one byte a shot")
        _expect(bits is not None and not (bits & 0xFD).any(), "a bit that was never measured is not 0")


def _points_come_for_every_shot_or_averaged(subject: _Subject) -> None:
    """IQ points come for every shot, or as their mean."""
    for kind, rows in ((MeasReturn.SINGLE, _SHOTS), (MeasReturn.AVERAGE, 1)):
        spec = replace(subject.spec(), meas_level=MeasLevel.KERNELED, meas_return=kind)
        job_id, _ = subject.done(spec)
        found = sum(result.iq.shape[0] for result in subject.client.results(job_id) if result.iq is not None)
        _expect(found >= rows, f"{kind.value} gave {found} rows of points")


def _a_key_stands_for_one_job(subject: _Subject) -> None:
    """The same key gives the same job, and is refused with other content."""
    key, spec = secrets.token_hex(16), subject.spec()
    first = subject.client.submit(spec, subject.name, key)
    _expect(subject.client.submit(spec, subject.name, key) == first, "the same request made another job")
    with _refused(KeyReusedError):
        subject.client.submit(subject.spec(gates=2), subject.name, key)
    list(subject.client.watch(first))


def _what_is_unknown_is_not_found(subject: _Subject) -> None:
    """Unknown jobs, backends, sessions and revisions are NOT_FOUND."""
    calls: list[Callable[[], object]] = [
        lambda: subject.client.get_job("no-such-job"),
        lambda: subject.client.backend("no-such-backend"),
        lambda: subject.client.submit(subject.spec(), "no-such-backend"),
        lambda: subject.client.sessions.get("no-such-session"),
        lambda: subject.client.snapshot(subject.name, 2**40),
    ]
    for call in calls:
        with _refused(NotFoundError):
            call()


def _what_exceeds_a_limit_is_refused_by_name(subject: _Subject) -> None:
    """A job beyond a limit is refused with the field and the limit, and leaves no job."""
    before = len(subject.client.list_jobs(limit=1000))
    most = subject.info.limits.max_shots
    with _refused(RefusedError) as refusal:
        subject.client.submit(replace(subject.spec(), shots=most + 1), subject.name)
    _expect(str(most) in str(refusal.error), f"the refusal does not name the limit {most}: {refusal.error}")
    _expect(len(subject.client.list_jobs(limit=1000)) == before, "a refused job is listed")


def _a_gate_that_does_not_exist_fails_with_its_place(subject: _Subject) -> None:
    """A job that cannot run ends in ERROR and names circuit and operation."""
    circuit = CircuitBuilder(name="odd", num_qubits=1, num_clbits=1).add("no_such_gate", 0).measure(0, 0)
    try:
        job_id, _ = subject.done(replace(subject.spec(), batch=pack([circuit])))
    except RefusedError:
        return
    job = subject.client.get_job(job_id)
    _expect(job.status is JobStatus.ERROR, f"it ended {job.status.value}")
    _expect("no_such_gate" in job.message, f"its message is {job.message!r}")


def _an_ended_job_stays_as_it_is(subject: _Subject) -> None:
    """Cancelling an ended job changes nothing; deleting it removes it for good."""
    job_id, _ = subject.done(subject.spec())
    _expect(subject.client.cancel(job_id) is JobStatus.DONE, "cancelling changed an ended job")
    subject.client.delete(job_id)
    with _refused(NotFoundError):
        subject.client.get_job(job_id)


def _a_session_goes_from_pending_to_closed(subject: _Subject) -> None:
    """A session is pending, active with its first job, and closed for ever; then it takes no job."""
    terms = SessionTerms(key=secrets.token_hex(16), backend=subject.name)
    session = subject.client.sessions.open(terms)
    _expect(session.state is SessionState.PENDING, f"it began {session.state.value}")
    closed = subject.client.sessions.close(session.session_id)
    _expect(closed.state is SessionState.CLOSED, f"closing left it {closed.state.value}")
    with _refused(StateError):
        subject.client.sessions.renew(session.session_id)


CHECKS: tuple[Callable[[_Subject], None], ...] = (
    _the_backend_is_listed_and_described,
    _states_come_once_and_in_order,
    _a_watch_resumes,
    _bits_are_packed_as_agreed,
    _points_come_for_every_shot_or_averaged,
    _a_key_stands_for_one_job,
    _what_is_unknown_is_not_found,
    _what_exceeds_a_limit_is_refused_by_name,
    _a_gate_that_does_not_exist_fails_with_its_place,
    _an_ended_job_stays_as_it_is,
    _a_session_goes_from_pending_to_closed,
)
"""In their order; each raises when the server does otherwise."""


class _refused:  # noqa: N801 (reads as a word in a with statement)
    """The block must be refused with one kind of error."""

    def __init__(self, kind: type[ClientError]) -> None:
        self._kind = kind
        self.error: ClientError | None = None

    def __enter__(self) -> _refused:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            raise NotConformingError(f"nothing was refused, though {self._kind.__name__} was due")
        if isinstance(error, self._kind):
            self.error = error
            return True
        return False


def _expect(holds: bool, complaint: str) -> None:
    if not holds:
        raise NotConformingError(complaint)
