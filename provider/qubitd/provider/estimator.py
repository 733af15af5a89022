"""Qiskit's estimator on one backend. It can go on until a precision is reached, and says how many shots that took."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qubitd.provider.errors import ProviderError
from qubitd.provider.observables import Group, Term, grouped, term_of, values, with_measurement
from qubitd.provider.options import whole_of
from qubitd.provider.primitive_job import QubitdPrimitiveJob
from qubitd.provider.runner import Batch, Device, Place, Runner, Work, device_of, options_of_primitive, work_of

_DEFAULT_PRECISION = 1 / 64
_LEAST_PRECISION = 1e-9
"""The number of shots for less has more digits than anybody reads."""
_PILOT = 256
"""Shots that are taken before a standard error is believed."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Measured:
    """One group of terms, measured with one set of parameter values, and what it gave so far."""

    group: Group
    first_bit: int
    rows: list[NDArray[np.uint8]] = field(default_factory=list[NDArray[np.uint8]])

    def mean_and_error(self, observable: Sequence[tuple[Term, float]]) -> tuple[float, float]:
        """Give the mean of a part of an observable and its squared standard error."""
        worth, numbers = values(self.group, observable, np.concatenate(self.rows), first_bit=self.first_bit)
        shots = int(numbers.sum())
        mean = float(worth @ numbers / shots)
        spread = float((worth - mean) ** 2 @ numbers) / max(shots - 1, 1)
        span = _span(observable)
        if spread > 1e-12 * span**2:
            return mean, spread / shots
        # Every shot gave the same, which does not say that every further one would.
        return mean, span**2 * (shots + 1) / ((shots + 2) ** 2 * (shots + 3))


@dataclass(slots=True, kw_only=True, eq=False)
class _Task:
    """One pub: its elements, what each needs measured, and the shots that all of that got."""

    pub: EstimatorPub
    shape: tuple[int, ...]
    observables: list[list[tuple[Term, float]]]
    """Of each element, flattened."""
    needed: list[list[_Measured]]
    """Of each element, shared by those with the same parameter values."""
    works: list[Work]
    """Circuits with their values: the same programs as `measured`, in order."""
    measured: list[_Measured]
    shots: int = 0

    def estimates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give means and standard errors, in the pub's shape."""
        pairs = [_estimate(*element) for element in zip(self.observables, self.needed, strict=True)]
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return table[:, 0].reshape(self.shape), table[:, 1].reshape(self.shape)

    def take_in(self, batch: Batch) -> None:
        """Add outcomes."""
        for measured, rows in zip(self.measured, batch.rows(), strict=True):
            measured.rows.append(rows)


class QubitdEstimator(BaseEstimatorV2):
    """Estimates observables on a backend; jobs keep their ids and states.

    Without `max_shots` a precision p takes 1/p^2 shots, as with Qiskit's own estimator. With it, shots are added until
    every standard error is at most the precision, or each circuit has had that many.

    Where all of n shots gave the same, the standard error is not 0: it is that of the probability of the other outcome
    after n shots without it, by Laplace's rule of succession (a uniform prior: the standard deviation of the Beta
    distribution with parameters 1 and n + 1, about 1/n), times what two outcomes can differ by.

    Args:
        backend: the backend, or a session whose jobs they are to be.
        default_precision: standard error to aim at for what comes without one.
        max_shots: of each circuit; also makes the precision decide how many are taken.
        **options: options of `backend.run` for every job, such as `seed_simulator` or `tags`.

    Raises:
        ProviderError: `backend` is neither, `shots` are among the options, or a `meas_level` without bits.
    """

    def __init__(
        self,
        backend: Place,
        *,
        default_precision: float = _DEFAULT_PRECISION,
        max_shots: int | None = None,
        **options: Any,
    ) -> None:
        self._backend = device_of(backend)
        self._where = backend
        self._default_precision = default_precision
        self._max_shots = None if max_shots is None else _checked_shots(max_shots)
        self._options = options_of_primitive(options)

    @property
    def backend(self) -> Device:
        """The backend that runs the circuits."""
        return self._backend

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> QubitdPrimitiveJob:
        """Send the circuits that the observables need.

        Args:
            pubs: tuples (circuit, observables, parameter values, precision).
            precision: standard error to aim at, for those without one of their own.

        Raises:
            ProviderError: a precision is no positive number.
            JobRefusedError: circuits or options cannot run.
        """
        usual = self._default_precision if precision is None else precision
        tasks = [_task(EstimatorPub.coerce(pub, usual)) for pub in pubs]
        runner = Runner(self._where, self._options)
        batches = [self._send(runner, task, self._first_shots(task)) for task in tasks]
        return QubitdPrimitiveJob(runner, lambda: self._finish(runner, tasks, batches))

    def _first_shots(self, task: _Task) -> int:
        precision = _checked_precision(task.pub.precision)
        if self._max_shots is None:
            return math.ceil(1 / precision**2)
        return min(_PILOT, self._max_shots)

    def _send(self, runner: Runner, task: _Task, shots: int) -> Batch:
        task.shots += shots
        return runner.submit(task.works, shots)

    def _finish(self, runner: Runner, tasks: Sequence[_Task], batches: Sequence[Batch]) -> PrimitiveResult[Any]:
        for task, batch in zip(tasks, batches, strict=True):
            task.take_in(batch)
            while (more := self._more_shots(task)) > 0:
                task.take_in(self._send(runner, task, more))
        return PrimitiveResult([_pub_result(task) for task in tasks], metadata={"version": 2})

    def _more_shots(self, task: _Task) -> int:
        """Shots fall with the square of the error; at most as many as were taken are added before the next look."""
        if self._max_shots is None or not task.works:
            return 0
        worst = float(np.max(task.estimates()[1], initial=0.0))
        excess: float = worst / task.pub.precision
        needed = math.ceil(task.shots * excess**2)
        return min(needed, 2 * task.shots, self._max_shots) - task.shots


def _checked_shots(most: object) -> int:
    if (number := whole_of(most)) is None or number < 1:
        raise ProviderError(f"max_shots is {most!r}; give a whole number of 1 or more, or None")
    return number


def _checked_precision(precision: object) -> float:
    """Of more shots than `Runner` sends it says how many may be asked for."""
    is_truth = isinstance(precision, bool)
    if is_truth or not (isinstance(precision, Real) and _LEAST_PRECISION <= float(precision) < math.inf):
        raise ProviderError(f"precision is {precision}; give a positive number, {_LEAST_PRECISION:g} or more")
    return float(precision)


def _task(pub: EstimatorPub) -> _Task:
    indices = np.arange(pub.parameter_values.size).reshape(pub.parameter_values.shape)
    bound, observables = np.broadcast_arrays(indices, np.asarray(pub.observables))
    read = [_read(observable) for observable in observables.ravel()]
    works: list[Work] = []
    measured: list[_Measured] = []
    needed: list[list[_Measured]] = [[] for _ in range(indices.size)]
    for terms, rows in _alike(bound.ravel().tolist(), read).items():
        for group in grouped(terms):
            works += _chosen(work_of(with_measurement(pub.circuit, group), pub), rows)
            for row in rows:
                needed[row].append(_Measured(group=group, first_bit=pub.circuit.num_clbits))
                measured.append(needed[row][-1])
    elements = [needed[index] for index in bound.ravel()]
    return _Task(pub=pub, shape=bound.shape, observables=read, needed=elements, works=works, measured=measured)


def _alike(
    bound: Sequence[int], observables: Sequence[Sequence[tuple[Term, float]]]
) -> dict[frozenset[Term], list[int]]:
    """Give, for each set of terms, the rows of values for which just these are needed."""
    terms: dict[int, set[Term]] = defaultdict(set)
    for row, observable in zip(bound, observables, strict=True):
        terms[row].update(term for term, _ in observable)
    alike: dict[frozenset[Term], list[int]] = defaultdict(list)
    for row, needed in terms.items():
        alike[frozenset(needed)].append(row)
    return alike


def _chosen(works: Sequence[Work], rows: Sequence[int]) -> list[Work]:
    """Keep some rows of values."""
    if works[0].values is None:
        return [works[row] for row in rows]
    return [replace(works[0], values=works[0].values[list(rows)])]


def _read(observable: Mapping[str, float]) -> list[tuple[Term, float]]:
    return [(term_of(letters), float(np.real(coefficient))) for letters, coefficient in observable.items()]


def _span(observable: Sequence[tuple[Term, float]]) -> float:
    """By how much two outcomes of a part can differ at most: a Pauli is 1 or -1, a projector 1 or 0."""
    return sum(
        abs(coefficient) * (2 if any(letter in "XYZ" for _, letter in term) else 1) for term, coefficient in observable
    )


def _estimate(observable: Sequence[tuple[Term, float]], needed: Sequence[_Measured]) -> tuple[float, float]:
    mean = sum(coefficient for term, coefficient in observable if not term)
    squared = 0.0
    for measured in needed:
        part = [(term, coefficient) for term, coefficient in observable if term in measured.group.terms]
        if part:
            more, error = measured.mean_and_error(part)
            mean += more
            squared += error
    return mean, math.sqrt(squared)


def _pub_result(task: _Task) -> PubResult:
    means, errors = task.estimates()
    metadata = {
        "target_precision": task.pub.precision,
        "shots": task.shots,
        "circuit_metadata": task.pub.circuit.metadata,
    }
    return PubResult(DataBin(evs=means, stds=errors, shape=task.shape), metadata)
