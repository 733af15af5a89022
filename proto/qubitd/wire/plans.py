"""What a job would take <-> messages: the answer of Explain."""

from __future__ import annotations

from qubitd.core.capacity import Usage
from qubitd.core.errors import Problem
from qubitd.core.plan import JobPlan, LoopPlan, ProgramPlan, StagePlan
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.parsing import check_finite


def encode_plan(plan: JobPlan) -> jobs_pb2.ExplainResponse:
    """Give the message of a plan."""
    return jobs_pb2.ExplainResponse(
        programs=[
            jobs_pb2.ProgramPlan(name=p.name, duration=p.duration, num_plays=p.num_plays, success=p.success)
            for p in plan.programs
        ],
        memories=[
            jobs_pb2.MemoryUsage(sequencer=u.sequencer, memory=u.memory, used=u.used, limit=u.limit)
            for u in plan.memories
        ],
        upload_bytes=plan.upload_bytes,
        instrument_seconds=plan.instrument_seconds,
        queue_length=plan.queue_length,
        expected_start_ns=plan.expected_start_ns,
        revision=plan.revision,
        stages=[jobs_pb2.StagePlan(name=stage.name, seconds=stage.seconds) for stage in plan.stages],
        loops=map(_encode_loops, plan.loops),
        expected=[jobs_pb2.Distribution(bits=list(one), probabilities=list(one.values())) for one in plan.expected],
        log=plan.log,
    )


def decode_plan(message: jobs_pb2.ExplainResponse) -> JobPlan:
    """Read a plan.

    Raises:
        MalformedMessageError: a number is not finite, or a distribution has numbers without bit strings.
    """
    return JobPlan(
        programs=tuple(
            ProgramPlan(
                name=p.name,
                duration=check_finite(p.duration, where="duration"),
                num_plays=p.num_plays,
                success=check_finite(p.success, where="success"),
            )
            for p in message.programs
        ),
        memories=tuple(
            Usage(sequencer=u.sequencer, memory=u.memory, used=u.used, limit=u.limit) for u in message.memories
        ),
        upload_bytes=message.upload_bytes,
        instrument_seconds=check_finite(message.instrument_seconds, where="instrument_seconds"),
        queue_length=message.queue_length,
        expected_start_ns=message.expected_start_ns,
        revision=message.revision,
        stages=tuple(
            StagePlan(name=stage.name, seconds=check_finite(stage.seconds, where="stage, seconds"))
            for stage in message.stages
        ),
        loops=tuple(
            LoopPlan(
                sequencer=one.sequencer,
                nests=tuple(tuple(nest.turns) for nest in one.nests),
                written_out=one.written_out,
                reason=one.reason,
            )
            for one in message.loops
        ),
        expected=tuple(map(_decode_distribution, message.expected)),
        log=tuple(message.log),
    )


def _decode_distribution(message: jobs_pb2.Distribution) -> dict[str, float]:
    if len(message.bits) != len(message.probabilities):
        raise MalformedMessageError([Problem(where="expected", what="has other bit strings than probabilities")])
    return {
        bits: check_finite(probability, where="expected, probabilities")
        for bits, probability in zip(message.bits, message.probabilities, strict=True)
    }


def _encode_loops(plan: LoopPlan) -> jobs_pb2.LoopPlan:
    nests = [jobs_pb2.LoopNest(turns=turns) for turns in plan.nests]
    return jobs_pb2.LoopPlan(sequencer=plan.sequencer, nests=nests, written_out=plan.written_out, reason=plan.reason)
