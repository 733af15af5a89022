"""What a job asks for <-> messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qubitd.core.job import (
    MAX_EXECUTION_TIME,
    MAX_REP_DELAY,
    MAX_RESET_ROUNDS,
    RESET_ROUNDS,
    Decoupling,
    InitialReset,
    JobSpec,
    MeasLevel,
    MeasReturn,
    Scheduling,
)
from qubitd.core.ticks import seconds_text
from qubitd.v1 import jobs_pb2
from qubitd.wire.circuits import WIRE_VERSION, decode_batch, encode_batch
from qubitd.wire.envelopes import decode_envelopes, encode_envelopes
from qubitd.wire.errors import malformed
from qubitd.wire.parsing import check_count, check_text
from qubitd.wire.sweeps import decode_sweep, encode_sweep
from qubitd.wire.terms import JobTerms, decode_terms, encode_terms

MAX_SHOTS = 2**31 - 1
MAX_TAGS = 32
MAX_TAG = 128
MAX_CLIENT_DATA = 1 << 20
MAX_KEY = 128
MAX_BACKEND_NAME = 128

_LEVELS = {
    MeasLevel.KERNELED: jobs_pb2.MEAS_LEVEL_KERNELED,
    MeasLevel.CLASSIFIED: jobs_pb2.MEAS_LEVEL_CLASSIFIED,
    MeasLevel.BOTH: jobs_pb2.MEAS_LEVEL_BOTH,
    MeasLevel.RAW: jobs_pb2.MEAS_LEVEL_RAW,
}
_RETURNS = {MeasReturn.SINGLE: jobs_pb2.MEAS_RETURN_SINGLE, MeasReturn.AVERAGE: jobs_pb2.MEAS_RETURN_AVERAGE}
_SCHEDULINGS = {Scheduling.ALAP: jobs_pb2.SCHEDULING_ALAP, Scheduling.ASAP: jobs_pb2.SCHEDULING_ASAP}
_DECOUPLINGS = {
    Decoupling.X2: jobs_pb2.DECOUPLING_X2,
    Decoupling.XY4: jobs_pb2.DECOUPLING_XY4,
    Decoupling.XY8: jobs_pb2.DECOUPLING_XY8,
}
_INITIAL_RESETS = {
    InitialReset.AUTO: jobs_pb2.INITIAL_RESET_UNSPECIFIED,
    InitialReset.PASSIVE: jobs_pb2.INITIAL_RESET_PASSIVE,
    InitialReset.ACTIVE: jobs_pb2.INITIAL_RESET_ACTIVE,
    InitialReset.NONE: jobs_pb2.INITIAL_RESET_NONE,
}
_INITIAL_RESET_OF = {number: kind for kind, number in _INITIAL_RESETS.items()}
_DECOUPLING_OF = {number: kind for kind, number in _DECOUPLINGS.items()}
_LEVEL_OF = {number: level for level, number in _LEVELS.items()}
_RETURN_OF = {number: kind for kind, number in _RETURNS.items()}
_SCHEDULING_OF = {number: kind for kind, number in _SCHEDULINGS.items()} | {
    jobs_pb2.SCHEDULING_UNSPECIFIED: Scheduling.ALAP
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Submission:
    """A job to be taken."""

    key: str
    """Made by the client, unique among its jobs; 1 to 128 bytes."""
    backend: str
    spec: JobSpec
    terms: JobTerms = field(default_factory=JobTerms)


def encode_submission(submission: Submission) -> jobs_pb2.SubmitRequest:
    """Give the message of a submission."""
    return jobs_pb2.SubmitRequest(
        key=submission.key,
        backend=submission.backend,
        spec=encode_spec(submission.spec),
        terms=encode_terms(submission.terms),
    )


def decode_submission(
    message: jobs_pb2.SubmitRequest, *, spec_of: Callable[[jobs_pb2.JobSpec], JobSpec] | None = None
) -> Submission:
    """Read and check a submission; `spec_of` may stand in for `decode_spec`.

    Raises:
        MalformedMessageError: with everything that was found wrong in the first faulty part.
    """
    return Submission(
        key=check_text(message.key, where="key", least=1, most=MAX_KEY),
        backend=check_text(message.backend, where="backend", least=1, most=MAX_BACKEND_NAME),
        spec=(spec_of or decode_spec)(message.spec),
        terms=decode_terms(message.terms),
    )


def encode_spec(spec: JobSpec) -> jobs_pb2.JobSpec:
    """Give the message of what a job asks for.

    Raises:
        MalformedMessageError: it is given no time to run, or a number that no field holds, which a message cannot say.
    """
    seed = spec.seed_simulator
    return jobs_pb2.JobSpec(
        wire_version=WIRE_VERSION,
        batch=encode_batch(spec.batch),
        sweep=encode_sweep(spec.sweep),
        shots=_sendable(spec.shots, where="shots", most=2**32 - 1),
        meas_level=_LEVELS[spec.meas_level],
        meas_return=_RETURNS[spec.meas_return],
        seed_simulator=None if seed is None else _sendable(seed, where="seed_simulator", most=2**64 - 1),
        tags=spec.tags,
        client_data=spec.client_data,
        herald=spec.herald,
        scheduling=_SCHEDULINGS[spec.scheduling],
        dd=jobs_pb2.DECOUPLING_UNSPECIFIED if spec.dd is None else _DECOUPLINGS[spec.dd],
        reset_rounds=spec.reset_rounds,
        initial_reset=_INITIAL_RESETS[spec.initial_reset],
        envelopes=encode_envelopes(spec.envelopes),
        rep_delay=spec.rep_delay,
        max_execution_time=_encode_max_execution_time(spec.max_execution_time),
    )


def _sendable(number: int, *, where: str, most: int) -> int:
    if not 0 <= number <= most:
        raise malformed(where, f"is {number}; give a whole number from 0 to {most}")
    return number


def decode_spec(message: jobs_pb2.JobSpec) -> JobSpec:
    """Read and check what a job asks for. Limits of a backend are not known here.

    Raises:
        MalformedMessageError: with everything that was found wrong in the first faulty part.
    """
    if message.wire_version != WIRE_VERSION:
        what = f"is {message.wire_version}; this end reads {WIRE_VERSION}, so one of the two is to be updated"
        raise malformed("wire_version", what)
    level, meas_return = _decode_readout(message)
    check_count(len(message.client_data), where="client_data, bytes", most=MAX_CLIENT_DATA)
    return JobSpec(
        batch=decode_batch(message.batch),
        sweep=decode_sweep(message.sweep),
        shots=check_count(message.shots, where="shots", least=1, most=MAX_SHOTS),
        meas_level=level,
        meas_return=meas_return,
        seed_simulator=message.seed_simulator if message.HasField("seed_simulator") else None,
        tags=_decode_tags(message),
        client_data=message.client_data,
        herald=message.herald,
        scheduling=_decode_scheduling(message),
        dd=_decode_decoupling(message),
        reset_rounds=check_count(message.reset_rounds, where="reset_rounds", most=MAX_RESET_ROUNDS) or RESET_ROUNDS,
        initial_reset=_decode_initial_reset(message),
        envelopes=decode_envelopes(message.envelopes),
        rep_delay=_decode_seconds(message.rep_delay, where="rep_delay", most=MAX_REP_DELAY),
        max_execution_time=_decode_max_execution_time(message),
    )


def _decode_readout(message: jobs_pb2.JobSpec) -> tuple[MeasLevel, MeasReturn]:
    level = _LEVEL_OF.get(message.meas_level)
    meas_return = _RETURN_OF.get(message.meas_return)
    if level is None:
        raise malformed("meas_level", f"is {message.meas_level}; give 1 (IQ points), 2 (bits), 3 (both) or 4 (traces)")
    if meas_return is None:
        raise malformed("meas_return", f"is {message.meas_return}; give 1 (every shot) or 2 (the mean)")
    if level.has_bits and meas_return is MeasReturn.AVERAGE:
        raise malformed("meas_return", "is the mean, which bits do not have; ask for meas_level 1")
    if level is MeasLevel.RAW and meas_return is MeasReturn.SINGLE:
        what = "is every shot; a trace is the mean over shots of a feedline, not of one shot or qubit: ask for the mean"
        raise malformed("meas_return", what)
    if level is MeasLevel.RAW and message.herald:
        raise malformed("herald", "is set, but a trace is the mean over all shots; ask for IQ points")
    return level, meas_return


def _decode_scheduling(message: jobs_pb2.JobSpec) -> Scheduling:
    scheduling = _SCHEDULING_OF.get(message.scheduling)
    if scheduling is None:
        raise malformed("scheduling", f"is {message.scheduling}; give 1 (as late) or 2 (as soon as possible)")
    return scheduling


def _decode_decoupling(message: jobs_pb2.JobSpec) -> Decoupling | None:
    kind = _DECOUPLING_OF.get(message.dd)
    if kind is None and message.dd != jobs_pb2.DECOUPLING_UNSPECIFIED:
        raise malformed("dd", f"is {message.dd}; give 0 (none), 1 (X2), 2 (XY4) or 3 (XY8)")
    return kind


def _decode_initial_reset(message: jobs_pb2.JobSpec) -> InitialReset:
    kind = _INITIAL_RESET_OF.get(message.initial_reset)
    if kind is None:
        what = f"is {message.initial_reset}; give 0 (auto), 1 (passive), 2 (active) or 3 (none)"
        raise malformed("initial_reset", what)
    return kind


def _encode_max_execution_time(seconds: float) -> float:
    if seconds == 0:  # which says on the wire that nothing was asked for
        raise malformed("max_execution_time", f"is 0 s; give more than that, up to {MAX_EXECUTION_TIME:g} s")
    return 0.0 if seconds == MAX_EXECUTION_TIME else seconds


def _decode_max_execution_time(message: jobs_pb2.JobSpec) -> float:
    asked = _decode_seconds(message.max_execution_time, where="max_execution_time", most=MAX_EXECUTION_TIME)
    return asked or MAX_EXECUTION_TIME


def _decode_seconds(seconds: float, *, where: str, most: float) -> float:
    if not 0 <= seconds <= most:  # NaN is not
        raise malformed(where, f"is {seconds_text(seconds)}; the limits are 0 and {seconds_text(most)}")
    return seconds


def _decode_tags(message: jobs_pb2.JobSpec) -> tuple[str, ...]:
    if not message.tags:
        return ()
    check_count(len(message.tags), where="number of tags", most=MAX_TAGS)
    return tuple(check_text(tag, where="tag", least=1, most=MAX_TAG) for tag in message.tags)
