"""Envelopes and kernels that a job brings: played in the device's place, refused by name where they have none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.job import JobSpec, OwnEnvelope
from qubitd.core.program import BOXCAR, Program
from qubitd.core.sweep import Sweep
from qubitd.v1 import circuits_pb2
from qubitd.wire.envelopes import decode_envelopes, encode_envelopes
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.specs import decode_spec, encode_spec

FILE = load_device("line5")
CLASSROOM = load_device("classroom5")
SAW = np.linspace(0, 1, 40).astype(np.complex128)


def own(name: str, samples: NDArray[np.complex128] = SAW) -> OwnEnvelope:
    return OwnEnvelope(name=name, samples=samples)


def spec(*envelopes: OwnEnvelope) -> JobSpec:
    circuit = CircuitBuilder(name="c", num_qubits=5, num_clbits=1).add("x", 0).add("x", 1).add("sx", 0).measure(0, 0)
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1, envelopes=envelopes)


def program(*envelopes: OwnEnvelope) -> Program:
    (found,) = compile_job(FILE.device, FILE.snapshot(), spec(*envelopes)).programs()
    return found


def played(of: Program, line: str) -> list[NDArray[np.complex128]]:
    rows = np.flatnonzero(of.plays.line == of.lines.index(line))
    return [of.tables.envelopes[envelope].samples for envelope in of.plays.envelope[rows].tolist()]


def refusal(*envelopes: OwnEnvelope) -> str:
    with pytest.raises(InvalidCircuitError) as caught:
        program(*envelopes)
    return str(caught.value)


def test_the_pulse_of_one_gate_on_one_qubit_takes_the_jobs_shape() -> None:
    found = program(own("q0.x.envelope"))
    x, sx = played(found, "q0.drive")
    assert np.array_equal(x, SAW)
    assert not np.array_equal(sx, SAW)
    assert not np.array_equal(played(found, "q1.drive")[0], SAW)
    assert not np.array_equal(played(program(), "q0.drive")[0], SAW)


def test_a_kernel_weighs_a_measurement() -> None:
    weights = np.linspace(1, 0.5, 480).astype(np.complex128)
    found = program(own("q0.measure.kernel", weights))
    (kernel,) = found.acquisitions.kernel.tolist()
    assert np.array_equal(found.tables.envelopes[kernel].samples, weights)
    assert program().acquisitions.kernel.tolist() == [BOXCAR]


def test_all_names_that_mean_nothing_are_refused_at_once() -> None:
    told = refusal(own("q0.x.shape"), own("q0.xx.envelope"), own("q7.x.envelope"), own("q0.measure.kernel", SAW * 1j))
    assert "q0.x.shape: is neither an envelope nor a kernel; name it as q0.x.envelope" in told
    assert "q0.xx.envelope: there is no pulse gate 'xx'; there are" in told
    assert "q7.x.envelope: gate x does not exist on q7" in told
    assert "q0.measure.kernel: weighs with complex numbers" in told


def test_a_gate_without_a_window_takes_no_kernel() -> None:
    assert "q0.x.kernel: gate x has 0 acquisitions" in refusal(own("q0.x.kernel"))


def test_it_must_be_as_long_as_what_it_is_for() -> None:
    told = refusal(own("q0.x.envelope", SAW[:39]))
    assert "q0.x.envelope: has 39 samples; what it is for takes 40 ns" in told


def test_it_travels_as_it_is() -> None:
    sent = own("q0.x.envelope", SAW * np.exp(0.3j))
    (back,) = decode_spec(encode_spec(spec(sent))).envelopes
    assert back.name == sent.name
    assert np.array_equal(back.samples, sent.samples)


@pytest.mark.parametrize(
    ("envelopes", "what"),
    [
        ([own("q0.x.envelope"), own("q0.x.envelope")], "envelopes, q0.x.envelope: comes twice"),
        ([own("q0.x.envelope", SAW * 1.1)], "sample 36: is .*; its magnitude is at most 1"),
        ([own("q0.x.envelope", SAW * np.nan)], "sample 0: is .*; its magnitude is at most 1"),
        ([own("q0.x.envelope", SAW[:0])], "envelopes, q0.x.envelope, samples: is 0; the limits are 1 and 131072"),
        ([own("q0.x.envelope", np.zeros(131_073, dtype=np.complex128))], "is 131073; the limits are 1 and 131072"),
        ([own(f"q{i}.x.envelope") for i in range(1025)], "number of envelopes: is 1025; the limits are 0 and 1024"),
        ([own("q" * 129)], "envelopes, name: "),
        (
            [own(f"q{i}.x.envelope", np.zeros(131_072, dtype=np.complex128)) for i in range(9)],
            "envelopes, bytes of samples in all: is 18874368; the limits are 0 and 16777216",
        ),
    ],
)
def test_what_is_no_envelope_is_refused_when_it_is_read(envelopes: list[OwnEnvelope], what: str) -> None:
    with pytest.raises(MalformedMessageError, match=what):
        decode_envelopes(encode_envelopes(envelopes))


def test_half_a_sample_is_refused() -> None:
    table = circuits_pb2.Table(content=np.zeros(3).tobytes())
    with pytest.raises(MalformedMessageError, match="holds 3 numbers; a sample is two of them"):
        decode_envelopes([circuits_pb2.Envelope(name="q0.x.envelope", samples=table)])
