"""The envelopes and kernels that a job brings: which gate's pulse or window each of them is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qubitd.core.device import AcquireStep, Device, PlayStep, PulseGate
from qubitd.core.envelope import Sampled, make_sampled
from qubitd.core.errors import InvalidCircuitError, InvalidInputError, Problem
from qubitd.core.job import OwnEnvelope

_STEPS = {"envelope": PlayStep, "kernel": AcquireStep}
_WORDS = {"envelope": "plays", "kernel": "acquisitions"}


def own_envelopes(device: Device, envelopes: Sequence[OwnEnvelope]) -> Mapping[str, Sampled]:
    """Give a job's envelopes by the names of what they are for.

    Raises:
        InvalidCircuitError: a name means nothing on this device, or samples are no envelope; all such are named.
    """
    problems = [Problem(where=one.name, what=what) for one in envelopes if (what := _problem(device, one))]
    found: dict[str, Sampled] = {}
    for one in envelopes:
        try:
            found[one.name] = make_sampled(one.samples.tolist(), where=one.name)
        except InvalidInputError as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidCircuitError(problems)
    return found


def _problem(device: Device, envelope: OwnEnvelope) -> str:
    """Say why an envelope has no place on a device; empty if it has one."""
    operands, _, rest = envelope.name.partition(".")
    name, _, kind = rest.partition(".")
    if kind not in _STEPS:
        return "is neither an envelope nor a kernel; name it as q0.x.envelope, q0_q1.cz.envelope or q0.measure.kernel"
    gate = device.gates.get(name)
    if not isinstance(gate, PulseGate):
        known = ", ".join(sorted(name for name, gate in device.gates.items() if isinstance(gate, PulseGate)))
        return f"there is no pulse gate {name!r}; there are {known}"
    if operands not in {device.operand_name(each) for each in gate.operands}:
        return f"gate {name} does not exist on {operands}"
    steps = sum(isinstance(step, _STEPS[kind]) for step in gate.steps)
    if steps != 1:
        return f"gate {name} has {steps} {_WORDS[kind]}; one of its own is for a gate that has one"
    if kind == "kernel" and np.any(envelope.samples.imag):
        return "weighs with complex numbers; the weights of a kernel are real"
    return ""
