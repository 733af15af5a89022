"""Qiskit's sampler on one backend: outcomes go from the wire into BitArrays, without a text in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qubitd.provider.errors import ProviderError
from qubitd.provider.primitive_job import QubitdPrimitiveJob
from qubitd.provider.runner import Batch, Device, Place, Runner, device_of, options_of_primitive, work_of

_DEFAULT_SHOTS = 1024


class QubitdSampler(BaseSamplerV2):
    """Samples circuits on a backend; jobs keep their ids and states.

    Args:
        backend: the backend, or a session whose jobs they are to be.
        default_shots: for circuits that come without a number of shots.
        **options: options of `backend.run` for every job, such as `seed_simulator` or `tags`.

    Raises:
        ProviderError: `backend` is neither, `shots` are among the options, or a `meas_level` without bits.
    """

    def __init__(self, backend: Place, *, default_shots: int = _DEFAULT_SHOTS, **options: Any) -> None:
        self._backend = device_of(backend)
        self._where = backend
        self._default_shots = default_shots
        self._options = options_of_primitive(options)

    @property
    def backend(self) -> Device:
        """The backend that runs the circuits."""
        return self._backend

    def run(self, pubs: Iterable[Any], *, shots: int | None = None) -> QubitdPrimitiveJob:
        """Send circuits, each with its parameter values, as one job for each number of shots.

        Args:
            pubs: circuits, or tuples (circuit, parameter values, shots).
            shots: for those without a number of their own.

        Raises:
            JobRefusedError: circuits or options cannot run; nothing was sent.
        """
        coerced = [SamplerPub.coerce(pub, self._default_shots if shots is None else shots) for pub in pubs]
        runner = Runner(self._where, self._options)
        groups: dict[int, list[int]] = defaultdict(list)
        for index, pub in enumerate(coerced):
            groups[pub.shots].append(index)
        batches = [
            (
                indices,
                runner.submit([work for i in indices for work in work_of(coerced[i].circuit, coerced[i])], number),
            )
            for number, indices in groups.items()
        ]
        return QubitdPrimitiveJob(runner, lambda: _collect(coerced, batches))


def _collect(pubs: Sequence[SamplerPub], batches: Sequence[tuple[list[int], Batch]]) -> PrimitiveResult[Any]:
    results: list[SamplerPubResult | None] = [None] * len(pubs)
    for indices, batch in batches:
        rows = iter(batch.rows())
        for index in indices:
            pub = pubs[index]
            results[index] = _pub_result(pub, [next(rows) for _ in range(pub.parameter_values.size)])
    return PrimitiveResult(results, metadata={"version": 2})


def _pub_result(pub: SamplerPub, rows: list[NDArray[np.uint8]]) -> SamplerPubResult:
    if len({len(part) for part in rows}) > 1:
        raise ProviderError("heralding left different numbers of shots, which a BitArray cannot hold; leave herald out")
    shots = rows[0].shape if rows else (pub.shots, -(-pub.circuit.num_clbits // 8))
    packed = np.concatenate(rows or [np.zeros(0, dtype=np.uint8)]).reshape(*pub.shape, *shots)
    data = dict(_registers(pub.circuit, packed))
    metadata = {"shots": pub.shots, "circuit_metadata": pub.circuit.metadata}
    return SamplerPubResult(DataBin(**data, shape=pub.shape), metadata)


def _registers(circuit: QuantumCircuit, packed: NDArray[np.uint8]) -> Iterable[tuple[str, BitArray]]:
    """Give the outcomes of each classical register."""
    whole = BitArray(packed, circuit.num_clbits)
    for register in circuit.cregs:
        places = [circuit.find_bit(bit).index for bit in register]
        if not places:
            yield register.name, BitArray(packed[..., :0], 0)
        else:
            same = places == list(range(circuit.num_clbits))
            yield register.name, whole if same else whole.slice_bits(places)
